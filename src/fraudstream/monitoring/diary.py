"""What retraining did, step by step: lines that are only ever added to a file beside the model's versions.

models/<name>/retraining.jsonl
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from fraudstream.models.gate import Evidence


class Step(StrEnum):
    """What was done."""

    BEGAN = "began"
    TRAINED = "trained"
    COMPARED = "compared"
    SHADOWED = "shadowed"
    PROMOTED = "promoted"
    PROPOSED = "proposed"
    """The version waits as a challenger for a person to decide."""
    KEPT = "kept"
    """The champion stays; the version was retired, or is the champion itself."""
    FAILED = "failed"


ENDS = (Step.PROMOTED, Step.PROPOSED, Step.KEPT, Step.FAILED)
"""A run ends with one of these; one without was ended from outside."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line.

    Attributes:
        at: When, ISO 8601.
        run: Which run it belongs to; the instant it began.
        step: What was done.
        text: The same as a sentence.
        version: The version in hand.
        champion: The champion at that moment.
        evidence: Both on one test.
        metrics: What the version was worth on its test.
        labels: How many events were labelled when the run began.
    """

    at: str
    run: str
    step: Step
    text: str
    version: str | None = None
    champion: str | None = None
    evidence: Evidence | None = None
    metrics: dict[str, float] = {}
    labels: int | None = None


class Diary:
    """The history of retraining of one model.

    Args:
        folder: Where artefacts are kept.
        name: The model's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name / "retraining.jsonl"

    def entries(self) -> list[Entry]:
        """Every line, the oldest first; one that was cut short by a crash is left out."""
        found = []
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        for line in lines:
            try:
                found.append(msgspec.json.decode(line, type=Entry))
            except msgspec.MsgspecError:
                continue
        return found

    def last_run(self) -> Entry | None:
        """How the last run began."""
        return next((entry for entry in reversed(self.entries()) if entry.step is Step.BEGAN), None)

    def add(self, entry: Entry) -> Entry:
        """Adds a line, on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("ab") as file:
            file.write((b"" if whole else b"\n") + msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return entry


def now() -> str:
    """The present instant as entries give it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
