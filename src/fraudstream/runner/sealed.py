"""Sealed dead letters that name a person: what is to be forgotten when the person is erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fraudstream.engine.deadletter import original_of, place_of
from fraudstream.errors import SettingError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import check_reachable
from fraudstream.plan.plan import Plan
from fraudstream.runner.letters import read_letters
from fraudstream.runner.naming import as_in_records, names
from fraudstream.settings import Settings


class Sealed(NamedTuple):
    """What is to be forgotten of dead letters.

    Attributes:
        places: For each key that letters are sealed with, for which places those are that name a subject.
        unknown: How many cannot be opened with the keys held, so that nobody can tell.
    """

    places: dict[str, set[str]]
    unknown: int


def sealed_naming(settings: Settings, plan: Plan, subject: str, tokens: Sequence[str]) -> Sealed:
    """Which of a pipeline's sealed dead letters name a subject, or have one of its tokens in them.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
    """
    places: dict[str, set[str]] = {}
    unknown, topic = 0, plan.pipeline.dead_letters.name
    if not plan.pipeline.event.sensitive:
        return Sealed(places, unknown)
    check_reachable(settings)
    if topic not in KafkaAdmin(settings).topics():
        return Sealed(places, unknown)
    searched = as_in_records(subject, tokens)
    for letter in read_letters(settings, topic, plan.pipeline.name):
        if "sealed_with" not in letter.members:
            continue
        try:
            original = original_of(letter.members)
        except (ValueError, SettingError):  # of a key that is lost; or no scorer wrote it
            unknown += 1
            continue
        if original is not None and any(names(part, searched) for part in original if part is not None):
            places.setdefault(letter.members["sealed_with"], set()).add(place_of(letter.members))
    return Sealed(places, unknown)
