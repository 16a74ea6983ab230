"""Dead letters sent through again: chosen, each once, as they came.

What was sent again is on record beside the letters: a note for each, in the transaction that sent it. So the topic of
dead letters alone says what is left to do, whatever happened to earlier attempts.

The topic is read twice, first for the notes and then for the letters, of which only those of one transaction are held.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from fraudstream.engine.deadletter import LARGEST_VALUE, Original, original_of, place_of
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.resend import Again, Resender, Spot, records_at
from fraudstream.plan.plan import Plan
from fraudstream.runner.letters import Letter, SentAgain, read_letters
from fraudstream.settings import Settings
from fraudstream.tokens.held import held_keys

LETTER_HEADER = "fraudstream-dead-letter"
INPUT_HEADER = "fraudstream-input"
CLASS_HEADER = "fraudstream-class"
AT_ONCE = 500
BYTES_AT_ONCE = 8 << 20
"""How many are sent in one transaction, and about how much of values at most."""
PLACES_KEPT = 1_000
"""So many places of what is gone are named."""


class Chosen(NamedTuple):
    """Which dead letters are meant: those that pass everything that is said.

    Attributes:
        classes: Of one of these classes.
        since_ms: Written at or after this instant.
        until_ms: Written before this one.
        inputs: Of the records at these places of the input.
    """

    classes: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    inputs: frozenset[Spot] = frozenset()

    def holds(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.classes or letter.kind in self.classes)
            and (self.since_ms is None or letter.written_at_ms >= self.since_ms)
            and (self.until_ms is None or letter.written_at_ms < self.until_ms)
            and (not self.inputs or letter.came_from in self.inputs)
        )


@dataclass
class Redriven:
    """What was found, by class, and what became of it.

    Attributes:
        chosen: Those that are meant.
        before: Those of them that were sent again before.
        gone: Those whose bytes are not all in the letter, and no longer in the input.
        gone_from: The places of their records, of the first `PLACES_KEPT`.
        erased: Those that named a person who was erased: nobody can open them any more.
        ready: Those that are left to send.
        sent: How many were sent.
    """

    chosen: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    gone_from: list[Spot] = field(default_factory=list)
    erased: Counter[str] = field(default_factory=Counter)
    ready: Counter[str] = field(default_factory=Counter)
    sent: int = 0


def redrive(plan: Plan, settings: Settings, chosen: Chosen, *, send: bool) -> Redriven:
    """Finds the dead letters that are meant and were not sent again yet, and sends them if that is wanted.

    Args:
        plan: Whose dead letters.
        settings: Which cluster, as whom.
        chosen: Which of them.
        send: Whether to send them; else they are only counted.

    Raises:
        BrokerUnreachable, TopicError: The topics cannot be read or written.
        SettingError: Letters are sealed with a key that is not held.
        FencedError: Another process does the same.
    """
    name, topic = plan.pipeline.name, plan.pipeline.dead_letters.name
    # Opened before anything is read: what an earlier attempt still had open is decided then, one way or the other.
    resender = Resender(settings, f"fraudstream-{name}.redrive") if send else None
    try:
        found = Redriven()
        partitions = {found_topic: each.partitions for found_topic, each in KafkaAdmin(settings).topics().items()}
        for part in _parts(_left(settings, topic, name, chosen, found)):
            ready = _originals(settings, part, found)
            found.ready.update(letter.kind for letter, _ in ready)
            if ready and resender is not None:
                again = [_again(letter, original, partitions) for letter, original in ready]
                resender.send(again, topic, partial(_notes, name, ready))
                found.sent += len(ready)
        return found
    finally:
        if resender is not None:
            resender.close()


def _left(settings: Settings, topic: str, pipeline: str, chosen: Chosen, found: Redriven) -> Iterator[Letter]:
    """The letters that are meant and were not sent again; both are counted."""
    before = SentAgain(settings, topic)
    for letter in read_letters(settings, topic, pipeline):
        if not chosen.holds(letter):
            continue
        found.chosen[letter.kind] += 1
        if letter in before:
            found.before[letter.kind] += 1
        else:
            yield letter


def _parts(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """The letters in parts, each for one transaction and in the order of partitions and offsets."""
    part: list[Letter] = []
    n_bytes = 0
    for letter in letters:
        part.append(letter)
        n_bytes += letter.members["value_length"] or 0
        if len(part) == AT_ONCE or n_bytes >= BYTES_AT_ONCE:
            yield sorted(part, key=lambda each: each.place)
            part, n_bytes = [], 0
    if part:
        yield sorted(part, key=lambda each: each.place)


def _originals(settings: Settings, letters: Sequence[Letter], found: Redriven) -> list[tuple[Letter, Original]]:
    """Each letter with the record it was; what is cut off in the letter is taken from the input, if it is there."""
    opened: list[tuple[Letter, Original]] = []
    for letter in letters:
        try:
            original = original_of(letter.members)
        except ValueError:
            continue  # no scorer wrote it
        if original is None:
            found.erased[letter.kind] += 1
        else:
            opened.append((letter, original))
    cut = {letter.came_from for letter, original in opened if _is_cut(letter, original)}
    there = records_at(settings, cut) if cut else {}
    ready = []
    for letter, original in opened:
        if letter.came_from in cut:
            if letter.came_from not in there or not _is_same(letter, there[letter.came_from][1]):
                found.gone[letter.kind] += 1
                if len(found.gone_from) < PLACES_KEPT:
                    found.gone_from.append(letter.came_from)
                continue
            original = Original(*there[letter.came_from])
        ready.append((letter, original))
    return ready


def _is_cut(letter: Letter, original: Original) -> bool:
    """Whether the letter does not hold the whole record; of the key no more is known than how much of it there is."""
    return bool(letter.members["truncated"]) or (original.key is not None and len(original.key) >= LARGEST_VALUE)


def _is_same(letter: Letter, value: bytes | None) -> bool:
    """Whether a record of the input is the one that became the letter: the topic may have been made anew."""
    members = letter.members
    if value is None:
        return members["value_length"] is None
    if "value_hmac" in members:
        return bool(
            members["value_hmac"] == held_keys().record_key(place_of(members), members["sealed_with"]).hash(value)
        )
    return bool(members["value_sha256"] == hashlib.sha256(value).hexdigest())


def _again(letter: Letter, original: Original, partitions: dict[str, int]) -> Again:
    topic, partition, _ = letter.came_from
    key, value = original
    headers = [
        (LETTER_HEADER, _written(letter.place)),
        (INPUT_HEADER, _written(letter.came_from)),
        (CLASS_HEADER, letter.kind.encode()),
    ]
    # Its own partition keeps it among the records of its key; if there are fewer by now, its key decides.
    where = partition if partition < partitions.get(topic, 0) else -1
    return Again(topic, where, int(letter.members["kafka_timestamp"]), key, value, headers)


def _notes(pipeline: str, part: Iterable[tuple[Letter, Original]], spots: Sequence[Spot]) -> list[bytes]:
    at_ms = time.time_ns() // 1_000_000
    return [
        msgspec.json.encode(
            {
                "redriven": _members(letter.place),
                "as": _members(spot),
                "class": letter.kind,
                "input": _members(letter.came_from),
                "pipeline": pipeline,
                "redriven_at": at_ms,
            }
        )
        for (letter, _), spot in zip(part, spots, strict=True)
    ]


def _members(spot: Spot) -> dict[str, str | int]:
    topic, partition, offset = spot
    return {"topic": topic, "partition": partition, "offset": offset}


def _written(spot: Spot) -> bytes:
    return "/".join(map(str, spot)).encode()
