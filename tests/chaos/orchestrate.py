"""Kills and all other faults in a seeded mix under steady traffic; the checker's verdict now and then and at the end.

    python tests/chaos/orchestrate.py --kills 350 --minutes 60 --out bench/chaos.json

The seed decides the faults, their order and the traffic's contents. When exactly a signal lands the operating system
decides, so a replay repeats the plan and not every interleaving. No wait is without limit: a step that does not end
ends the run, and the result file, written after every step, says which.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent)]

import damage  # noqa: E402
from field import Field  # noqa: E402
from mix import Step, decks  # noqa: E402
from result import Result  # noqa: E402

from fraudstream.settings import load_settings  # noqa: E402
from runner.small import events, pipeline, score_here  # noqa: E402
from runner.workbench import Workbench  # noqa: E402

RATE = 120
STEP_WITHIN_S = 300.0
CHECK_WITHIN_S = 900.0
END_WITHIN_S = 240.0
"""So much of the time is kept for the last check."""
MOST_TROUBLE = 5
AT_LEAST = {"kills": 1, "restarts": 1, "aborted_records": 1, "records": 1_000}


class Watchdog:
    """Ends the process where a step takes longer than it may, with the stacks of all threads and the result so far."""

    def __init__(self, field: Field, result: Result) -> None:
        self._field, self._result = field, result
        self._step, self._until = "", float("inf")
        threading.Thread(target=self._watch, daemon=True).start()

    def expect(self, step: str, within_s: float) -> None:
        """The step that begins now, and how long it may take."""
        self._step, self._until = step, time.monotonic() + within_s

    def _watch(self) -> None:
        while time.monotonic() < self._until:
            time.sleep(1)
        faulthandler.dump_traceback()
        content = self._result.content
        content["stopped_by"] = f"a step that did not end: {self._step}"
        content["violations"] += 1
        content["violations_shown"].append(f"I6: {self._step} did not end")
        self._result.write(self._field)
        for scorer in self._field.scorers.running:
            scorer.send(signal.SIGUSR1)
        time.sleep(1)
        self._field.__exit__()
        os._exit(3)


class Run:
    """A run of the mix.

    Args:
        field: Where.
        result: Told everything.
        minutes, kills: It goes on until it has both.
        most_minutes: And ends, whatever it has, when this is over.
        check_every_s: How often all so far is checked.
    """

    def __init__(
        self, field: Field, result: Result, minutes: float, kills: int, most_minutes: float, check_every_s: float
    ) -> None:
        self._field, self._result = field, result
        self._check_every_s = check_every_s
        self._minutes, self._kills = minutes, kills
        self._end_s = most_minutes * 60 - min(END_WITHIN_S, most_minutes * 20)
        self._watchdog = Watchdog(field, result)
        self._checked_at_s = 0.0
        self._calm_at_s = 0.0

    def go(self, seed: int) -> None:
        """Deck after deck, with calm and checks between, and the last check."""
        damages = damages_of(self._field)
        for number, deck in enumerate(decks(seed, damages)):
            print(f"{self._result.seconds:6.0f} s  deck {number}: {', '.join(step.name for step in deck)}", flush=True)
            for step in deck:
                if self._over():
                    break
                self._take(step)
            self._calm()
            if self._over():
                break
            if self._result.seconds - self._checked_at_s > self._check_every_s:
                self._check()
        self._finish()

    def _over(self) -> bool:
        result = self._result
        enough = result.seconds >= self._minutes * 60 and self._field.observed["kills"] >= self._kills
        if enough or result.seconds >= self._end_s:
            result.content["stopped_by"] = "the end of the plan" if enough else "the clock"
            return True
        return len(result.content["trouble_of_the_run"]) >= MOST_TROUBLE

    def _take(self, step: Step) -> None:
        began = time.monotonic()
        self._guarded(step.name, STEP_WITHIN_S, lambda: step.do(self._field))
        print(f"{self._result.seconds:6.0f} s  {step.name} took {time.monotonic() - began:.1f} s", flush=True)

    def _calm(self) -> None:
        """A third of what the deck took, so that a quarter of all time is calm."""
        length_s = max(10.0, (self._result.seconds - self._calm_at_s) / 3)
        self._guarded("calm", length_s + STEP_WITHIN_S, lambda: self._field.rest(length_s))
        self._calm_at_s = self._result.seconds

    def _check(self) -> None:
        self._guarded("a check", CHECK_WITHIN_S, lambda: self._result.checked(self._field.check(AT_LEAST)))
        self._checked_at_s = self._calm_at_s = self._result.seconds
        print(f"{self._result.seconds:6.0f} s  checked: {self._result.content['checks'][-1:]}", flush=True)

    def _finish(self) -> None:
        field = self._field
        field.observed["fenced_said"] = field.scorers.said("error: Another process took")
        field.observed["redone"] = field.scorers.said("done again if it was not committed")
        field.observed["snapshots_rejected"] = field.scorers.said("An older snapshot or the log takes its place")
        field.observed["joined_anew"] = field.scorers.said("joining anew")
        at_least = AT_LEAST | {"kills": min(self._kills, 20), "redone": 1}
        checks = len(self._result.content["checks"])
        self._guarded("the last check", CHECK_WITHIN_S, lambda: self._result.checked(field.finish(at_least)))
        if len(self._result.content["checks"]) == checks:
            self._result.content["violations"] += 1
            self._result.content["violations_shown"].append("the last check could not be made")
            self._result.write(field)

    def _guarded(self, name: str, within_s: float, do: Callable[[], Any]) -> None:
        """Does something with a limit; trouble of the run's own goes on record, and it goes on with the next."""
        self._watchdog.expect(name, within_s)
        try:
            do()
        except Exception:
            traceback.print_exc()
            self._result.content["trouble_of_the_run"].append(f"{name}: {traceback.format_exc()[-300:]}")
            self._field.clear()
        self._watchdog.expect("", float("inf"))
        self._result.write(self._field)


def damages_of(field: Field) -> dict[str, damage.Damage]:
    """What snapshots suffer; the foreign one is made now, of the same definition over other topics."""
    folder = field.folder / "stranger"
    folder.mkdir()
    settings = load_settings({"bootstrap_servers": field.facts.bootstrap}, environ={}, folder=folder)
    bench = Workbench(settings, pipeline(shops=True), folder, "stranger")
    bench.produce(bench.pipeline.input.name, *events(300))
    score_here(bench)
    foreign = damage.snapshots(settings.project_folder / "state" / f"fraudstream-{bench.pipeline.name}-0")[0]
    return {
        "truncated": damage.truncated,
        "bit_flipped": damage.flipped,
        "old": damage.old,
        "gone": damage.all_gone,
        "foreign": damage.Foreign(foreign),
    }


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=350, help="at least so many")
    parser.add_argument("--minutes", type=float, default=60, help="at least so long")
    parser.add_argument(
        "--most-minutes", type=float, help="end in any case after; five more than --minutes unless given"
    )
    parser.add_argument("--check-minutes", type=float, default=10, help="check all so far as often as this")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=int, default=RATE, help="records a second")
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--keep", type=Path, help="keep everything in this folder")
    given = parser.parse_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    most = given.most_minutes or given.minutes + 5
    print(f"seed {seed}", flush=True)
    command = f"--kills {given.kills} --minutes {given.minutes:g} --rate {given.rate} --seed {seed}"
    result = Result(given.out, f"python tests/chaos/orchestrate.py {command}", seed, given.rate)
    folder: Path = given.keep or Path(tempfile.mkdtemp(prefix="fraudstream-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    with Field(folder, seed, given.rate, proxied=True) as field:
        Run(field, result, given.minutes, given.kills, most, given.check_minutes * 60).go(seed)
    if given.keep is None and not result.content["violations"]:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"all that there was is kept in {folder}", flush=True)
    summary: dict[str, Any] = {k: result.content[k] for k in ("seed", "hours", "kills", "violations", "stopped_by")}
    print(summary, result.content["violations_shown"], sep="\n", flush=True)
    return 1 if result.content["violations"] or result.content["trouble_of_the_run"] else 0


if __name__ == "__main__":
    sys.exit(main())
