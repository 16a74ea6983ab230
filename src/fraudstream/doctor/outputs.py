"""Checks of who is told and where alerts are delivered: `notify.yaml` and `sinks.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fraudstream.doctor.finding import Finding, Subject, error, ok
from fraudstream.errors import DefinitionError
from fraudstream.notify.load import load_notifications
from fraudstream.sinks.load import load_sinks

NOTIFY_FILE, SINKS_FILE = Path("notify.yaml"), Path("sinks.yaml")


def channels(subject: Subject) -> Iterator[Finding]:
    """The channels are declared rightly, and name rules that there are."""

    def load(path: Path) -> list[str]:
        declared = load_notifications(path)
        if subject.plan is not None:
            own = (condition.pipelines for each in declared.channels.values() for condition in each.when)
            if {name for names in own for name in names} <= {subject.plan.pipeline.name}:
                declared.check_against([subject.plan.pipeline])
        return list(declared.channels)

    yield _declared(subject.folder / NOTIFY_FILE, load, "nobody is told of alerts", "fraudstream notify check")


def sinks(subject: Subject) -> Iterator[Finding]:
    """The sinks are declared rightly."""
    path = subject.folder / SINKS_FILE
    yield _declared(path, lambda path: list(load_sinks(path)), "alerts go to no other system", "fraudstream sink check")


def _declared(path: Path, load: Callable[[Path], list[str]], without: str, command: str) -> Finding:
    if not path.exists():
        return ok(f"There is no {path.name} here: {without}.")
    try:
        return ok(f"{path.name} declares {', '.join(load(path))}.")
    except DefinitionError as wrong:
        first = wrong.problems[0]
        return error(
            f"{path} has {len(wrong.problems)} problems, the first: {first.path}: {first.found}", f"Run `{command}`."
        )
