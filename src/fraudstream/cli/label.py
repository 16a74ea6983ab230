"""`fraudstream label`: say what events turned out to be."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.history import Columns, pairs, progress
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError
from fraudstream.units import format_instant, parse_instant

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.runner.known_events import KnownEvents
    from fraudstream.runner.labels import SentLabel
    from fraudstream.settings import Settings

LOOK_BACK = 200_000
"""So many events are looked through in about two seconds."""
_AT_ONCE = 10_000


class Verdict(StrEnum):
    """What an event turned out to be."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    event_id: Annotated[str | None, typer.Argument(metavar="[EVENT_ID]", help="Which event.")] = None,
    label: Annotated[Verdict | None, typer.Argument(help="What it was.")] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Labels from a .csv, .jsonl or .parquet file.")
    ] = None,
    source: Annotated[str, typer.Option("--source", help="How it became known: verdict, chargeback, …")] = "verdict",
    by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who says so.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="INSTANT", help="When it became known; default: now.")
    ] = None,
    column: Columns = None,
    labels_topic: Annotated[
        str | None, typer.Option("--labels-topic", help="Topic of the labels; default: the pipeline's.")
    ] = None,
    look_back: Annotated[
        int, typer.Option("--look-back", min=0, help="Look for the events among so many; 0: do not look.")
    ] = LOOK_BACK,
    force: Annotated[bool, typer.Option("--force", help="Label an event that is not there; it may come yet.")] = False,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Say what an event turned out to be, or what the events of a file did; features of labels follow at once.

    A file has a column of event ids and one of labels, and may have labelled_at, event_at, source and by; --column
    label=OUTCOME names a column that is called otherwise. Rows that are no labels are told with their lines, the others
    are sent; then the exit code is 1.
    """
    from fraudstream.kafka.producer import require_topics
    from fraudstream.pipelines import find_plan

    if (import_ is None) == (event_id is None) or (event_id is not None and label is None):
        raise UsageError(
            "Nothing says what is to be labelled.", "Give EVENT_ID and fraud or legitimate, or --import FILE."
        )
    try:
        at_ms = time.time_ns() // 1_000_000 if at is None else parse_instant(at)
    except ValueError as wrong:
        raise UsageError(f"--at: {wrong}.") from None
    settings = settings_from(bootstrap_servers, config, values)
    plan = find_plan(pipeline, settings.pipelines_folder)
    topic = labels_topic or _topic_of(plan)
    require_topics(settings, [topic])
    said = _Said(at_ms, source, by)
    if event_id is not None and label is not None:
        _label_one(plan, settings, topic, said.of(event_id, label), look_back, force=force, as_json=as_json)
    else:
        assert import_ is not None
        _label_many(plan, settings, topic, import_, pairs(column or []), said, look_back, as_json=as_json)


class _Said:
    """What the options say of every label that does not say it itself."""

    def __init__(self, at_ms: int, source: str, by: str | None) -> None:
        self.at_ms, self.source, self.by = at_ms, source, by

    def of(
        self,
        event_id: str,
        label: str,
        at_ms: int | None = None,
        event_at_ms: int | None = None,
        source: str | None = None,
        by: str | None = None,
    ) -> SentLabel:
        from fraudstream.runner.labels import SentLabel

        return SentLabel(
            event_id=event_id,
            label=str(label),
            event_at=event_at_ms,
            labelled_at=self.at_ms if at_ms is None else at_ms,
            source=source or self.source,
            by=by or self.by,
        )


def _topic_of(plan: Plan) -> str:
    if plan.pipeline.labels is None:
        raise UsageError(
            f"The pipeline {plan.pipeline.name} reads no labels.",
            "Declare their topic with `labels: fraud-labels`, or name one with --labels-topic.",
        )
    return plan.pipeline.labels.name


def _label_one(
    plan: Plan, settings: Settings, topic: str, sent: SentLabel, look_back: int, *, force: bool, as_json: bool
) -> None:
    from msgspec.structs import replace

    from fraudstream.engine.event_ids import EventIds
    from fraudstream.kafka.producer import BulkProducer
    from fraudstream.runner.known_events import find_events

    try:
        sent = replace(sent, event_id=EventIds(plan.pipeline.event).known_as(sent.event_id))
    except ValueError as wrong:
        raise UsageError(f"{wrong}.") from None
    known = find_events(settings, plan, [sent.event_id], look_back) if look_back else None
    if known is not None and known.complete and not known.event_at_ms and not force:
        raise UsageError(
            f"No event of {plan.pipeline.input.name} has the id {sent.event_id!r}; all {known.looked_at:,} were "
            "looked at.",
            "Correct the id. With --force the label is sent all the same, and waits for its event.",
        )
    if known is not None and known.event_at_ms:
        sent = replace(sent, event_at=known.event_at_ms[sent.event_id])
    value, key = sent.record()
    producer = BulkProducer(settings)
    producer.send(topic, [value], [key])
    producer.flush()
    if as_json:
        show_json({"topic": topic, "sent": 1, "bad_rows": [], "events": _events(known), "label": sent})
        return
    print(f"{sent.event_id} is {sent.label} ({sent.source}) since {format_instant(sent.labelled_at)}; sent to {topic}")
    if known is None or not known.event_at_ms:
        show_note(f"note: {_unknown(known)}; an event that is not there yet gets its label when it comes.")


def _label_many(
    plan: Plan,
    settings: Settings,
    topic: str,
    path: Path,
    columns: dict[str, str],
    said: _Said,
    look_back: int,
    *,
    as_json: bool,
) -> None:
    from fraudstream.kafka.producer import BulkProducer
    from fraudstream.runner.known_events import find_events
    from fraudstream.training.label_file import BadRow, LabelFile

    file = LabelFile(path, plan.pipeline.event, columns)
    producer, total = BulkProducer(settings), file.count()
    waiting: list[tuple[bytes, bytes]] = []
    ids: set[str] = set()
    bad: list[BadRow] = []

    def send() -> None:
        producer.send(topic, [value for value, _ in waiting], [key for _, key in waiting])
        waiting.clear()

    with progress() as show:
        for line, row in file.rows():
            if isinstance(row, BadRow):
                bad.append(row)
                continue
            waiting.append(said.of(*row).record())
            ids.add(row.event_id)
            if len(waiting) == _AT_ONCE:
                send()
                show("labels", line, total)
        send()
        producer.flush()
    known = find_events(settings, plan, list(ids), look_back) if look_back and ids else None
    for wrong in bad:
        show_note(f"{path.name}:{wrong.line}: {wrong.reason}")
    if as_json:
        show_json({"topic": topic, "sent": producer.sent, "bad_rows": bad, "events": _events(known)})
    else:
        print(f"{producer.sent:,} labels of {len(ids):,} events sent to {topic}; {len(bad):,} rows are no labels")
        if known is not None and len(known.event_at_ms) < len(ids):
            found = f"{len(known.event_at_ms):,} of the {len(ids):,} events were found"
            show_note(f"note: {found}; of the others {_unknown(known)}.")
        elif known is None:
            show_note(f"note: {_unknown(known)}.")
    if bad:
        raise typer.Exit(1)


def _unknown(known: KnownEvents | None) -> str:
    """What is known of events that were not found."""
    if known is None:
        return "whether the events exist was not looked up"
    if known.complete:
        return f"none is among all {known.looked_at:,} events there are"
    return f"it is not known whether they exist: only the newest {known.looked_at:,} events were looked at"


def _events(known: KnownEvents | None) -> dict[str, object] | None:
    """What is known of the events, for machines."""
    if known is None:
        return None
    return {"found": len(known.event_at_ms), "looked_at": known.looked_at, "complete": known.complete}
