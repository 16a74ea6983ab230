"""The stream of simulated events: ordinary traffic and fraud in event-time order, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.errors import UsageError
from fraudstream.simulate.forms.catalog import find_form
from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.patterns.catalog import CODES, NAMES, PATTERNS, choose_shares
from fraudstream.simulate.patterns.terminal_compromise import NAME as TERMINAL_COMPROMISE
from fraudstream.simulate.patterns.terminal_compromise import Compromises
from fraudstream.simulate.rows import Rows, concatenate
from fraudstream.simulate.tempo import Tempo
from fraudstream.simulate.world import TRANSACTIONS_PER_CUSTOMER_DAY, World, build_world

NUMBERS_PER_MS = 1_000
"""An event's number is its run's start × this + its ordinal, so runs one after another share no ids below a
million events a second, and the number stays below 2^53."""
_ORDINARY_STREAM, _FORM_STREAM = 90, 91


@dataclass(frozen=True)
class Chunk:
    """Consecutive events in event-time order.

    Attributes:
        form: Their form.
        frame: Their fields as columns.
        values: Their JSON texts.
        keys: Their record keys.
        event_at_ms: Event times, int64.
        is_fraud: The truth, bool.
        pattern: Codes into `patterns.catalog.NAMES`, int32; 0 for what belongs to no pattern. An event may belong to
            one and be legitimate: the customer's own purchase before an impossible travel.
        episode: The incident of the pattern each event belongs to, int64; -1 for none.
        first_ordinal: The place of the first event in the stream, from 0.
    """

    form: Form
    frame: pl.DataFrame
    values: list[bytes]
    keys: list[bytes]
    event_at_ms: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    pattern: NDArray[np.int32]
    episode: NDArray[np.int64]
    first_ordinal: int

    def __len__(self) -> int:
        return len(self.values)

    @property
    def ids(self) -> pl.Series | None:
        """The events' ids, or None where the form has none."""
        return self.frame[self.form.id_column] if self.form.id_column else None

    @property
    def pattern_names(self) -> pl.Series:
        """The name of each event's pattern, null for none."""
        return pl.Series([None, *NAMES[1:]], dtype=pl.String).gather(self.pattern)


@dataclass(frozen=True)
class Traffic:
    """What to simulate. The same values give the same bytes.

    Attributes:
        name: The event form.
        start_at_ms: Where event time begins, epoch milliseconds.
        seed: Of everything random.
        customers: How many customers; transfers run between as many accounts.
        terminals: How many terminals or merchants.
        events: Stop after so many events; None: not by count.
        duration_ms: Stop after so much event time; None: not by time.
        rate_per_s: Events per second of event time, evenly; None: as many as the customers make (or as `events`
            within `duration_ms` asks for), more by day than by night.
        fraud: Shares by pattern of all events; None: the form's defaults.
        incident_span_ms: The longest an incident of fraud may take; a longer one is squeezed. None: as long as it
            takes, which is hours for some patterns, more than a short live run.
        chunk_events: About how many events a chunk has. Part of what makes the same bytes.
    """

    name: str
    start_at_ms: int
    seed: int = 1
    customers: int = 50_000
    terminals: int = 10_000
    events: int | None = None
    duration_ms: int | None = None
    rate_per_s: float | None = None
    fraud: Mapping[str, float] | None = None
    incident_span_ms: int | None = None
    chunk_events: int = 50_000

    @property
    def per_ms(self) -> float:
        """The mean number of events in a millisecond of event time."""
        if self.rate_per_s is not None:
            return self.rate_per_s / 1_000
        if self.events is not None and self.duration_ms is not None:
            return self.events / self.duration_ms
        return self.customers * TRANSACTIONS_PER_CUSTOMER_DAY / 86_400_000


def generate(name: str, *, start_at_ms: int, **options: object) -> Iterator[Chunk]:
    """Simulated events of one form; the options are the attributes of `Traffic`.

    Raises:
        UsageError: The form, a pattern, a share or a size cannot be had.
    """
    return stream(Traffic(name, start_at_ms, **options))  # type: ignore[arg-type]


def stream(traffic: Traffic) -> Iterator[Chunk]:
    """The chunks of a simulation; endless where neither events nor duration end it.

    Raises:
        UsageError: As `generate`, at once and not with the first chunk.
    """
    form = find_form(traffic.name)
    shares = choose_shares(traffic.name, traffic.fraud)
    world = build_world(traffic.seed, traffic.customers, traffic.terminals)
    if traffic.per_ms <= 0 or (traffic.events is not None and traffic.events < 0):
        raise UsageError("The rate or the number of events is not positive.", "Ask for at least one event.")
    return _chunks(traffic, form, world, shares)


def _chunks(traffic: Traffic, form: Form, world: World, shares: Mapping[str, float]) -> Iterator[Chunk]:
    tempo = Tempo(traffic.start_at_ms, traffic.per_ms, daily_rhythm=traffic.rate_per_s is None)
    incidents = Incidents(world, traffic, shares)
    step_ms = max(1, round(traffic.chunk_events / traffic.per_ms))
    last = traffic.events if traffic.events is not None else 2**62
    end_ms = traffic.start_at_ms + traffic.duration_ms if traffic.duration_ms is not None else 2**62
    done, index, from_ms = 0, 0, traffic.start_at_ms
    while done < last and from_ms < end_ms:
        until_ms = min(from_ms + step_ms, end_ms)
        fraud = incidents.during(index, from_ms, until_ms)
        # Ordinary traffic fills what fraud leaves, so the rate asked for is the rate had.
        count = max(0, tempo.events_until(until_ms) - done - len(fraud))
        rng = np.random.default_rng([traffic.seed, _ORDINARY_STREAM, index])
        at_ms = tempo.instants(rng, count, from_ms, until_ms)
        ordinary = world.ordinary(rng, at_ms, world.pick_customers(rng, count))
        incidents.compromise(ordinary)
        rows = concatenate([ordinary, fraud]).in_time_order().take(slice(0, last - done))
        numbers = traffic.start_at_ms * NUMBERS_PER_MS + done + np.arange(len(rows), dtype=np.int64)
        frame = form.columns(world, rows, numbers, np.random.default_rng([traffic.seed, _FORM_STREAM, index]))
        if len(rows):
            yield Chunk(
                form=form,
                frame=frame,
                values=form.encode(frame),
                keys=form.keys(world, rows),
                event_at_ms=rows.at_ms,
                is_fraud=rows.is_fraud,
                pattern=rows.pattern,
                episode=rows.episode,
                first_ordinal=done,
            )
        done += len(rows)
        index, from_ms = index + 1, until_ms


class Incidents:
    """Fraud under way: incidents begin at random and their events come when they are due."""

    def __init__(self, world: World, traffic: Traffic, shares: Mapping[str, float]) -> None:
        self._world = world
        self._traffic = traffic
        self._shares = {name: share for name, share in shares.items() if name in PATTERNS}
        self._begun = dict.fromkeys(self._shares, 0)
        self._pending = world.ordinary(np.random.default_rng(0), np.empty(0, np.int64), np.empty(0, np.int32))
        share = shares.get(TERMINAL_COMPROMISE)
        self._compromises = Compromises(world, traffic.seed, share) if share else None

    def during(self, index: int, from_ms: int, until_ms: int) -> Rows:
        """The events of all incidents within [from_ms, until_ms); call for one chunk after the other."""
        parts = [self._pending]
        for name, share in self._shares.items():
            pattern = PATTERNS[name]
            rng = np.random.default_rng([self._traffic.seed, CODES[name], index])
            expected = share * self._traffic.per_ms * (until_ms - from_ms) / pattern.fraud_events
            starts_ms = np.sort(rng.integers(from_ms, until_ms, rng.poisson(expected)))
            if not len(starts_ms):
                continue
            rows = pattern.make(self._world, rng, starts_ms)
            if self._traffic.incident_span_ms is not None:
                rows.at_ms = squeeze(rows, starts_ms, self._traffic.incident_span_ms)
            rows.pattern[:] = CODES[name]
            rows.episode += self._begun[name]
            self._begun[name] += len(starts_ms)
            parts.append(rows)
        rows = concatenate(parts)
        due = rows.at_ms < until_ms
        self._pending = rows.take(~due)
        return rows.take(due)

    def compromise(self, rows: Rows) -> None:
        """Turns ordinary events at compromised terminals into fraud, in place."""
        if self._compromises:
            self._compromises.mark(rows, CODES[TERMINAL_COMPROMISE])


def squeeze(rows: Rows, starts_ms: NDArray[np.int64], longest_ms: int) -> NDArray[np.int64]:
    """Event times of incidents that none takes longer, the gaps of those that would made shorter in proportion.

    Args:
        rows: Events with episodes counted from 0.
        starts_ms: When each episode begins.
        longest_ms: The longest an episode may take.
    """
    elapsed_ms = rows.at_ms - starts_ms[rows.episode]
    span_ms = np.ones(len(starts_ms))
    np.maximum.at(span_ms, rows.episode, elapsed_ms)
    factor = np.minimum(1.0, longest_ms / span_ms)
    return starts_ms[rows.episode] + (elapsed_ms * factor[rows.episode]).astype(np.int64)
