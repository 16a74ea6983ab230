"""Dead letters sent through again: chosen, each once, as they came.

What was sent again is on record beside the letters: a note for each, in the transaction that sent it. So the topic of
dead letters alone says what is left to do, whatever happened to earlier attempts.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from fraudstream.engine.deadletter import LARGEST_VALUE, Original, original_of
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.resend import Again, Resender, Spot, records_at
from fraudstream.plan.plan import Plan
from fraudstream.runner.letters import Letter, read_letters
from fraudstream.settings import Settings
from fraudstream.tokens.held import held_keys

LETTER_HEADER = "fraudstream-dead-letter"
INPUT_HEADER = "fraudstream-input"
CLASS_HEADER = "fraudstream-class"
AT_ONCE = 500
"""How many are sent in one transaction."""


class Chosen(NamedTuple):
    """Which dead letters are meant: those that pass everything that is said.

    Attributes:
        classes: Of one of these classes.
        since_ms: Written at or after this instant.
        until_ms: Written before this one.
        inputs: Of the records at these places of the input.
    """

    classes: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    inputs: frozenset[Spot] = frozenset()

    def holds(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.classes or letter.kind in self.classes)
            and (self.since_ms is None or letter.written_at_ms >= self.since_ms)
            and (self.until_ms is None or letter.written_at_ms < self.until_ms)
            and (not self.inputs or letter.came_from in self.inputs)
        )


@dataclass
class Redriven:
    """What was found, by class, and what became of it.

    Attributes:
        chosen: Those that are meant.
        before: Those of them that were sent again before.
        gone: Those whose bytes are not all in the letter, and no longer in the input, by the places of their records.
        erased: Those that named a person who was erased: nobody can open them any more.
        ready: Those that are left to send.
        sent: Where each of them stands now, if they were sent.
    """

    chosen: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    gone: dict[Spot, str] = field(default_factory=dict)
    erased: Counter[str] = field(default_factory=Counter)
    ready: Counter[str] = field(default_factory=Counter)
    sent: list[Spot] = field(default_factory=list)


def redrive(plan: Plan, settings: Settings, chosen: Chosen, *, send: bool) -> Redriven:
    """Finds the dead letters that are meant and were not sent again yet, and sends them if that is wanted.

    Args:
        plan: Whose dead letters.
        settings: Which cluster, as whom.
        chosen: Which of them.
        send: Whether to send them; else they are only counted.

    Raises:
        BrokerUnreachable, TopicError: The topics cannot be read or written.
        SettingError: Letters are sealed with a key that is not held.
        FencedError: Another process does the same.
    """
    name, topic = plan.pipeline.name, plan.pipeline.dead_letters.name
    # Opened before anything is read: what an earlier attempt still had open is decided then, one way or the other.
    resender = Resender(settings, f"fraudstream-{name}.redrive") if send else None
    try:
        letters, done = _read(settings, topic, name)
        found = Redriven()
        wanted = [each for each in letters if chosen.holds(each)]
        found.chosen.update(each.kind for each in wanted)
        found.before.update(each.kind for each in wanted if each.place in done)
        ready = _originals(settings, [each for each in wanted if each.place not in done], found)
        found.ready.update(letter.kind for letter, _ in ready)
        partitions = {found_topic: each.partitions for found_topic, each in KafkaAdmin(settings).topics().items()}
        for start in range(0, len(ready) if resender is not None else 0, AT_ONCE):
            part = ready[start : start + AT_ONCE]
            assert resender is not None
            again = [_again(letter, original, partitions) for letter, original in part]
            found.sent += resender.send(again, topic, lambda spots, part=part: _notes(name, part, spots))  # type: ignore[misc]
        return found
    finally:
        if resender is not None:
            resender.close()


def _read(settings: Settings, topic: str, pipeline: str) -> tuple[list[Letter], set[Spot]]:
    """The pipeline's dead letters in the order of partitions and offsets, and the places of those sent again."""
    letters, done = [], set()
    for letter, place in read_letters(settings, topic, pipeline):
        if letter is None:
            done.add(place)
        else:
            letters.append(letter)
    return sorted(letters), done


def _originals(settings: Settings, letters: Sequence[Letter], found: Redriven) -> list[tuple[Letter, Original]]:
    """Each letter with the record it was; what is cut off in the letter is taken from the input, if it is there."""
    opened: list[tuple[Letter, Original]] = []
    for letter in letters:
        original = original_of(letter.members)
        if original is None:
            found.erased[letter.kind] += 1
        else:
            opened.append((letter, original))
    cut = {letter.came_from for letter, original in opened if _is_cut(letter, original)}
    there = records_at(settings, cut)
    ready = []
    for letter, original in opened:
        if letter.came_from in cut:
            if letter.came_from not in there or not _is_same(letter, there[letter.came_from][1]):
                found.gone[letter.came_from] = letter.kind
                continue
            original = Original(*there[letter.came_from])
        ready.append((letter, original))
    return ready


def _is_cut(letter: Letter, original: Original) -> bool:
    """Whether the letter does not hold the whole record; of the key no more is known than how much of it there is."""
    return bool(letter.members["truncated"]) or (original.key is not None and len(original.key) >= LARGEST_VALUE)


def _is_same(letter: Letter, value: bytes | None) -> bool:
    """Whether a record of the input is the one that became the letter: the topic may have been made anew."""
    members = letter.members
    if value is None:
        return members["value_length"] is None
    if "value_hmac" in members:
        return bool(members["value_hmac"] == held_keys().digest(value, members["sealed_with"]))
    return bool(members["value_sha256"] == hashlib.sha256(value).hexdigest())


def _again(letter: Letter, original: Original, partitions: dict[str, int]) -> Again:
    topic, partition, _ = letter.came_from
    key, value = original
    headers = [
        (LETTER_HEADER, _written(letter.place)),
        (INPUT_HEADER, _written(letter.came_from)),
        (CLASS_HEADER, letter.kind.encode()),
    ]
    # Its own partition keeps it among the records of its key; if there are fewer by now, its key decides.
    where = partition if partition < partitions.get(topic, 0) else -1
    return Again(topic, where, int(letter.members["kafka_timestamp"]), key, value, headers)


def _notes(pipeline: str, part: Iterable[tuple[Letter, Original]], spots: Sequence[Spot]) -> list[bytes]:
    at_ms = time.time_ns() // 1_000_000
    return [
        msgspec.json.encode(
            {
                "redriven": _members(letter.place),
                "as": _members(spot),
                "class": letter.kind,
                "input": _members(letter.came_from),
                "pipeline": pipeline,
                "redriven_at": at_ms,
            }
        )
        for (letter, _), spot in zip(part, spots, strict=True)
    ]


def _members(spot: Spot) -> dict[str, str | int]:
    topic, partition, offset = spot
    return {"topic": topic, "partition": partition, "offset": offset}


def _written(spot: Spot) -> bytes:
    return "/".join(map(str, spot)).encode()
