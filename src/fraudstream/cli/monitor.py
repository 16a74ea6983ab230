"""`fraudstream monitor`: see how a running pipeline does, and whether a limit is passed."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json, show_table
from fraudstream.cli.history import duration
from fraudstream.cli.observed import observed
from fraudstream.cli.options import (
    AsJson,
    BootstrapServers,
    ConfigFile,
    LogFormat,
    MetricsPort,
    SetValues,
    settings_from,
)
from fraudstream.errors import UsageError
from fraudstream.units import format_instant

if TYPE_CHECKING:
    from fraudstream.monitoring.measure import Drift
    from fraudstream.monitoring.watch import Report, Sources, Watch
    from fraudstream.settings import Settings

    Shows = Callable[[Report], None]

LabelDelay = Annotated[
    str, typer.Option("--label-delay", help="An event this old that nobody labelled counts as legitimate.")
]
LabelsTopic = Annotated[
    str | None,
    typer.Option("--labels-topic", help="Topic of the labels; default: the pipeline's. none: there is none."),
]


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    over: Annotated[str, typer.Option("--over", help="How far back traffic and drift are looked at.")] = "1d",
    labels_over: Annotated[str, typer.Option("--labels-over", help="How far back labels are looked at.")] = "30d",
    label_delay: LabelDelay = "7d",
    most: Annotated[int, typer.Option("--most", min=1, help="Look at no more decisions, the newest.")] = 500_000,
    decisions: Annotated[
        Path | None, typer.Option("--decisions", metavar="FILE", help="Envelopes, one a line, in place of the topics.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="With --decisions: label records, one a line.")
    ] = None,
    labels_topic: LabelsTopic = None,
    skew: Annotated[bool, typer.Option("--skew/--no-skew", help="Compute logged features again and compare.")] = True,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until stopped, with what comes.")] = False,
    every: Annotated[str, typer.Option("--every", help="With --watch: how often to look.")] = "10s",
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """See how a running pipeline does: traffic, drift of inputs and score, quality by labels, skew.

    Times are event time before the newest decision. The pipeline's `monitor` section says from where on something is an
    alarm; with an alarm the exit code is 1. Reading leaves no trace: no offsets are committed.
    """
    from fraudstream.monitoring.measure import Periods
    from fraudstream.monitoring.skew import SkewCheck
    from fraudstream.monitoring.watch import Sources, Watch, feed_files
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.serving import registry_of

    _require_together(decisions, labels, watch, metrics_port)
    periods = Periods(
        duration("--over", over), duration("--labels-over", labels_over), duration("--label-delay", label_delay)
    )
    every_s = duration("--every", every) / 1_000
    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    plan = find_plan(pipeline, settings.pipelines_folder)
    own = plan.pipeline.labels.name if plan.pipeline.labels else None
    topic = None if labels_topic == "none" else labels_topic or own
    sources = None if decisions is not None else Sources(settings, plan, topic, most)
    check = SkewCheck(plan, complete=sources is None or sources.complete) if skew else None
    seen = Watch(plan, registry_of(plan, settings), periods, most, check)
    show = _show(plan.pipeline.name, over, as_json)
    if sources is None:
        assert decisions is not None
        feed_files(seen, decisions, labels)
        last = seen.report()
        show(last)
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.closing(sources):
            last = (
                _follow(plan.pipeline.name, sources, seen, show, settings, every_s)
                if watch
                else _look(sources, seen, show)
            )
    if last.alarms:
        raise typer.Exit(1)


def _require_together(decisions: Path | None, labels: Path | None, watch: bool, metrics_port: int | None) -> None:
    if labels is not None and decisions is None:
        raise UsageError("--labels goes with --decisions.", "Without it labels are read from their topic.")
    if watch and decisions is not None:
        raise UsageError("--watch follows topics, and --decisions is a file.", "Leave one of them out.")
    if metrics_port is not None and not watch:
        raise UsageError("--metrics-port serves as long as the command runs.", "Add --watch.")


def _follow(name: str, sources: Sources, watch: Watch, show: Shows, settings: Settings, every_s: float) -> Report:
    """Reads and shows until stopped; returns the last report."""
    from fraudstream.monitoring.metrics import Board

    board = Board(sources)
    with observed(settings, "monitor", pipeline=name) as watched:
        watched(board)
        report = _look(sources, watch, show)
        with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
            while True:
                board.show(report)
                report = _look(sources, watch, show, every_s)
    return report


def _look(sources: Sources, watch: Watch, show: Shows, for_s: float = 0.0) -> Report:
    sources.feed(watch, for_s)
    report = watch.report()
    show(report)
    return report


def _show(name: str, over: str, as_json: bool) -> Callable[[Report], None]:
    def show(report: Report) -> None:
        if as_json:
            show_json(report)
            return
        if sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        _screen(name, over, report)
        sys.stdout.flush()

    return show


def _screen(name: str, over: str, report: Report) -> None:
    seen, traffic, quality = report.measured, report.measured.traffic, report.measured.quality
    span = "" if traffic.until_at is None else f", {over} until {format_instant(traffic.until_at)[:19]}Z"
    print(f"{name}  model {seen.model or 'none'}{span}")
    print(
        f"traffic   {traffic.decisions:,} decisions, {traffic.alerts:,} alerts ({traffic.alerts_per_day:,.0f} a day), "
        f"{traffic.blocked:,} blocked, {traffic.degraded:,} degraded, {traffic.late:,} late, "
        f"{traffic.duplicates:,} duplicates"
    )
    if traffic.model_alert_share is not None:
        print(
            f"          the model alerts on {traffic.model_alert_share:.2%} of events"
            + _against(traffic.reference_alert_share, ".2%")
        )
    print(
        f"quality   {quality.known:,} events known, {quality.labelled:,} of them labelled; {quality.frauds:,} frauds, "
        f"{quality.alerts:,} alerts; precision {_or_dash(quality.precision)}, recall {_or_dash(quality.recall)}"
    )
    if quality.average_precision is not None:
        print(
            f"          average precision {quality.average_precision:.3f} on {quality.settled:,} settled events"
            + _against(quality.reference_average_precision, ".3f")
        )
    if report.skewed is not None:
        skewed = report.skewed
        first = f", first {skewed.first}" if skewed.first else ""
        print(
            f"skew      {skewed.differing:,} of {skewed.checked:,} decisions logged other features than the log "
            f"gives{first}; {skewed.unchecked:,} not checked"
        )
    drifts = [*([seen.score] if seen.score else []), *seen.inputs]
    if drifts:
        columns = ("drift", "PSI", "KS", "null", "was", "out of range")
        show_table(columns, [_row(each) for each in drifts], right=columns[1:])
    for note in seen.notes:
        print(f"note      {note}")
    for alarm in report.alarms:
        print(f"ALARM     {alarm.text} ({alarm.limit}: {alarm.allowed:g} is allowed)")
    if not report.alarms:
        print("no alarm")


def _row(drift: Drift) -> tuple[str, ...]:
    numbers = (f"{drift.psi:.3f}", "–" if drift.ks is None else f"{drift.ks:.3f}")
    shares = (drift.null_rate, drift.reference_null_rate, drift.out_of_range)
    return (drift.name, *numbers, *(f"{share:.1%}" for share in shares))


def _or_dash(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _against(reference: float | None, form: str) -> str:
    return "" if reference is None else f", and {reference:{form}} in its test"
