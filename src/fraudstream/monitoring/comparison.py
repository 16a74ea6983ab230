"""A challenger against the model that decided, on the same live events: agreement, alerts, and quality by labels."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from fraudstream.engine.column import Bools, Floats, Int64s, UInt64s
from fraudstream.engine.encode_shadow import Why
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.kernels.fingerprint import fingerprint_integers, fingerprints
from fraudstream.errors import ModelError
from fraudstream.evaluate.curves import average_precision, curve_of
from fraudstream.kafka.tail import TopicTail
from fraudstream.models.gate import Evidence
from fraudstream.monitoring.known import KnownLabels
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.units import MILLISECONDS

LEAST_FRAUDS = 30
"""With fewer known frauds than this one test says nothing."""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What the outcomes of one model were worth on the events whose truth is known.

    Attributes:
        average_precision: Of its own score.
        precision: The share of its alerts that were fraud; None without alerts.
        recall: The share of frauds it alerted on.
        caught: The money of these frauds, in major units; None where events have no amount.
    """

    average_precision: float
    precision: float | None
    recall: float
    caught: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger beside the live decisions of the champion.

    Attributes:
        version: The challenger.
        live: The version that decided.
        events: How many events both scored.
        same_outcome: The share of them with one outcome.
        more_alerts, fewer_alerts: Events that the challenger would have alerted on and the live decision did not, and
            the reverse.
        score_difference: The mean distance between the models' scores.
        labelled: Events whose truth is known, or that are old enough to count as legitimate without a label.
        frauds: How many of them are fraud.
        champion, challenger: The quality of both on them; None without a fraud.
    """

    version: str
    live: str
    events: int
    same_outcome: float
    more_alerts: int
    fewer_alerts: int
    score_difference: float
    labelled: int
    frauds: int
    champion: Quality | None
    challenger: Quality | None


class _Input(msgspec.Struct):
    topic: str


class _Live(msgspec.Struct):
    version: str | None
    model_score: float | None
    outcome: str


class _Record(msgspec.Struct):
    event_id: str | int
    input: _Input
    why: str
    version: str
    model_score: float | None
    outcome: str
    live: _Live
    amount: float | None
    event_at: int


def compare(
    plan: Plan,
    settings: Settings,
    versions: Sequence[str],
    champion: str,
    label_delay_ms: int = 7 * MILLISECONDS["d"],
) -> list[Comparison]:
    """Challengers beside the champion, by what is in the pipeline's shadow topic and its labels; in their order.

    Args:
        plan: The pipeline's plan.
        settings: Which cluster.
        versions: The challengers.
        champion: The version whose live decisions they are compared with.
        label_delay_ms: An event this much older than the newest that nobody labelled counts as legitimate.

    Raises:
        BrokerUnreachable, TopicError: The topics cannot be read.
    """
    found: dict[str, list[_Record]] = {version: [] for version in versions}
    known = _read(plan, settings, found, champion)
    return [_compared(plan, known, version, champion, found[version], label_delay_ms) for version in versions]


def evidence_of(found: Comparison, least_frauds: int = LEAST_FRAUDS) -> Evidence:
    """The evidence for a promotion that live events give.

    Raises:
        ModelError: Too few frauds are known among them.
    """
    if found.champion is None or found.challenger is None or found.frauds < least_frauds:
        raise ModelError(
            f"Of the {found.events:,} live events that {found.version} was asked about beside {found.live}, "
            f"{found.frauds:,} are known to be fraud; that is too few to say which is better ({least_frauds} are "
            "needed).",
            "Wait for more labels, or promote it on its manifest's metrics, without `--live`.",
        )
    return Evidence(
        champion=found.champion.average_precision,
        challenger=found.challenger.average_precision,
        test=f"{found.labelled:,} live events with {found.frauds:,} frauds",
    )


def _read(plan: Plan, settings: Settings, found: dict[str, list[_Record]], champion: str) -> KnownLabels:
    """Takes in the shadow records of these versions; returns the labels."""
    pipeline = plan.pipeline
    known = KnownLabels(EventIds(pipeline.event))
    labels = pipeline.labels.name if pipeline.labels is not None else None
    topics = [pipeline.shadow.name, *([labels] if labels is not None else [])]
    tail = TopicTail(settings, topics, from_beginning=True)
    said: list[tuple[bytes | None, int]] = []
    decoder = msgspec.json.Decoder(_Record)
    try:
        for record in tail.to_end():
            if record.topic == labels:
                said.append((record.value, record.timestamp_ms))
                continue
            try:
                shadow = decoder.decode(record.value or b"")
            except msgspec.MsgspecError:
                continue  # not written by this program
            is_ours = shadow.input.topic == pipeline.input.name and shadow.why == Why.CHALLENGER
            if is_ours and shadow.version in found and shadow.live.version == champion:
                found[shadow.version].append(shadow)
    finally:
        tail.close()
    if said:
        known.add([value for value, _ in said], np.array([at_ms for _, at_ms in said], np.int64))
    return known


def _compared(
    plan: Plan, known: KnownLabels, version: str, champion: str, found: list[_Record], label_delay_ms: int
) -> Comparison:
    both = [each for each in found if each.model_score is not None and each.live.model_score is not None]
    theirs, ours = (
        np.array([record.model_score for record in both], np.float64),
        np.array([record.live.model_score for record in both], np.float64),
    )
    alerted, alerted_live = (
        np.array([record.outcome != "approve" for record in both], np.bool_),
        np.array([record.live.outcome != "approve" for record in both], np.bool_),
    )
    same = np.array([record.outcome == record.live.outcome for record in both], np.bool_)
    at_ms = np.array([record.event_at for record in both], np.int64)
    labelled, fraud = known.of(_ids(plan, both))
    rows = _judged(labelled, at_ms, label_delay_ms)
    amount = None
    if plan.pipeline.event.amount is not None:
        amount = np.array([record.amount or 0.0 for record in both], np.float64)[rows]
    frauds = int(fraud[rows].sum())
    quality = [
        _quality(score[rows], alerts[rows], fraud[rows], amount) if frauds else None
        for score, alerts in ((ours, alerted_live), (theirs, alerted))
    ]
    return Comparison(
        version=version,
        live=champion,
        events=len(both),
        same_outcome=float(same.mean()) if len(both) else 1.0,
        more_alerts=int(np.count_nonzero(alerted & ~alerted_live)),
        fewer_alerts=int(np.count_nonzero(alerted_live & ~alerted)),
        score_difference=float(np.abs(theirs - ours).mean()) if len(both) else 0.0,
        labelled=len(rows),
        frauds=frauds,
        champion=quality[0],
        challenger=quality[1],
    )


def _judged(labelled: Bools, at_ms: Int64s, label_delay_ms: int) -> Int64s:
    """int64[m]: the events whose truth is known, or old enough to count as legitimate."""
    if not len(at_ms):
        return np.empty(0, np.int64)
    return np.flatnonzero(labelled | (at_ms <= at_ms.max() - label_delay_ms))


def _quality(score: Floats, alerted: Bools, fraud: Bools, amount: Floats | None) -> Quality:
    right = int(np.count_nonzero(alerted & fraud))
    return Quality(
        average_precision=average_precision(curve_of(score, fraud)),
        precision=right / int(alerted.sum()) if alerted.any() else None,
        recall=right / int(fraud.sum()),
        caught=None if amount is None else float(amount[alerted & fraud].sum()),
    )


def _ids(plan: Plan, records: list[_Record]) -> UInt64s:
    """uint64[n]: the low halves of the ids' fingerprints, as labels have them."""
    if not records:
        return np.empty(0, np.uint64)
    if EventIds(plan.pipeline.event).integer:
        return fingerprint_integers(np.array([int(each.event_id) for each in records], np.int64))[0]
    return fingerprints([str(each.event_id).encode() for each in records])[0]
