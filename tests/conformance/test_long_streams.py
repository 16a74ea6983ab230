"""A plan of every kind of feature over streams long enough for all to expire, come late, twice or corrected."""

from __future__ import annotations

import random
from itertools import product

import pytest

from fraudstream.define.decision import ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import LABEL_KINDS, Plan
from fraudstream.testing.cases import EventRow, LabelRow

from .engines import ENGINES, duckdb_fast
from .test_property import CLEAN, EVENT, FILTERED_LABELS, NO_OPTIONS, OF, SECOND, STEPS, check


def plan_of_everything() -> Plan:
    made: list[Feature] = []
    kinds = [kind for kind in FeatureKind if kind is not FeatureKind.EXPRESSION]
    for kind, (by, over) in product(kinds, [(("card",), "3s"), (("card",), "11s"), (("other", "points"), "7s")]):
        common = {
            "name": f"f{len(made)}",
            "kind": kind,
            "of": OF[kind][len(made) % len(OF[kind])] if kind in OF else None,
        }
        if kind is FeatureKind.IN_LIST:
            made.append(Feature(**common, list="listed"))
        elif kind is FeatureKind.SEQUENCE:
            made.append(Feature(**common, by=by, over=over, steps=(STEPS[0], STEPS[2], STEPS[3])))
        elif kind in LABEL_KINDS:
            where = "points < 3" if kind in FILTERED_LABELS and len(made) % 2 else None
            made.append(Feature(**common, by=by, over=over, delay="2s", where=where))
        elif kind is FeatureKind.COUNT_ABOVE:
            clean = len(made) % 2 == 0
            made.append(Feature(**common, by=by, over=over, times=1.25, mean_over="7s", clean=clean, prior=not clean))
        elif kind in NO_OPTIONS:
            made.append(Feature(**common, by=by, over=over))
        else:
            recency = kind in (FeatureKind.SINCE_LAST, FeatureKind.SINCE_FIRST)
            where = [None, "points < 3", "not flag"][len(made) % 3]
            prior = not recency and len(made) % 2 == 0
            made.append(Feature(**common, by=by, over=over, where=where, prior=prior))
            if kind in CLEAN:
                common["name"] = f"f{len(made)}"
                made.append(Feature(**common, by=by, over=over, where=where, prior=prior, clean=True))
    pipeline = Pipeline(
        name="everything",
        event=EVENT,
        input=Topic(name="events"),
        labels=Topic(name="labels"),
        lists=(ValueList(name="listed", values=("X", "2")),),
        features=tuple(made),
    )
    return plan_of(pipeline)


def stream(seed: int, length: int, *, in_order: bool) -> list[EventRow | LabelRow]:
    """Events whose times wander forward, with ids used again and labels for some seconds' old ones."""
    dice, now, rows, ids, offsets = random.Random(seed), 0, [], ["i0"], [0, 0]
    while len(rows) < length:
        now += dice.choice([0, 0, 1, 999, 1_000, 1_000, 2_000])
        if dice.random() < 0.3:
            at = now + 20 * SECOND - dice.choice([0, 0, 1_000, 2_000, 9_000, 20_000])
            rows.append(LabelRow(dice.choice([*ids[-12:], f"i{len(ids) + 2}"]), dice.random() < 0.7, at))
            continue
        if in_order or dice.random() < 0.8:
            ids.append(f"i{len(ids)}")
        event_id = ids[-1] if in_order else dice.choice(ids[-3:] * 3 + ids[-9:])
        at = now if in_order else now - dice.choice([0, 0, 0, 1, 1_000, 3_000, 7_000, 10_999, 11_000, 15_000])
        partition = dice.randrange(2)
        place = dice.choice([(None, None), (0.0, 1.0), (45.5, -3.25), (-90.0, 0.0)])
        fields = {
            "id": event_id,
            "at": at + 20 * SECOND,
            "card": dice.choice(["X", "X", "Y", None]),
            "other": dice.choice(["X", "Y", None]),
            "amount": dice.choice([None, 0, 100, 150, 300, 10**14 - 1]),
            "points": dice.choice([None, -1, 2, 3]),
            "heat": dice.choice([None, 0.0, 0.75, 1.5]),
            "flag": dice.choice([None, False, True, True]),
            "place": None,
            "place.lat": place[0],
            "place.lon": place[1],
        }
        rows.append(EventRow(fields, at + 20 * SECOND, partition, offsets[partition]))
        offsets[partition] += 1
    return rows


UNDER_TEST = ["duckdb", "vectorised"]


@pytest.mark.parametrize("engine", UNDER_TEST)
@pytest.mark.parametrize("seed", range(8))
def test_engines_agree_over_long_unruly_streams(seed: int, engine: str) -> None:
    """Lateness, copies, corrections and expiry, hundreds of rows long: every value is the oracle's."""
    check(plan_of_everything(), stream(seed, 250, in_order=False), {engine: ENGINES[engine]})


@pytest.mark.parametrize("seed", range(4))
def test_fast_sql_agrees_over_long_streams_in_order(seed: int) -> None:
    """Window functions agree with the definition over hundreds of events with ties."""
    check(plan_of_everything(), stream(seed, 250, in_order=True), {"duckdb fast": duckdb_fast})


def test_the_streams_hold_what_they_are_meant_to() -> None:
    """Each unruly stream has late events, copies and known fraud: otherwise the tests above would show little."""
    from .engines import oracle

    plan = plan_of_everything()
    answers = [answer for seed in range(8) for answer in oracle(plan, stream(seed, 250, in_order=False))]
    counted = [feature.name for feature in plan.features if feature.kind is FeatureKind.LABEL_COUNT]
    assert sum(answer.late for answer in answers) > 50
    assert sum(answer.duplicate_of is not None for answer in answers) > 50
    assert sum((answer.features[name] or 0) > 0 for answer in answers for name in counted) > 200
