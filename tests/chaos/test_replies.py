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
    """Rows: replies dropped or delayed; kill with EndTxn sent and its reply withheld; partition, latency, loss.

    Each kind of request of a transaction, and the heartbeat: not sent, its reply dropped, its reply late. Then a
    network that lets nothing through for longer than a transaction lasts, one that is slow, and one that loses packets.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with Field(tmp_path, seed, rate=100, bootstrap=broker, name=unique_id, proxied=True) as field:
        cases = random.Random(seed).sample(CASES, len(CASES))
        stuck = [f"{act.name} {NAMES[api]}" for api, act in cases if not faults.at_reply(field, api, act)]
        for _ in range(3):
            assert faults.killed_before_the_answer(field)
        faults.partition(field, 12)
        stuck += [] if faults.poor_network(field, 4, latency_s=0.05) else ["latency"]
        stuck += [] if faults.poor_network(field, 6, loss=0.05) else ["loss"]
        other = {"partitions": 1, "latency": 1, "loss": 1, "before_the_answer": 3}
        verdict = field.finish(other | {f"{act.name}_{NAMES[api]}": 1 for api, act in CASES})
    assert (verdict["violations"], stuck) == ([], []), f"seed {seed}: {verdict}"
