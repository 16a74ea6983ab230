"""`fraudstream retrain`: a better model in the champion's place, now or whenever something calls for it."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_error, show_json, show_note
from fraudstream.cli.history import (
    Columns,
    LabelColumn,
    TimeColumn,
    TruthSource,
    duration,
    open_history,
    progress,
    truth_for,
)
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
from fraudstream.errors import FraudstreamError, UsageError

if TYPE_CHECKING:
    from fraudstream.models.registry import Registry
    from fraudstream.monitoring.diary import Diary, Entry
    from fraudstream.monitoring.retraining import Retraining, Shadowed
    from fraudstream.monitoring.triggers import Triggers
    from fraudstream.monitoring.watch import Sources, Watch
    from fraudstream.plan.plan import Plan
    from fraudstream.settings import Settings
    from fraudstream.training.history import History
    from fraudstream.training.truth import Truth

_MOST_DECISIONS = 500_000


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    every: Annotated[
        str | None, typer.Option("--every", metavar="DURATION", help="Go on, and retrain so long after the last time.")
    ] = None,
    on_drift: Annotated[
        bool, typer.Option("--on-drift", help="Go on, and retrain when `monitor` sees drift or a loss.")
    ] = False,
    on_labels: Annotated[
        int | None, typer.Option("--on-labels", min=1, help="Go on, and retrain after so many new labels.")
    ] = None,
    pause: Annotated[str, typer.Option("--pause", help="Not again before so long after the last time.")] = "1d",
    look_every: Annotated[str, typer.Option("--look-every", help="How often to look whether to retrain.")] = "1m",
    over: Annotated[str, typer.Option("--over", help="With --on-drift: how far back drift is looked at.")] = "1d",
    data: Annotated[
        str | None, typer.Option("--data", metavar="FILE | TOPIC", help="Past events; default: the input topic.")
    ] = None,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    time_column: TimeColumn = None,
    label_delay: Annotated[str, typer.Option("--label-delay", help="How long after an event its label comes.")] = "7d",
    test_share: Annotated[
        float, typer.Option("--test-share", help="Share of events, the latest, to compare on.")
    ] = 0.15,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed and history give the same model.")] = 1,
    gain: Annotated[
        float, typer.Option("--gain", help="So much more average precision than the champion's is asked for.")
    ] = 0.005,
    shadow: Annotated[
        int, typer.Option("--shadow", min=0, help="Wait for so many live decisions scored in the shadow; 0: do not.")
    ] = 0,
    shadow_within: Annotated[str, typer.Option("--shadow-within", help="How long to wait for them.")] = "1h",
    ask: Annotated[bool, typer.Option("--ask", help="Ask before a version is promoted.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show what was done so far, and do nothing.")] = False,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Train a pipeline's model on what is known now, and promote it if it is better than the champion.

    Both are compared on the latest events whose labels have come, which neither has learned from. Without --every,
    --on-drift and --on-labels it is done once, now. Running scorers take a new champion within two seconds.
    """
    from fraudstream.monitoring.retraining import Retraining, Rule
    from fraudstream.monitoring.triggers import Triggers
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.serving import registry_of
    from fraudstream.training.train import Options
    from fraudstream.training.trainers import require_libraries

    if not 0 < test_share < 1:
        raise UsageError(f"--test-share {test_share:g} is not possible.", "Give a share between 0 and 1.")
    delay_ms = duration("--label-delay", label_delay)
    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    declared = find_plan(pipeline, settings.pipelines_folder)
    registry, model = registry_of(declared, settings), declared.pipeline.model
    if registry is None or model is None:
        raise UsageError(f"{declared.pipeline.name} declares no model: there is nothing to train.", "It runs as it is.")
    if history:
        from fraudstream.monitoring.diary import Diary

        _show_history(Diary(registry.folder, registry.name), as_json)
        return
    require_libraries(model)

    def source() -> tuple[History, Truth | None]:
        _, found = open_history(declared, data or declared.pipeline.input.name, column, None, time_column, settings)
        return found, truth_for(found, declared, label, truth, settings)

    within_s = duration("--shadow-within", shadow_within) / 1_000
    beside = _shadow(settings, declared, registry, shadow, within_s, delay_ms) if shadow else None
    rule = Rule(gain, declared.pipeline.monitor.least_frauds, beside, _confirm if ask else None)
    options = Options(test_share, delay_ms, seed=seed, settled=True)
    triggers = Triggers(
        None if every is None else duration("--every", every), on_drift, on_labels, duration("--pause", pause)
    )
    with progress() as show:
        retraining = Retraining(declared, registry, source, options, rule, show)
        if not (every or on_drift or on_labels):
            _finish(retraining.run("it was asked for"), as_json)
            return
        watched = None
        if on_drift or on_labels:
            watched = _open_watch(settings, declared, registry, duration("--over", over), delay_ms)
        with observed(settings, "retrain", pipeline=declared.pipeline.name) as serve:
            serve(retraining)
            _go_on(retraining, triggers, watched, duration("--look-every", look_every) / 1_000, as_json)


def _shadow(
    settings: Settings, plan: Plan, registry: Registry, wanted: int, within_s: float, delay_ms: int
) -> Callable[[str], Shadowed]:
    """Waits until a version was scored beside so many live decisions of the champion, and judges it."""
    from fraudstream.monitoring.comparison import Comparison, compare
    from fraudstream.monitoring.shadow import await_shadow

    def beside(version: str) -> Shadowed:
        champion = registry.roles().champion or ""

        def compared() -> Comparison:
            return compare(plan, settings, [version], champion, delay_ms)[0]

        return await_shadow(compared, wanted, within_s, plan.pipeline.monitor.least_frauds)

    return beside


def _open_watch(
    settings: Settings, plan: Plan, registry: Registry, over_ms: int, delay_ms: int
) -> tuple[Sources, Watch]:
    """What is seen of the running pipeline."""
    from fraudstream.monitoring.measure import Periods
    from fraudstream.monitoring.watch import Sources, Watch

    labels = plan.pipeline.labels.name if plan.pipeline.labels else None
    sources = Sources(settings, plan, labels, _MOST_DECISIONS)
    periods = Periods(over_ms=over_ms, label_delay_ms=delay_ms)
    return sources, Watch(plan, registry, periods, _MOST_DECISIONS, None)


def _go_on(
    retraining: Retraining, triggers: Triggers, watched: tuple[Sources, Watch] | None, look_s: float, as_json: bool
) -> None:
    """Retrains whenever something calls for it, until stopped; a run that fails is told, and is not the end."""
    from fraudstream.monitoring.triggers import due

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show_note("waiting for what calls for retraining; stop with Ctrl-C")
    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
        first = True
        while True:
            retraining.moved_at_s = time.monotonic()
            report, labels = None, 0
            if watched is not None:
                sources, watch = watched
                sources.feed(watch, 0.0 if first else look_s)
                report, labels = watch.report(), watch.labels
            elif not first:
                time.sleep(look_s)
            first = False
            why = due(triggers, retraining.diary.last_run(), datetime.now(UTC), report, labels)
            if why is None:
                continue
            try:
                _finish(retraining.run(why, labels), as_json)
            except FraudstreamError as failed:
                show_error(failed)
    if watched is not None:
        watched[0].close()


def _confirm(said: str) -> bool:
    """Asks; without a terminal nobody answers, and the version waits."""
    return sys.stdin.isatty() and typer.confirm(f"{said}. Promote it?")


def _finish(end: Entry, as_json: bool) -> None:
    if as_json:
        show_json(end)
    else:
        print(_line(end), flush=True)


def _show_history(diary: Diary, as_json: bool) -> None:
    entries = diary.entries()
    if as_json:
        show_json(entries)
        return
    if not entries:
        show_note(f"{diary.path} does not exist: nothing was retrained yet.")
    for entry in entries:
        print(_line(entry))


def _line(entry: Entry) -> str:
    return f"{entry.at[:19]}Z  {entry.step:<9} {entry.version or '':<16}  {entry.text}"
