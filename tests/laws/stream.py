"""Streams and runs that the laws compare: a plan of every kind of feature, and the engine over cut-up rows."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import numpy as np

from conformance.test_long_streams import plan_of_everything
from conformance.vectorised import encoded, labels_of
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.state.state import State
from fraudstream.testing.cases import EventRow, LabelRow

Row = EventRow | LabelRow
SECOND = 1_000
PLAN = plan_of_everything()


def with_feature(plan: Plan, feature: Feature) -> Plan:
    """The plan with one more feature."""
    return plan_of(msgspec.structs.replace(plan.pipeline, features=(*plan.pipeline.features, feature)))


UNRELATED = Feature(name="unrelated", kind=FeatureKind.DISTINCT, of="heat", by=("points",), over="30s")
BESIDE = Feature(name="beside", kind=FeatureKind.MAX, of="points", by=("card",), over="11s", prior=True)


def long_stream(seed: int, length: int, keys: int, *, hot: float = 0.5) -> list[Row]:
    """Events with a hot key and many others, up to 40 s late, copies, and labels early, late and corrected."""
    dice, now, made, rows, offsets = random.Random(seed), 100 * SECOND, 0, [], [0, 0, 0]
    recent: list[str] = ["i0"]
    while len(rows) < length:
        now += dice.choice([0, 0, 1, 20, 300, 1_000])
        if dice.random() < 0.1:
            at = now - dice.choice([0, 0, 1_000, 9_000, 60_000])
            rows.append(LabelRow(dice.choice([*recent[-40:], f"i{made + 3}"]), dice.random() < 0.7, at))
            continue
        if dice.random() < 0.9:
            made += 1
            recent.append(f"i{made}")
        late = dice.choice([0] * 12 + [1, 500, 1_000, 5_000, 10_999, 11_000, 40_000])
        place = dice.choice([(None, None), (0.0, 1.0), (45.5, -3.25), (-90.0, 0.0)])
        partition = dice.randrange(3)
        card = "hot" if dice.random() < hot else f"c{dice.randrange(keys)}"
        fields = {
            "id": recent[-1] if dice.random() < 0.95 else dice.choice(recent[-30:]),
            "at": now - late,
            "card": dice.choice([card] * 20 + [None]),
            "other": dice.choice(["X", "Y", f"o{dice.randrange(keys)}", None]),
            "amount": dice.choice([None, 0, 100, 150, 300, dice.randrange(10**6), 10**14 - 1]),
            "points": dice.choice([None, -1, 2, 3]),
            "heat": dice.choice([None, 0.0, 0.75, 1.5]),
            "flag": dice.choice([None, False, True, True]),
            "place": None,
            "place.lat": place[0],
            "place.lon": place[1],
        }
        rows.append(EventRow(fields, now - late, partition, offsets[partition]))
        offsets[partition] += 1
    return rows


def cut(rows: Sequence[Row], sizes: Sequence[int]) -> list[Sequence[Row]]:
    """The rows in pieces of these sizes, the last piece taking the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(rows[at : at + size])
        at += size
    return [*pieces, rows[at:]]


def even(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    """The rows in pieces of one size."""
    return [rows[at : at + size] for at in range(0, len(rows), size)]


class Run:
    """The engine at work on a plan; `out` holds every decision's bytes, `features` their values by coordinates."""

    def __init__(self, plan: Plan = PLAN, state: State | None = None) -> None:
        self.plan = plan
        self.program = Program(plan)
        self.state = self.program.new_state() if state is None else state
        self.decoder = Decoder(plan.pipeline.event)
        self.encoder = Encoder(plan)
        self.out: list[bytes] = []

    def batch(self, rows: Sequence[Row], poison: dict[int, bytes] | None = None) -> Batch:
        """The rows' events decoded; `poison` puts other records before the events of these numbers."""
        events = [row for row in rows if isinstance(row, EventRow)]
        values: list[bytes] = []
        kept: list[int] = []
        for number, row in enumerate(events):
            if poison and number in poison:
                values.append(poison[number])
            kept.append(len(values))
            values.append(encoded(self.plan, row))
        times = np.zeros(len(values), np.int64)
        times[kept] = [row.event_at for row in events]
        decoded = self.decoder.decode(list(values), times + 1)
        assert np.flatnonzero(decoded.ok).tolist() == kept
        partition, offset = np.zeros(len(values), np.int32), np.zeros(len(values), np.int64)
        partition[kept] = [row.partition for row in events]
        offset[kept] = [row.offset for row in events]
        return Batch.of(decoded, "events", partition, offset).take(np.array(kept, np.int64))

    def decide(self, rows: Sequence[Row], poison: dict[int, bytes] | None = None) -> Run:
        """Decides a piece of the stream."""
        found = self.program.decide(self.state, self.batch(rows, poison), labels_of(rows), 0)
        self.out += self.encoder.encode(self.plan.pipeline.routes[0].form, found, np.arange(len(found.batch)))[0]
        return self

    def learn(self, rows: Sequence[Row]) -> Run:
        """Moves the state on by a piece of the stream."""
        self.program.learn(self.state, self.batch(rows), labels_of(rows))
        return self


def features(out: Sequence[bytes]) -> list[dict[str, object]]:
    """The feature values of decisions."""
    return [msgspec.json.decode(each)["decision"]["features"] for each in out]
