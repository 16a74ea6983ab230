"""`fraudstream run`: score a pipeline's topics, exactly once, until stopped."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from fraudstream.cli.console import show_json, show_note
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
from fraudstream.telemetry import logs

if TYPE_CHECKING:
    from fraudstream.runner.loop import StreamLoop
    from fraudstream.runner.statistics import Statistics


STATISTICS_EVERY_S = 60.0


class Delivery(StrEnum):
    """What a crash may do to the output."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    group: Annotated[str | None, typer.Option(help="Consumer group; default: fraudstream-NAME.")] = None,
    instance: Annotated[str, typer.Option(help="Tells apart scorers that share a group.")] = "0",
    rebuild_state: Annotated[
        bool, typer.Option("--rebuild-state", help="Drop snapshots and rebuild the state from the topic.")
    ] = False,
    delivery: Annotated[
        Delivery,
        typer.Option(help="exactly-once: transactions; at-least-once: none, and some decisions twice after a crash."),
    ] = Delivery.EXACTLY_ONCE,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop when everything there has been scored.")
    ] = False,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Score a pipeline's topics, exactly once, until stopped by Ctrl-C or SIGTERM.

    Statistics are shown every second while it runs, and once more at the end.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.serving import load_scorer
    from fraudstream.runner.start import Options, start

    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    plan = find_plan(pipeline, settings.pipelines_folder)
    name = plan.pipeline.name
    show = show_json if as_json else _log_now_and_then() if logs.is_json() else _show_line
    logs.describe(instance=instance)
    options = Options(group, instance, rebuild_state, delivery is Delivery.EXACTLY_ONCE)
    try:
        with _ended_by_signals() as ending, observed(settings, "run", pipeline=name) as watch:
            loop = start(plan, settings, options, show)
            if plan.pipeline.model is not None and load_scorer(plan, settings) is None:
                show_note(
                    f"note: no model of {name} that can serve is in {settings.models_folder}; deciding by rules alone, "
                    f"flagged degraded. Train one with `fraudstream train {name} --data FILE`."
                )
            if not options.exactly_once:
                show_note("note: at least once: after a crash some decisions come twice, with the same `input`.")
            if not as_json:
                show_note(f"scoring {plan.pipeline.input.name} on {settings.bootstrap_servers}; stop with Ctrl-C")
            # What is there now stays to the end: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            ending.loop = loop
            watch(loop)
            summary = loop.run(until_caught_up=until_caught_up)
    except _EndedEarlyError:
        show_note("ended before it began to score; nothing was read")
        return
    if as_json:
        show_json({"summary": summary})
    else:
        _show_summary(name, summary)


class _EndedEarlyError(Exception):
    """A signal to end came before there was a loop to be told."""


class _Ending:
    """What a signal to end does: finish what is in hand; a second SIGINT interrupts at once."""

    loop: StreamLoop | None = None

    def __call__(self, number: int, _: object) -> None:
        if self.loop is None:
            raise _EndedEarlyError
        self.loop.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[_Ending]:
    """SIGINT and SIGTERM end the command in good order while this lasts."""
    ending = _Ending()
    before = {number: signal.signal(number, ending) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_now_and_then() -> Callable[[Statistics], None]:
    """Logs the statistics once a minute, numbers as members of the line."""
    next_s = 0.0

    def log(now: Statistics) -> None:
        nonlocal next_s
        if now.seconds >= next_s:
            next_s = now.seconds + STATISTICS_EVERY_S
            logging.getLogger("fraudstream.runner").info(
                "%.0f events/s, lag %s", now.events_per_second, now.lag, extra={"kind": "statistics", **asdict(now)}
            )

    return log


def _show_line(now: Statistics) -> None:
    latency = _latencies(now, "/")
    lag = "?" if now.lag is None else f"{now.lag:,}"
    evicted = f"  keys evicted {now.evicted_keys_total:,}" if now.evicted_keys_total else ""
    replayed = f"  replayed {now.replayed:,}" if now.replayed and not now.events else ""
    show_note(
        f"{now.seconds:6.0f} s  {now.events_per_second:>9,.0f} events/s  lag {lag:>9}  p50/p99 {latency:>12}  "
        f"alerts {now.alerts:>7,}  dead letters {now.dead_letters:>5,}{evicted}{replayed}"
    )


def _latencies(seen: Statistics, between: str) -> str:
    """Median and 99th percentile; nothing longer than a minute is told apart, as where a backlog is scored."""
    from fraudstream.runner.statistics import LONGEST_MS

    shown = [
        f"{quantile:.0f}" if quantile < LONGEST_MS else f">{LONGEST_MS / 1_000:.0f} s"
        for quantile in (seen.latency_ms_p50, seen.latency_ms_p99)
        if quantile is not None
    ]
    return between.join(shown) + (" ms" if shown[-1].isdigit() else "") if shown else "–"


def _show_summary(name: str, total: Statistics) -> None:
    latency = _latencies(total, " / ")
    degraded = f", {total.degraded:,} degraded" if total.degraded else ""
    if total.over_limit:
        degraded += f" ({total.over_limit:,} reviewed because of the limit without the model)"
    sample = f", {total.let_through:,} let through" if total.let_through else ""
    print(
        f"{name}: {total.events:,} events in {total.seconds:.1f} s = {total.decisions:,} decisions "
        f"+ {total.dead_letters:,} dead letters, in {total.transactions:,} transactions ({total.aborted:,} redone)\n"
        f"  approve {total.approved:,}   review {total.reviewed:,}   block {total.blocked:,}\n"
        f"  {total.alerts:,} alerts"
        f", {total.late:,} late, {total.duplicates:,} duplicates{degraded}{sample}, {total.labels:,} labels\n"
        f"  {total.keys:,} keys known, {total.evicted_keys_total:,} evicted ({total.evicted_early_total:,} early), "
        f"{total.pending_labels:,} labels waiting, {total.expired_labels_total:,} expired; "
        f"state {total.state_bytes / 2**20:,.0f} MB\n"
        f"  produce to commit p50 / p99: {latency}"
    )
    if total.shadowed or total.shadow_skipped or total.rescored:
        print(
            f"  shadow: {total.shadowed:,} scores of challengers, {total.shadow_skipped:,} decisions passed over, "
            f"{total.rescored:,} scored when the model was back"
        )
