"""Simulated payments in which a new fraud pattern begins one day."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from fraudstream.define.pipeline import Form
from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program, Scorer
from fraudstream.plan.plan import Plan
from fraudstream.simulate.outputs import truth_of
from fraudstream.simulate.stream import generate
from fraudstream.state.ids import Labels
from fraudstream.training.dataset import WaitingLabels
from fraudstream.training.history import History
from fraudstream.training.truth import Truth, truth_of_file

DAY_MS = 86_400_000
START_MS = 1_767_225_600_000
DELAY_MS = DAY_MS
KNOWN, NEW = {"high_amounts": 0.02}, {"high_amounts": 0.02, "micro_payments": 0.02}


class Payments(NamedTuple):
    """Events in time order.

    Attributes:
        values: Their JSON texts.
        keys: Their record keys.
        ids: Their ids as text.
        event_at_ms: int64[n].
        fraud: bool[n], the truth.
    """

    values: list[bytes]
    keys: list[bytes]
    ids: list[str]
    event_at_ms: np.ndarray
    fraud: np.ndarray

    def between(self, from_day: float, until_day: float) -> Payments:
        """Those of some days."""
        edges = [START_MS + int(day * DAY_MS) for day in (from_day, until_day)]
        rows = slice(*np.searchsorted(self.event_at_ms, edges).tolist())
        return Payments(*(part[rows] for part in self))

    def labels(self, until_day: float) -> list[bytes]:
        """The label records of frauds that have come by a day: each comes a day after its event."""
        until_ms = START_MS + int(until_day * DAY_MS)
        return [
            msgspec.json.encode({"event_id": name, "label": "fraud", "labelled_at": int(at_ms) + DELAY_MS})
            for name, at_ms, fraud in zip(self.ids, self.event_at_ms.tolist(), self.fraud.tolist(), strict=True)
            if fraud and at_ms + DELAY_MS <= until_ms
        ]

    def history(self, plan: Plan, folder: Path, known_by_day: float = 10**6) -> tuple[History, Truth]:
        """The same as files, as a command takes them, with the truth that had come by a day."""
        folder.mkdir(exist_ok=True)
        events, truth = folder / "events.jsonl", folder / "truth.parquet"
        events.write_bytes(b"\n".join(self.values))
        table = {"event_id": self.ids, "is_fraud": self.fraud, "labelled_at": self.event_at_ms + DELAY_MS}
        known = pl.col("labelled_at") <= START_MS + int(known_by_day * DAY_MS)
        pl.DataFrame(table).filter(known).write_parquet(truth)
        history = History(events, plan.pipeline.event)
        return history, truth_of_file(truth, plan.pipeline.event, len(history))


def payments(days: int, new_from: int | None, a_day: int, seed: int = 3) -> Payments:
    """So many days of the payments of `terminal-payments`; from a day on with the new pattern as well."""
    turn = days if new_from is None else new_from
    chunks = []
    for begin, end, fraud in ((0, turn, KNOWN), (turn, days, NEW)):
        if end > begin:
            chunks += generate(
                "terminal-payments",
                start_at_ms=START_MS + begin * DAY_MS,
                seed=seed,
                customers=300,
                terminals=200,
                events=a_day * (end - begin),
                duration_ms=(end - begin) * DAY_MS,
                fraud=fraud,
            )
    truth = pl.concat([truth_of(chunk, slice(0, len(chunk))) for chunk in chunks])
    return Payments(
        [value for chunk in chunks for value in chunk.values],
        [key for chunk in chunks for key in chunk.keys],
        truth["event_id"].to_list(),
        truth["event_at"].to_numpy(),
        truth["is_fraud"].to_numpy(),
    )


def decisions(plan: Plan, scorer: Scorer, history: History, truth: Truth) -> list[bytes]:
    """The envelopes of a history, decided as the stream would have."""
    program, encoder, waiting = Program(plan, scorer), Encoder(plan), WaitingLabels()
    state = program.new_state()
    found: list[bytes] = []
    for batch in history.batches():
        batch.topic = plan.pipeline.input.name
        fraud, labelled_at_ms, _ = truth.of(batch, plan.pipeline.event)
        waiting.add(plan, batch, fraud, labelled_at_ms)
        labels: Labels = waiting.due(batch.event_at_ms)
        made = program.decide(state, batch, labels, int(batch.event_at_ms[-1]))
        found += encoder.encode(Form.ENVELOPE, made, np.arange(len(batch)))[0]
    return found
