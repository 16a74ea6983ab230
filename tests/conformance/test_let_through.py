"""The let-through sample: the engine lets through what the oracle does, however batches are cut, within the bound."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.define.aims import LetThrough
from fraudstream.define.decision import Action, Policy, Rule
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.program import Program
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.state.ids import Labels
from fraudstream.testing.decide import LetThroughOracle, decide

OUTCOMES = ("approve", "review", "block")
EVENT = Event(
    id="id",
    time="at",
    amount="amount",
    dedup="1h",
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="at", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_MS),
        Field(name="amount", type=FieldType.DECIMAL, required=False),
    ),
)
ROWS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 5_000), st.none() | st.integers(-500, 4_000)), min_size=1, max_size=60
)


def plan(share: float, at_most: float) -> Plan:
    """Everything but small amounts is blocked."""
    rule = Rule(code="BIG", when="amount is null or amount <> 5", action=Action.BLOCK)
    policy = Policy(let_through=LetThrough(share=share, at_most=at_most, per="1s"))
    return plan_of(Pipeline(name="sample", event=EVENT, input=Topic(name="in"), rules=(rule,), policy=policy))


@given(
    rows=ROWS,
    share=st.sampled_from([0.05, 0.3, 0.5]),
    at_most=st.sampled_from([0.29, 10.0, 60.5]),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_the_engine_lets_through_what_the_oracle_does_within_the_bound(
    rows: list[tuple[int, int, int | None]], share: float, at_most: float, sizes: list[int]
) -> None:
    """Copies, missing and negative amounts, events out of order, periods that end."""
    subject = plan(share, at_most)
    program, decoder, oracle = Program(subject), Decoder(EVENT), LetThroughOracle(subject)
    state, begin, passed, turn = program.new_state(), 0, dict[int, int](), 0
    seen = set[int]()
    while begin < len(rows):
        part = rows[begin : begin + sizes[turn % len(sizes)]]
        values: list[bytes | None] = [
            json.dumps({"id": f"e{i}", "at": at, "amount": None if minor is None else minor / 100}).encode()
            for i, at, minor in part
        ]
        decoded = decoder.decode(values, np.array([at for _, at, _ in part], np.int64))
        places = np.arange(begin, begin + len(part), dtype=np.int64)
        batch = Batch.of(decoded, "in", np.zeros(len(part), np.int32), places)
        made = program.decide(state, batch, Labels.none(), 0)
        for row, (i, at, minor) in enumerate(part):
            expected = oracle.of(
                decide(subject, {"amount": minor}, None), fingerprint(f"e{i}".encode())[0], at, minor,
                is_duplicate=i in seen,
            )  # fmt: skip
            seen.add(i)
            assert bool(made.let_through[row]) == expected.let_through
            assert OUTCOMES[made.outcome[row]] == expected.outcome
            if expected.let_through:
                passed[at // 1_000] = passed.get(at // 1_000, 0) + (minor or 0)
        begin, turn = begin + len(part), turn + 1
    assert all(minor <= at_most * 100 for minor in passed.values())


def test_the_share_is_kept_and_the_same_events_are_drawn_at_every_run() -> None:
    """Of ten thousand blocked events the declared share is let through while money lasts."""
    subject, count = plan(0.1, 1e9), 10_000
    decoded = Decoder(EVENT).decode(
        [json.dumps({"id": f"e{i}", "at": i, "amount": 1.5}).encode() for i in range(count)], np.zeros(count, np.int64)
    )
    batch = Batch.of(decoded, "in", np.zeros(count, np.int32), np.arange(count, dtype=np.int64))
    runs = []
    for _ in range(2):
        program = Program(subject)
        runs.append(program.decide(program.new_state(), batch, Labels.none(), 0).let_through)
    assert np.array_equal(*runs)
    assert abs(int(runs[0].sum()) - 1_000) < 4 * 30, "four standard deviations"
