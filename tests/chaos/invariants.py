"""The invariants: functions from what was read to sentences on what is wrong with it, none where it holds."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kept import digest_of, read_kept
from reading import Record

MOST_SHOWN = 5


@dataclass
class Facts:
    """What the checker is told.

    Attributes:
        bootstrap, group: Whose offsets on which cluster.
        input, scores, alerts, dead_letters: Topics.
        id, time, key, amount: The event's fields.
        count, sum: The features recomputed: over the key, within the window.
        window_ms, dedup_ms: The window's length and the dedup horizon.
        histories: Further fields that have a history of their own, and how long each keeps its events: what is too old
            for one of them is late as well.
        planted: The poison that was sent: class and SHA-256 of the value (None without one).
        seen: A file of what a reader saw during the faults, or None.
        snapshot: The last snapshot, or None.
        calm: Stretches of time without faults, from and to in epoch milliseconds.
        observed: How often each fault was seen to have happened.
        at_least: What of it, and of `records` and `aborted_records`, there must be.
    """

    bootstrap: str
    group: str
    input: str
    scores: str
    alerts: str
    dead_letters: str
    id: str = "id"
    time: str = "at"
    key: str = "card"
    amount: str = "amount"
    count: str = "card_count"
    sum: str = "card_sum"
    window_ms: int = 3_600_000
    dedup_ms: int = 3_600_000
    histories: tuple[tuple[str, int], ...] = ()
    planted: tuple[tuple[str, str | None], ...] = ()
    seen: str | None = None
    snapshot: str | None = None
    calm: tuple[tuple[int, int], ...] = ()
    observed: dict[str, int] | None = None
    at_least: dict[str, int] | None = None

    @property
    def outputs(self) -> list[str]:
        """The topics a scorer writes."""
        return [self.scores, self.alerts, self.dead_letters]


@dataclass
class Found:
    """What was read, decoded. Decisions are in processing order, alerts and letters as they lie in their topics."""

    committed: dict[int, int]
    inputs: dict[tuple[int, int], Record]
    decisions: list[tuple[Record, dict[str, Any]]]
    alerts: list[dict[str, Any]]
    letters: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        committed: dict[int, int],
        inputs: list[Record],
        scores: list[Record],
        alerts: list[Record],
        dead: list[Record],
    ) -> Found:
        """Decodes what was read."""
        decisions = [(record, json.loads(record.value or b"")) for record in scores]
        decisions.sort(key=lambda each: each[1]["decision"]["sequence"])
        return cls(
            committed,
            {(record.partition, record.offset): record for record in inputs},
            decisions,
            [json.loads(record.value or b"") for record in alerts],
            [json.loads(record.value or b"") for record in dead],
        )


def coordinates(place: dict[str, Any]) -> tuple[int, int]:
    """Partition and offset of the `input` member of an output."""
    return place["partition"], place["offset"]


def shown(what: str, sentences: list[str]) -> list[str]:
    """The first few of many, and how many there are."""
    more = len(sentences) - MOST_SHOWN
    return [f"{what}: {each}" for each in sentences[:MOST_SHOWN]] + ([f"{what}: and {more} more"] if more > 0 else [])


def i1_exactly_once(found: Found) -> list[str]:
    """Every input record below the committed offset is in one decision or dead letter; nothing else is."""
    expected = {place for place in found.inputs if place[1] < found.committed.get(place[0], 0)}
    came = Counter(coordinates(each["decision"]["input"]) for _, each in found.decisions)
    came += Counter(coordinates(each["input"]) for each in found.letters)
    wrong = [f"{place} is missing" for place in sorted(expected - came.keys())]
    wrong += [f"{place} came {times} times" for place, times in sorted(came.items()) if times > 1]
    wrong += [f"{place} came, but is not committed" for place in sorted(came.keys() - expected)]
    sequences = [each["decision"]["sequence"] for _, each in found.decisions]
    if sequences != list(range(len(sequences))):
        wrong.append(f"the sequences of {len(sequences)} decisions have gaps or repetitions")
    return shown("I1", wrong)


def i2_order(found: Found, facts: Facts) -> list[str]:
    """For each key, decisions are made and lie in the order of the input's offsets."""
    made: dict[Any, tuple[int, int]] = {}
    wrong = []
    for _, each in found.decisions:
        key, place = each["event"][facts.key], coordinates(each["decision"]["input"])
        if key in made and place <= made[key]:
            wrong.append(f"{key}: {place} was decided after {made[key]}")
        made[key] = place
    lying: dict[Any, tuple[int, int, int]] = {}
    for record, each in sorted(found.decisions, key=lambda pair: (pair[0].partition, pair[0].offset)):
        key, place = each["event"][facts.key], coordinates(each["decision"]["input"])
        if key in lying and (record.partition, *place) <= lying[key]:
            wrong.append(f"{key}: {place} lies behind {lying[key][1:]} in the scores")
        lying[key] = (record.partition, *place)
    return shown("I2", wrong)


def i3_state(found: Found, facts: Facts) -> list[str]:
    """Count and sum within the window, and the flags late and duplicate, recomputed from the log the slow way."""
    histories: defaultdict[Any, list[tuple[int, int]]] = defaultdict(list)
    newest_of: dict[tuple[str, Any], int] = {}
    first: dict[Any, int] = {}
    newest = -(10**15)
    wrong = []
    for _, each in found.decisions:
        place = coordinates(each["decision"]["input"])
        # The event comes from the input's log, not from the decision.
        event = json.loads(found.inputs[place].value or b"") if place in found.inputs else each["event"]
        key, at, minor = event[facts.key], event[facts.time], round(event[facts.amount] * 100)
        newest = max(newest, at)
        original = first.get(event[facts.id], -(10**15))
        duplicate = abs(original - at) < facts.dedup_ms and original > newest - 2 * facts.dedup_ms
        late = False  # in any history; `alone` in the card's, whose features are recomputed
        alone = False
        for field, kept_ms in (*facts.histories, (facts.key, facts.window_ms)):
            owner = (field, event[field])
            alone = not duplicate and at <= newest_of.get(owner, -(10**15)) - kept_ms
            late |= alone
            if not (duplicate or alone):
                newest_of[owner] = max(newest_of.get(owner, at), at)
        history = histories[key]
        if not duplicate:
            first[event[facts.id]] = at
            if not alone:
                history.append((at, minor))
        kept_from = newest_of.get((facts.key, key), at) - facts.window_ms
        history[:] = [entry for entry in history if entry[0] > kept_from]
        window = (
            [minor]
            if alone
            else [amount for time, amount in history if max(kept_from, at - facts.window_ms) < time <= at]
        )
        flags, features = each["decision"]["flags"], each["decision"]["features"]
        expected = (duplicate, late, len(window), sum(window))
        actual = (
            "duplicate" in flags, "late" in flags, features[facts.count], round((features[facts.sum] or 0) * 100),
        )  # fmt: skip
        if expected != actual:
            wrong.append(f"{place}: duplicate, late, count, sum are {actual}, not {expected}")
    return shown("I3", wrong)


def i3_snapshot(found: Found, facts: Facts) -> list[str]:
    """The hash of what a snapshot keeps of the cards equals that of the log up to the snapshot's offsets."""
    if facts.snapshot is None:
        return []
    try:
        kept = read_kept(Path(facts.snapshot), facts.input)
    except (OSError, ValueError) as error:
        return shown("I3", [str(error)])
    decided = {coordinates(each["decision"]["input"]) for _, each in found.decisions}
    events = [
        json.loads(found.inputs[place].value or b"")
        for place in sorted(decided & found.inputs.keys())
        if place[1] < kept.offsets.get(place[0], 0)
    ]
    newest: dict[Any, int] = {}
    for event in events:
        newest[event[facts.key]] = max(newest.get(event[facts.key], -(10**15)), event[facts.time])
    histories: dict[Any, dict[Any, tuple[int, int]]] = {key: {} for key in newest}
    for event in events:
        if event[facts.time] > newest[event[facts.key]] - facts.window_ms:
            histories[event[facts.key]][event[facts.id]] = event[facts.time], round(event[facts.amount] * 100)
    expected = [tuple(sorted(each.values())) for each in histories.values()]
    if digest_of(expected) == digest_of(kept.histories):
        return []
    differing = len(set(expected) ^ set(kept.histories))
    return shown("I3", [f"{Path(facts.snapshot).name} keeps other histories than the log gives: {differing} differ"])


def i4_no_aborted_reads(seen: list[tuple[str, int, int, str]], fresh: list[Record]) -> list[str]:
    """A reader during the faults saw what a reader afterwards sees."""
    then, now = Counter(seen), Counter(record.fingerprint for record in fresh)
    wrong = [f"{each[:3]} was seen during the faults, and is not there" for each in sorted((then - now).elements())]
    wrong += [f"{each[:3]} is there, and was not seen during the faults" for each in sorted((now - then).elements())]
    return shown("I4", wrong)


def i5_atomic(found: Found) -> list[str]:
    """There is an alert exactly where the decision says so, and it says the same."""
    due = {
        coordinates(each["decision"]["input"]): (each["decision"]["score"], each["decision"]["features"])
        for _, each in found.decisions
        if each["decision"]["outcome"] in ("review", "block") and "duplicate" not in each["decision"]["flags"]
    }
    came = Counter(coordinates(each["input"]) for each in found.alerts)
    wrong = [f"{place} has no alert" for place in sorted(due.keys() - came.keys())]
    wrong += [f"{place} has an alert, and no decision asks for it" for place in sorted(came.keys() - due.keys())]
    wrong += [f"{place} has {times} alerts" for place, times in sorted(came.items()) if times > 1]
    wrong += [
        f"{coordinates(each['input'])}: alert and decision differ"
        for each in found.alerts
        if due.get(coordinates(each["input"]), (each["score"], each["features"])) != (each["score"], each["features"])
    ]
    return shown("I5", wrong)


def i6_live(
    committed: dict[int, int], input_ends: dict[int, int], stable: dict[Any, int], high: dict[Any, int]
) -> list[str]:
    """After healing nothing is left to do, and no transaction hangs."""
    wrong = [
        f"partition {partition} is committed to {committed.get(partition, 0)} of {end}"
        for partition, end in sorted(input_ends.items())
        if committed.get(partition, 0) < end
    ]
    wrong += [
        f"{place}: last stable offset {stable[place]} of {end}" for place, end in high.items() if stable[place] < end
    ]
    return shown("I6", wrong)


def i9_dead_letters(found: Found, facts: Facts) -> list[str]:
    """Poison planted is poison found, by class and hash; the bytes kept are those of the record it names."""
    planted = Counter(tuple(each) for each in facts.planted)
    came = Counter((each["class"], each["value_sha256"]) for each in found.letters)
    wrong = [
        f"{name} ({(digest or '')[:12]}) was planted, and is no dead letter"
        for name, digest in (planted - came).elements()
    ]
    wrong += [
        f"{name} ({(digest or '')[:12]}) is a dead letter, and was not planted"
        for name, digest in (came - planted).elements()
    ]
    for each in found.letters:
        record = found.inputs.get(coordinates(each["input"]))
        value = record.value if record else None
        kept = None if each["value_base64"] is None else base64.b64decode(each["value_base64"])
        digest = None if value is None else hashlib.sha256(value).hexdigest()
        if record is None or digest != each["value_sha256"] or kept != (None if value is None else value[:65_536]):
            wrong.append(f"{coordinates(each['input'])}: the dead letter does not hold the record's bytes")
    return shown("I9", wrong)


def i10_service(
    found: Found, seen: list[tuple[str, int, int, str, int]], facts: Facts
) -> tuple[dict[str, Any], list[str]]:
    """From the input's timestamp to a reader's sight of the decision, in ms, apart for calm and for faults."""
    sent_at = {
        (record.topic, record.partition, record.offset): found.inputs[coordinates(each["decision"]["input"])].at_ms
        for record, each in found.decisions
        if coordinates(each["decision"]["input"]) in found.inputs
    }
    took: dict[str, list[int]] = {"calm": [], "faults": []}
    for topic, partition, offset, _, seen_at in seen:
        sent = sent_at.get((topic, partition, offset))
        if sent is not None:
            calm = any(begin <= sent and seen_at <= end for begin, end in facts.calm)
            took["calm" if calm else "faults"].append(seen_at - sent)
    wrong = ["no decision was seen in calm"] if facts.calm and not took["calm"] else []
    return {name: spread(values) for name, values in took.items() if values}, shown("I10", wrong)


def spread(values: list[int]) -> dict[str, int]:
    """How many, the median, the 99th percentile and the greatest."""
    ordered = sorted(values)
    at = {
        name: ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for name, share in (("p50", 50), ("p99", 99))
    }
    return {"n": len(ordered), **at, "max": ordered[-1]}


def i13_not_vacuous(observed: dict[str, int], at_least: dict[str, int]) -> list[str]:
    """The faults happened."""
    wrong = [
        f"{name} was seen {observed.get(name, 0)} times, not {least}"
        for name, least in at_least.items()
        if observed.get(name, 0) < least
    ]
    return shown("I13", wrong)
