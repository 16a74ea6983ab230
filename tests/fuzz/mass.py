"""Very many executions of the decoder: seeded records in chunks, in guarded memory, each compared with the reference.

    python -m fuzz.mass --seed 1 --executions 1000000 [--found FOLDER] [--log FILE]

Prints its figures as JSON. With the log, a crash can be repeated: it names the seed of the chunk in work.
"""

from __future__ import annotations

import argparse
import collections
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from .differential import Differential
from .guard import guard_the_decoder
from .mutate import Mutator
from .poison import EVERY_TYPE, NOW_MS, ODD

CHUNK = 2_000
_CHUNKS_BEFORE_MEASURING = 20


class _Patcher:
    setattr = staticmethod(setattr)


def run(seed: int, executions: int, found: list[bytes], log: Path | None = None) -> dict[str, Any]:
    """Decode at least so many records; every fourth chunk with the odd event.

    Raises:
        AssertionError: At the first record that is not decoded as the reference has it.
    """
    guard_the_decoder(_Patcher)
    usual, odd = Differential(EVERY_TYPE), Differential(ODD)
    done = accepted = by_scan = chunk = 0
    rejects: collections.Counter[str] = collections.Counter()
    rss_start = 0
    started = time.monotonic()
    while done < executions:
        if log is not None:
            log.write_text(f"{seed} {chunk}")
        records = Mutator(seed * 1_000_003 + chunk, found).records(CHUNK)
        result = (odd if chunk % 4 == 3 else usual).check(records, NOW_MS)
        done += len(records)
        accepted += result.accepted
        by_scan += result.by_scan
        rejects += result.rejects
        chunk += 1
        if chunk == _CHUNKS_BEFORE_MEASURING:
            rss_start = psutil.Process().memory_info().rss
    return {
        "executions": done,
        "seconds": round(time.monotonic() - started, 1),
        "accepted": accepted,
        "read_by_the_compiled_scan_alone": by_scan,
        "dead_letters": dict(sorted(rejects.items())),
        "rss_mb_start": round(rss_start / 2**20, 1),
        "rss_mb_end": round(psutil.Process().memory_info().rss / 2**20, 1),
        "rss_mb_peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--executions", type=int, required=True)
    parser.add_argument("--found", type=Path)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    found = [path.read_bytes() for path in sorted(given.found.iterdir())] if given.found else []
    json.dump(run(given.seed, given.executions, found, given.log), sys.stdout)


if __name__ == "__main__":
    main()
