"""Faults of the broker itself, which here is one of its own: killed five times under load, paused, its disk full."""

from __future__ import annotations

import random
from pathlib import Path

import faults
import pytest
from disks import small_disk
from field import Field
from scorers import wait_until

from fraudstream.kafka.local import LocalBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
KILLS = 5
DISK_KB = 2_000_000


def test_a_broker_killed_five_times_paused_and_with_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """Rows: broker killed and restarted five times under load; broker paused; disk full under the broker.

    One scorer lives through all of it, or needs one restart a fault (I6). With its disk full the broker stops itself,
    and what it had not taken is sent again once the disk is larger and it is started. These are crashes of a process,
    not of a machine: no test of power loss.
    """
    seed = random.randrange(2**32)
    with small_disk(tmp_path / "disk", DISK_KB) as disk:
        broker = LocalBroker(tmp_path / "disk" / "kafka", heap_mb=384)
        with Field(tmp_path, seed, rate=100, broker=broker) as field:
            scorer = field.scorers.start()
            assert field.progress(20)
            for _ in range(KILLS):
                field.kill_broker()
                scorer = scorer if field.goes_on(scorer, "broker_kill") else field.scorers.start()
            field.pause_broker(7)
            scorer = scorer if field.goes_on(scorer, "broker_pause") else field.scorers.start()
            fill(tmp_path / "disk" / "ballast")
            assert wait_until(lambda: broker.status().pid is None, 60), "the broker took no notice"
            disk.resize(2 * DISK_KB)
            assert broker.start().bootstrap_servers == field.facts.bootstrap
            field.goes_on(scorer, "full_disk_of_the_broker")
            field.scorers.kill()
            verdict = field.finish({"broker_kills": KILLS, "broker_pauses": 1})
    assert verdict["violations"] == [], f"seed {seed}: {verdict}"


def fill(path: Path) -> None:
    """Writes until nothing more can be written."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_scorer_whose_disk_is_full_goes_on_without_snapshots(broker: str, tmp_path: Path, unique_id: str) -> None:
    """Row: disk full under the state. No snapshot can be written, which is said; scoring and an orderly end do not
    depend on it (I1), and once there is room the state is as it should be (I3) and is kept again."""
    seed = random.randrange(2**32)
    with (
        Field(tmp_path, seed, rate=100, bootstrap=broker, name=unique_id) as field,
        small_disk(field.state_folder, 40) as disk,
    ):
        for _ in range(3):
            faults.end_in_order(field)
        field.observed["told"] = field.scorers.said("a snapshot could not be written")
        assert not list(field.state_folder.glob("*.snapshot"))
        disk.resize(100_000)
        faults.end_in_order(field)
        assert list(field.state_folder.glob("*.snapshot"))
        assert not list(field.state_folder.glob("*.draft"))
        verdict = field.finish({"told": 3, "drained": 4})
    assert verdict["violations"] == [], f"seed {seed}: {verdict}"
