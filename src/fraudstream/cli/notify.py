"""`fraudstream notify`: tell people and systems of alerts."""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from fraudstream.cli.console import show_json, show_note, show_problems, show_table
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
from fraudstream.errors import DefinitionError, FraudstreamError, UsageError
from fraudstream.units import format_instant, parse_duration

if TYPE_CHECKING:
    from fraudstream.define.pipeline import Pipeline


class NotifyGroup(typer.core.TyperGroup):
    """A group of which `notify PIPELINE` is short for `notify run PIPELINE`."""

    unnamed = "run"

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command called, or `run` where the first word is none."""
        return super().resolve_command(ctx, args if args[0] in self.commands else [self.unnamed, *args])


app = typer.Typer(
    cls=NotifyGroup,
    no_args_is_help=True,
    help="Tell people and systems of alerts: `fraudstream notify PIPELINE`, once `notify.yaml` says whom and how.",
)
NotifyFile = Annotated[
    Path, typer.Option("--file", "-f", metavar="FILE", help="Which channels there are, and what each gets.")
]
DEFAULT_FILE = Path("notify.yaml")


@app.command()
def run(
    pipelines: Annotated[list[str], typer.Argument(metavar="FILE | NAME …", help="Whose alerts: files or names.")],
    file: NotifyFile = DEFAULT_FILE,
    name: Annotated[
        str | None, typer.Option("--name", help="Its name, to find its place again; default: of the pipelines.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="At the first start: with the oldest alert, not with the next one.")
    ] = False,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop when all alerts are taken and nothing is due.")
    ] = False,
    keep: Annotated[
        str, typer.Option("--keep", metavar="DURATION", help="How long notifications that were sent are kept.")
    ] = "90d",
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Tell the channels of the pipelines' alerts until stopped by Ctrl-C, each alert at least once.

    `fraudstream notify PIPELINE` is short for it. Its place is kept in the operational store under its name.
    """
    from fraudstream.notify.load import load_notifications
    from fraudstream.notify.notifier import Notifier
    from fraudstream.pipelines import find_pipeline

    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    try:
        keep_ms = parse_duration(keep)
    except ValueError as wrong:
        raise UsageError(f"--keep: {wrong}.") from None
    found = [find_pipeline(each, settings.pipelines_folder) for each in pipelines]
    declared = load_notifications(file)
    declared.check_against(found, lambda name: _by_name(name, settings.pipelines_folder))
    known_as = name or "-".join(sorted(each.name for each in found))
    notifier = Notifier(
        settings,
        found,
        declared,
        name=f"notify-{known_as}",
        from_beginning=from_beginning,
        keep_ms=keep_ms,
        note=logging.getLogger("fraudstream.notify").warning,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: notifier.stop())
    if not as_json:
        show_note(f"telling of alerts of {', '.join(each.name for each in found)}; stop with Ctrl-C")
    with observed(settings, "notify", notifier=known_as) as watch:
        watch(notifier)
        summary = notifier.run(until_caught_up=until_caught_up)
    if as_json:
        show_json({"summary": summary._asdict()})
        return
    print(
        f"{summary.alerts:,} alerts taken: {summary.told:,} told, {summary.repeats:,} repeats left out\n"
        f"  {summary.sent:,} notifications sent, {summary.put_off:,} attempts put off, {summary.failed:,} failed"
    )


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What declares the channels.")] = DEFAULT_FILE,
    pipelines: Annotated[
        list[str] | None,
        typer.Option("--pipeline", metavar="FILE | NAME", help="Look for names of rules in this one; repeatable."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check the channels; show every problem at once, with its place and what to do. Exits 1 if there is any."""
    from fraudstream.notify.load import load_notifications
    from fraudstream.pipelines import find_pipeline

    folder = settings_from(config=config).pipelines_folder
    try:
        declared = load_notifications(file)
        if pipelines:
            told = [find_pipeline(each, folder) for each in pipelines]
            declared.check_against(told, lambda name: _by_name(name, folder))
    except DefinitionError as error:
        show_problems(error, as_json=as_json)
        raise typer.Exit(1) from None
    if as_json:
        show_json({"ok": True, "source": declared.source, "channels": list(declared.channels)})
        return
    print(f"{declared.source} is ok: {', '.join(declared.channels)}")


@app.command("test")
def try_out(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its name in the file.")],
    file: NotifyFile = DEFAULT_FILE,
) -> None:
    """Send a notification of a made-up alert through one channel, at once and once. Exits 1 if it was not taken."""
    from fraudstream.notify.load import load_notifications
    from fraudstream.notify.trial import trial_message

    found = load_notifications(file, only=channel).channels[channel]
    message = trial_message(found)
    try:
        found.sender.send(message, found.timeout_ms / 1_000)
    except FraudstreamError as failed:
        print(f"{channel} did not take it: {failed}")
        raise typer.Exit(1) from None
    print(f"{channel} took the notification {message.id}: {message.title}")


@app.command()
def failed(
    waiting: Annotated[bool, typer.Option("--waiting", help="Also those that wait, with what held them up.")] = False,
    channel: Annotated[str | None, typer.Option("--channel", help="Only of this channel.")] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Show the notifications that could not be delivered, with what was said last. Exits 1 if there is any."""
    from fraudstream.notify.failures import failures
    from fraudstream.store.migrate import open_store

    found = failures(open_store(settings_from(None, config, values)), waiting=waiting, channel=channel)
    if as_json:
        show_json({"notifications": [each._asdict() for each in found]})
    elif found:
        rows = [
            (each.notification_id, each.channel, each.state, each.attempts, each.alerts, each.risk_level,
             format_instant(each.created_at), each.last_error or "–")
            for each in found
        ]  # fmt: skip
        columns = ("NOTIFICATION", "CHANNEL", "STATE", "ATTEMPTS", "ALERTS", "RISK", "SINCE", "SAID")
        show_table(columns, rows, right=("ATTEMPTS", "ALERTS"))
    else:
        print("no notification has failed")
    if any(each.state == "failed" for each in found):
        raise typer.Exit(1)


@app.command()
def resend(
    ids: Annotated[list[str] | None, typer.Argument(metavar="NOTIFICATION …", help="As `failed` shows them.")] = None,
    all_of: Annotated[str | None, typer.Option("--channel", help="All that failed in this channel.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    config: ConfigFile = None,
    values: SetValues = None,
) -> None:
    """Have notifications that failed sent again, by the notifier that runs or starts next, under the ids they have."""
    from fraudstream.notify.failures import failures
    from fraudstream.notify.failures import resend as send_again
    from fraudstream.store.migrate import open_store

    if not ids and not all_of and not everything:
        raise UsageError("Nothing is named.", "Give notifications, --channel NAME or --all.")
    store = open_store(settings_from(None, config, values))
    there = [each.notification_id for each in failures(store, channel=all_of)]
    unknown = sorted(set(ids or ()) - set(there))
    if unknown:
        raise UsageError(
            f"No notification that failed is called {', '.join(unknown)}.", "See `fraudstream notify failed`."
        )
    wanted = list(ids) if ids else there
    done = send_again(store, wanted, time.time_ns() // 1_000_000) if wanted else []
    print(f"{len(done)} notifications will be sent again")


def _by_name(name: str, folder: Path) -> Pipeline | None:
    """A pipeline that conditions may name without being told of here."""
    from fraudstream.pipelines import find_pipeline, known_names

    return find_pipeline(name, folder) if name in known_names(folder) else None
