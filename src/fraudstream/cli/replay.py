"""`fraudstream replay`: a history through a changed pipeline, against what was decided."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.history import (
    Columns,
    LabelColumn,
    TimeColumn,
    TruthSource,
    Without,
    duration,
    instant,
    note_rejected,
    open_history,
    pairs,
    progress,
    truth_for,
)
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import DataError, UsageError
from fraudstream.units import format_instant, format_money

if TYPE_CHECKING:
    from fraudstream.engine.program import Scorer
    from fraudstream.plan.plan import Plan
    from fraudstream.replay.compare import Comparison
    from fraudstream.replay.decided import OnRecord
    from fraudstream.replay.run import Contender
    from fraudstream.replay.source import FileSource, RecordedSource
    from fraudstream.settings import Settings

LabelDelay = Annotated[str, typer.Option("--label-delay", help="How long after an event its label comes.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="INSTANT", help="Event time to begin at; before it is history only.")
]
To = Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Event time to end before.")]
_OUTCOMES = ("approve", "review", "block")


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="The pipeline as it is.")],
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="FILE | NAME", help="The pipeline as it might be.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="VERSION", help="The candidate's model; default: the champion.")
    ] = None,
    from_at: From = None,
    to_at: To = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="FILE | TOPIC",
            help="A history file, or a topic of events; default: the decisions on the pipeline's topics.",
        ),
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option("--decisions", metavar="FILE", help="Decisions in envelope form, one a line.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="With --decisions: label records, one a line.")
    ] = None,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    label_delay: LabelDelay = "7d",
    segment: Annotated[
        list[str] | None, typer.Option("--segment", metavar="FIELD", help="Field or feature to split by; repeatable.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0, help="Minutes an analyst takes for a review.")] = 10,
    examples: Annotated[int, typer.Option("--examples", min=0, help="Examples of each kind of change.")] = 3,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Run a history through a changed pipeline, and show what would have been decided otherwise and what it is worth.

    The candidate may differ in features, rules, lists, policy, model or all of them. Without files the history is the
    decisions on the pipeline's own topics, in their recorded order, compared with what was decided then. With --data
    both pipelines decide the file. The truth is a column, a file, or the labels that came.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.replay.compare import compare
    from fraudstream.replay.contenders import scorer_for, shared
    from fraudstream.replay.run import Contender, run

    started = time.monotonic()
    if candidate is None and model is None:
        raise UsageError("Nothing is changed.", "Give a changed pipeline with --candidate, or a model with --model.")
    if data is not None and decisions is not None:
        raise UsageError("--data and --decisions are both given.", "A history is one or the other.")
    from_ms, to_ms = instant("--from", from_at), instant("--to", to_at)
    settings = settings_from(bootstrap_servers, config, values)
    declared = find_plan(pipeline, settings.pipelines_folder)
    changed = declared if candidate is None else find_plan(candidate, settings.pipelines_folder)
    delay_ms = duration("--label-delay", label_delay)
    before: Contender | OnRecord
    source: FileSource | RecordedSource
    theirs: Scorer | None = scorer_for(changed, settings.models_folder, model)
    with progress() as show:
        if data is not None:
            plan, changed, source = from_file(
                declared, changed, data, column, without, time_column, label, truth, delay_ms, settings
            )
            champion, theirs = shared(scorer_for(plan, settings.models_folder), theirs)
            before = Contender(plan, champion, len(source))
        else:
            source, before = _on_record(declared, settings, decisions, labels, delay_ms)
            before.only_between(from_ms, to_ms)
        after = Contender(changed, theirs, len(source))
        contenders = [after] if data is None else [before, after]
        _require_segments(contenders[0].plan, segment or [])  # type: ignore[union-attr]
        facts = run(
            contenders,  # type: ignore[arg-type]
            source,
            from_ms=from_ms,
            to_ms=to_ms,
            segments=segment or (),
            show=lambda n: show("replay", n, len(source)),
        )
        found = compare(before, after, facts, source, minutes, examples)
    if data is not None:
        note_rejected(source.history)  # type: ignore[union-attr]
    if after.degraded:
        show_note(f"note: {after.degraded:,} events were decided without the candidate's model: none is at hand.")
    if found is None:
        raise DataError(f"{source.name} has no event in the period.", "Choose another --from and --to.")
    seconds = time.monotonic() - started
    if as_json:
        show_json(document(found) | {"seconds": round(seconds, 2), "source": source.name})
    else:
        _print(found, declared, changed, source.name, minutes)


def from_file(
    declared: Plan,
    changed: Plan,
    data: str,
    column: list[str] | None,
    without: list[str] | None,
    time_column: str | None,
    label: str | None,
    truth: str | None,
    delay_ms: int,
    settings: Settings,
) -> tuple[Plan, Plan, FileSource]:
    """Both plans without the fields a history does not have, and the history with its truth."""
    from fraudstream.replay.source import FileSource
    from fraudstream.training.history import History
    from fraudstream.training.without import plan_without

    plan, history = open_history(declared, data, column, without, time_column, settings)
    known = truth_for(history, plan, label, truth, settings)

    def reopen(event: Any) -> History:
        return History(history.source, event, pairs(column or []), time_column)

    return plan, plan_without(changed, without or []), FileSource(history, reopen, known, delay_ms)


def _on_record(
    plan: Plan, settings: Settings, decisions: Path | None, labels: Path | None, delay_ms: int
) -> tuple[RecordedSource, OnRecord]:
    """The decisions on the topics or in a file, as a history and as what was decided."""
    from fraudstream.replay.decided import read_decided
    from fraudstream.replay.past import labels_in_file, labels_in_topic
    from fraudstream.replay.recorded import outputs_in_file, outputs_in_topics
    from fraudstream.replay.source import RecordedSource

    if decisions is not None:
        past, record = read_decided(partial(outputs_in_file, decisions), plan, decisions.name)
        known = None if labels is None else labels_in_file(plan, labels)
        name = decisions.name
    else:
        topics = [route.topic for route in plan.pipeline.json_routes]
        name = ", ".join(topics)
        past, record = read_decided(partial(outputs_in_topics, settings, topics), plan, name)
        known = labels_in_topic(settings, plan)
    return RecordedSource(name, past, plan.pipeline.input.name, known, delay_ms), record


def _require_segments(plan: Plan, segments: list[str]) -> None:
    from fraudstream.schema.types import Kind

    for name in segments:
        if name not in plan.types:
            raise UsageError(f"--segment {name} is no field and no feature.", f"They are: {', '.join(plan.types)}.")
        if plan.types[name].kind in (Kind.FLOAT, Kind.TIMESTAMP):
            raise UsageError(
                f"--segment {name} is {plan.types[name]}, with a segment for almost every event.",
                "Declare a feature with a few values, like `big: {expression: amount > 100}`.",
            )


def document(found: Comparison) -> dict[str, Any]:
    """The comparison for machines; money in minor units."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found)
    for side in ("before", "after"):
        tally = getattr(found, side)
        plain[side] = tally._asdict() | {"alerts": tally.alerts, "precision": tally.precision, "recall": tally.recall}
    for segment, each in zip(plain["segments"], found.segments, strict=True):
        segment["before"], segment["after"] = each.before._asdict(), each.after._asdict()
    return plain


def _print(found: Comparison, before: Plan, after: Plan, source: str, minutes: float) -> None:
    def money(minor: int) -> str:
        return format_money(minor, found.scale)

    was, would = found.before, found.after
    first, last = format_instant(found.first_at_ms)[:16], format_instant(found.last_at_ms)[:16]
    print(f"{after.pipeline.name} {after.versions.pipeline} against {before.pipeline.name} {before.versions.pipeline}")
    print(f"  {found.events:,} events of {source}, {first} to {last}; {found.changed:,} decided otherwise")
    if found.only_before or found.only_after:
        print(f"  no events to one of the two: {found.only_after:,} before, {found.only_before:,} after")
    print()
    rows = [[f"{name} before", *found.matrix[i]] for i, name in enumerate(_OUTCOMES)]
    show_table(["", *(f"{name} after" for name in _OUTCOMES)], rows, right=[f"{name} after" for name in _OUTCOMES])
    print()
    lines = [
        ("alerts", was.alerts, would.alerts),
        ("reviews a day", *(f"{t.reviewed / found.days:,.1f}" for t in (was, would))),
        ("hours of review", *(f"{t.reviewed * minutes / 60:,.1f}" for t in (was, would))),
    ]
    if was.known:
        lines += [
            ("precision of alerts", *(f"{t.precision:.1%}" for t in (was, would))),
            ("frauds alerted", *(f"{t.recall:.1%}" for t in (was, would))),
            ("frauds approved", was.fraud_approved, would.fraud_approved),
            ("money of frauds approved", money(was.fraud_approved_minor), money(would.fraud_approved_minor)),
            ("genuine blocked", was.genuine_blocked, would.genuine_blocked),
            ("money of genuine blocked", money(was.genuine_blocked_minor), money(would.genuine_blocked_minor)),
        ]
    else:
        lines.append(("truth", "unknown", "unknown"))
    show_table(["", "before", "after"], lines, right=["before", "after"])
    moved = [rule for rule in found.rules if rule.hits_before != rule.hits_after]
    if moved:
        print()
        show_table(
            ["rule", "hits before", "after", "frauds before", "after "],
            [
                [
                    r.code,
                    *("–" if h is None else h for h in (r.hits_before, r.hits_after)),
                    r.frauds_before,
                    r.frauds_after,
                ]
                for r in moved
            ],
            right=["hits before", "after", "frauds before", "after "],
        )
    if any(each.changed for each in found.segments):
        print()
        show_table(
            ["segment", "events", "changed", "alerts before", "after", "frauds approved before", "after "],
            [
                [f"{s.field} {s.value}", s.events, s.changed, s.before.alerts, s.after.alerts,
                 s.before.fraud_approved, s.after.fraud_approved]
                for s in found.segments
            ],
            right=["events", "changed", "alerts before", "after", "frauds approved before", "after "],
        )  # fmt: skip
    if found.examples:
        print()
        for each in found.examples:
            rules = f"{', '.join(each.rules_before) or '–'} → {', '.join(each.rules_after) or '–'}"
            print(
                f"  {each.event_id}  {each.at}  {each.amount:>12}  {each.before} → {each.after}  "
                f"rules {rules}  {each.truth}"
            )
