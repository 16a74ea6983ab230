"""Seeded mutants of good and bad records decode as the reference says, in guarded memory and bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)


def test_forty_thousand_mutants_decode_as_the_reference_says() -> None:
    """In a process of its own: a read past an array's end kills it, and memory does not grow."""
    done = run("fuzz.mass", "--seed", "7", "--executions", "40000")
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures["accepted"] > 6_000
    assert min(figures["dead_letters"].values()) > 5
    assert figures["rss_mb_end"] < figures["rss_mb_start"] + 50


OVERRUN = """
import sys
from fuzz.guard import guarded
import numpy as np
from fraudstream.engine.kernels.numbers import read_integer
from fraudstream.engine.kernels.scan_memory import address
digits = guarded(np.frombuffer(b"1234567", np.uint8))
read_integer(address(digits), 0)
"""


def test_reading_past_guarded_memory_is_noticed() -> None:
    """The guard works: a reader of words in a buffer without spare bytes dies by a segmentation fault."""
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run([sys.executable, "-c", OVERRUN], env=environ, capture_output=True, check=False, timeout=120)
    assert done.returncode == -11, done.stderr.decode()


INTERPRETED = """
from fuzz import interpreted
from fuzz.differential import Differential
from fuzz.mutate import Mutator
from fuzz.poison import EVERY_TYPE, NOW_MS
interpreted.check_the_scan()
check = Differential(EVERY_TYPE)
known = interpreted.REGIONS.known()
by_scan = 0
for records in range(40):
    interpreted.REGIONS.keep_only(known)
    by_scan += check.check(Mutator(records).records(10), NOW_MS).by_scan
assert by_scan > 60, by_scan
try:
    interpreted.memory.byte_at(next(iter(known)), 10**6)
except interpreted.OutOfBounds:
    print("noticed")
"""


def test_the_scan_stays_within_its_arrays_byte_by_byte() -> None:
    """Run as plain Python with every access checked, which also shows that the check notices one outside."""
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "noticed\n"), done.stderr[-3000:]


def test_a_wrong_decoder_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a scan that takes a wrong digit, and a reject nobody can explain."""
    from fraudstream.engine import decode
    from fraudstream.engine.reject import Reject, RejectClass

    from .differential import Differential, unexplained
    from .poison import EVERY_TYPE, GOOD, NOW_MS

    check = Differential(EVERY_TYPE)
    plain = decode.scan

    def wrong(buffer: object, start: object, length: object, most: int, paths: object, cells: object, work: object):  # type: ignore[no-untyped-def]
        import ctypes

        sure = plain(buffer, start, length, most, paths, cells, work)
        ctypes.c_int64.from_address(cells.numbers + 8 * 2 * cells.stride).value += 1  # type: ignore[attr-defined]
        return sure

    check.check([GOOD], NOW_MS)
    monkeypatch.setattr(decode, "scan", wrong)
    with pytest.raises(AssertionError, match="count: 6, not 5"):
        check.check([GOOD], NOW_MS)
    assert unexplained(GOOD, Reject(0, RejectClass.NOT_JSON, ""))
    assert unexplained(GOOD, Reject(0, RejectClass.NOT_OBJECT, ""))
    assert unexplained(GOOD[:-1], {})
