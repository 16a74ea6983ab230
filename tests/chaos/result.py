"""The result of a long run as a file, written anew after every step, so that whatever ends the run leaves it."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from field import Field

BESIDES = (
    "restarts", "drained", "redone", "fenced", "fenced_said", "joined_anew", "snapshots_rejected", "records",
    "aborted_records",
)  # fmt: skip
"""What is counted beside the faults: what scorers did about them."""
OUTCOMES = ("lived_through_", "ended_with_")


class Result:
    """Collects what a run is to show.

    Args:
        path: The file; None keeps it in memory.
        command: What makes the run again.
        seed, rate: Of the run.
    """

    def __init__(self, path: Path | None, command: str, seed: int, rate: int) -> None:
        self._path = path
        self._began = time.monotonic()
        self.content: dict[str, Any] = {
            "command": command,
            "seed": seed,
            "about": {
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "rate_per_s": rate,
                "broker": "one node",
                "begun_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
            "stopped_by": "not ended yet",
            "hours": 0.0,
            "calm_share": 0.0,
            "kills": 0,
            "kills_by_moment": {},
            "faults_observed": {},
            "outcomes": {},
            "violations": 0,
            "violations_shown": [],
            "time_to_recover_s": {},
            "latency_ms": {},
            "checks": [],
            "trouble_of_the_run": [],
        }

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def checked(self, verdict: dict[str, Any]) -> None:
        """Takes up a verdict; one that is not clean stays on record whatever later ones say."""
        content = self.content
        wrong = [each for each in verdict["violations"] if each not in content["violations_shown"]]
        content["violations"] += len(wrong)
        content["violations_shown"] += wrong
        content["latency_ms"] = verdict["latency_ms"]
        content["checks"].append(
            {"at_s": round(self.seconds), "violations": len(verdict["violations"]), **verdict["counts"]}
        )
        content["counts"] = verdict["counts"]
        content["observed_besides"] = {name: n for name, n in verdict["observed"].items() if name in BESIDES}

    def write(self, field: Field) -> None:
        """Brings counts and times up to date, and the file."""
        content = self.content
        content["hours"] = round(self.seconds / 3_600, 3)
        content["calm_share"] = round(sum(end - begin for begin, end in field.calm) / 1_000 / max(1, self.seconds), 3)
        content["kills"] = field.observed["kills"]
        seen = sorted(field.observed.items())
        content["kills_by_moment"] = dict(sorted(field.killed.items()))
        content["faults_observed"] = {"scorer_kills": field.observed["kills"]} | {
            name: n
            for name, n in seen
            if name not in field.killed and name not in ("kills", *BESIDES) and not name.startswith(OUTCOMES)
        }
        content["outcomes"] = {name: n for name, n in seen if name.startswith(OUTCOMES)}
        content.setdefault("observed_besides", {}).update({name: n for name, n in seen if name in BESIDES})
        content["time_to_recover_s"] = {"all": recovery([s for each in field.outages_s.values() for s in each])} | {
            kind: recovery(values) for kind, values in sorted(field.outages_s.items())
        }
        if not content["violations"]:
            content["failure_rate_below_at_95_percent"] = round(3 / max(1, content["kills"]), 4)
        else:
            content.pop("failure_rate_below_at_95_percent", None)
        if self._path is not None:
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            draft.replace(self._path)


def recovery(seconds: list[float]) -> dict[str, float | int | None]:
    """How many, the median and the longest."""
    ordered = sorted(seconds)
    return {
        "n": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 2) if ordered else None,
        "max": round(ordered[-1], 2) if ordered else None,
    }
