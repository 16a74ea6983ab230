"""Kills and other faults in a seeded mix under steady traffic, and the checker's verdict on what came out.

    python tests/chaos/orchestrate.py --kills 350 --out bench/chaos.json

The seed decides the faults, their order and the traffic's contents. When exactly a signal lands the operating system
decides, so a replay repeats the plan and not every interleaving.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent)]

import faults  # noqa: E402
from field import Field  # noqa: E402

RATE = 150


def plan(dice: random.Random, kills: int, *, rare: bool) -> list[tuple[str, Callable[[Field], Any]]]:
    """What happens, in order: kills at failpoints and any moment, clean ends between them, and the rarer faults."""
    steps: list[tuple[str, Callable[[Field], Any]]] = []
    for _ in range(kills):
        if dice.random() < 0.25:
            own = random.Random(dice.random())
            steps.append(("any moment", partial(faults.at_any_moment, dice=own)))
        else:
            point, number = dice.choice(faults.POINTS), dice.choice((1, 1, 2, 3, 10, 40))
            number = 1 if point in (*faults.AT_THE_END, "restore", "replay", "init") else number
            delay_ms = dice.choice((0, 0, 5, 30))
            steps.append((point, partial(faults.at_failpoint, point=point, number=number, delay_ms=delay_ms)))
    for _ in range(kills // 12):
        steps.insert(dice.randrange(len(steps)), ("end in order", faults.end_in_order))
    if rare:
        for _ in range(5):
            steps.insert(dice.randrange(len(steps)), ("broker killed", faults.broker_killed))
        for _ in range(3):
            steps.insert(dice.randrange(len(steps)), ("broker paused", partial(faults.broker_paused, seconds=7)))
            steps.insert(dice.randrange(len(steps)), ("zombie", partial(faults.zombie, seconds=11)))
            steps.insert(dice.randrange(len(steps)), ("sleeper", partial(faults.sleeper, seconds=12)))
    return steps


def run(seed: int, kills: int, rate: int, folder: Path, *, rare: bool = True, minutes: float = 60) -> dict[str, Any]:
    """Runs a plan, or as much of it as the minutes allow; returns what was seen and the verdict."""
    dice = random.Random(seed)
    steps = plan(dice, kills, rare=rare)
    began, taken = time.monotonic(), 0
    with Field(folder, seed, rate) as field:
        for number, (name, fault) in enumerate(steps):
            if time.monotonic() - began > minutes * 60:
                break
            if number % 20 == 0:
                done, at = field.observed["kills"], time.monotonic() - began
                print(f"{at:6.0f} s  {done:4} kills  {field.traffic.sent:7} sent  next: {name}", flush=True)
            fault(field)
            taken = number + 1
        faults_done = dict(field.observed)
        field.observed["fenced_said"] = field.scorers.said("error: Another process took")
        field.observed["redone"] = field.scorers.said("done again if it was not committed")
        verdict = field.finish({"kills": 1, "restarts": 1, "aborted_records": 1, "records": 1_000})
        outages = sorted(field.outages_s)
    given = f"--kills {kills} --rate {rate} --seed {seed} --minutes {minutes:g}"
    return {
        "command": f"python tests/chaos/orchestrate.py {given}",
        "seed": seed,
        "about": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "rate_per_s": rate,
            "broker": "one node",
        },
        "seconds": round(time.monotonic() - began),
        "kills": faults_done["kills"],
        "kills_asked": kills,
        "stopped_by": "the minutes" if len(steps) > taken else "the end of the plan",
        "faults_observed": verdict["observed"],
        "counts": verdict["counts"],
        "time_to_recover_s": {
            "n": len(outages),
            "p50": round(outages[len(outages) // 2], 2) if outages else None,
            "max": round(outages[-1], 2) if outages else None,
        },
        "violations": len(verdict["violations"]),
        "violations_shown": verdict["violations"],
        "failure_rate_below_at_95_percent": None
        if verdict["violations"]
        else round(3 / max(1, faults_done["kills"]), 4),
    }


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=350)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=int, default=RATE, help="records a second")
    parser.add_argument("--minutes", type=float, default=60, help="begin no further fault after this long")
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--keep", type=Path, help="keep everything in this folder")
    given = parser.parse_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fraudstream-chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run(seed, given.kills, given.rate, folder, minutes=given.minutes)
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if given.out:
        given.out.write_text(text)
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
