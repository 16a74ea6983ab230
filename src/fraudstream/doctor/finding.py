"""What a check of the surroundings finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.inspect import KafkaInspector
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings

ASK_S = 4.0
"""How long a check waits for any one answer; less than what the whole examination is given."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be looked at, for a reason that another check tells."""
    WARNING = "warning"
    """It works, and will cost something: time, safety or an alert some day."""
    ERROR = "error"
    """It does not work."""


class Finding(NamedTuple):
    """One thing found.

    Attributes:
        level: How bad it is.
        found: What was found, a sentence.
        advice: What to do about it; nothing where nothing is wrong.
    """

    level: Level
    found: str
    advice: str = ""


def ok(found: str) -> Finding:
    """It is well."""
    return Finding(Level.OK, found)


def warning(found: str, advice: str) -> Finding:
    """It works, and will cost something."""
    return Finding(Level.WARNING, found, advice)


def error(found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(Level.ERROR, found, advice)


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        settings: The surroundings.
        plan: The pipeline; None: the surroundings alone.
        group: The consumer group of its scorers.
        folder: Where `notify.yaml` and `sinks.yaml` are looked for.
    """

    settings: Settings
    plan: Plan | None
    group: str | None
    folder: Path

    @cached_property
    def admin(self) -> KafkaAdmin:
        """For questions to Kafka."""
        return KafkaAdmin(self.settings, timeout_s=ASK_S)

    @cached_property
    def inspector(self) -> KafkaInspector:
        """For further questions to Kafka."""
        return KafkaInspector(self.settings, timeout_s=ASK_S)


class Check(NamedTuple):
    """One line of the table of checks.

    Attributes:
        name: What it is about.
        look: Looks, and says what it finds. An error meant for users is a finding, too.
        of_pipeline: Whether it is about a pipeline, and left out without one.
        of_kafka: Whether it asks Kafka, and is skipped where no broker answers.
    """

    name: str
    look: Callable[[Subject], Iterable[Finding]]
    of_pipeline: bool = False
    of_kafka: bool = False
