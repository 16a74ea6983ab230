"""What the doctor says of copies, on clusters of several brokers."""

from __future__ import annotations

import pytest

from fraudstream.doctor.cluster import thin
from fraudstream.doctor.finding import Level
from fraudstream.doctor.topics import copied


@pytest.mark.parametrize(
    ("brokers", "copies", "named"),
    [(1, 1, False), (2, 1, True), (2, 2, False), (3, 2, True), (5, 3, False)],
)
def test_transactions_kept_by_too_few_brokers_are_told_with_the_setting(brokers: int, copies: int, named: bool) -> None:
    found = list(thin(brokers, {"__transaction_state": copies}))
    assert [each.level for each in found] == [Level.WARNING] * named
    assert all(f"transaction.state.log.replication.factor={min(brokers, 3)}" in each.advice for each in found)


@pytest.mark.parametrize(
    ("brokers", "copies", "in_sync", "level", "said"),
    [
        (1, 1, 1, None, ""),
        (3, 3, 2, None, ""),
        (3, 1, 1, Level.WARNING, "one copy on 3 brokers"),
        (3, 3, 1, Level.WARNING, "min.insync.replicas is 1"),
        (3, 2, 3, Level.ERROR, "it takes none"),
    ],
)
def test_topics_that_can_be_lost_or_take_no_records_are_told(
    brokers: int, copies: int, in_sync: int, level: Level | None, said: str
) -> None:
    found = list(copied("scores", copies, {"min.insync.replicas": str(in_sync)}, brokers))
    assert [each.level for each in found] == ([] if level is None else [level])
    assert all(said in each.found and each.advice for each in found)
