"""Requests and replies lost, late or unanswered, one kind after another: the scorer goes on, and nothing is wrong."""

from __future__ import annotations

import random
from pathlib import Path

import faults
import pytest
from field import Field
from proxy import ADD_OFFSETS, ADD_PARTITIONS, END_TXN, HEARTBEAT, NAMES, PRODUCE, TXN_OFFSET_COMMIT, Act

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KINDS = (PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, TXN_OFFSET_COMMIT, END_TXN, HEARTBEAT)
CASES = [(api, act) for api in KINDS for act in (Act.WITHHOLD, Act.DROP, Act.DELAY)] + [(END_TXN, Act.HOLD)]


def test_whatever_is_lost_on_the_way_nothing_is_lost_or_doubled(broker: str, tmp_path: Path, unique_id: str) -> None:
    """Each kind of request of a transaction, and the heartbeat: not sent, its reply dropped, its reply late."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with Field(tmp_path, seed, rate=100, bootstrap=broker, name=unique_id, proxied=True) as field:
        cases = random.Random(seed).sample(CASES, len(CASES))
        stuck = [f"{act.name} {NAMES[api]}" for api, act in cases if not faults.at_reply(field, api, act)]
        for _ in range(3):
            assert faults.killed_before_the_answer(field)
        verdict = field.finish({f"{act.name}_{NAMES[api]}": 1 for api, act in CASES})
    assert (verdict["violations"], stuck) == ([], []), f"seed {seed}: {verdict}"
