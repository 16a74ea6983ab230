"""`fraudstream notify`: tell people and systems of alerts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from fraudstream.cli.console import show_json
from fraudstream.cli.options import AsJson, ConfigFile, settings_from
from fraudstream.errors import DefinitionError, FraudstreamError, UsageError

if TYPE_CHECKING:
    from fraudstream.notify.declaration import Channel
    from fraudstream.notify.load import Notifications


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
            declared.check_against([find_pipeline(each, folder) for each in pipelines])
    except DefinitionError as error:
        if as_json:
            problems = [{**p._asdict(), "line": getattr(p, "line", None)} for p in error.problems]
            show_json({"ok": False, "source": error.source, "problems": problems})
        else:
            print(error)
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

    found = _channel(load_notifications(file), channel)
    message = trial_message(found)
    try:
        found.sender.send(message, found.timeout_ms / 1_000)
    except FraudstreamError as failed:
        print(f"{channel} did not take it: {failed}")
        raise typer.Exit(1) from None
    print(f"{channel} took the notification {message.id}: {message.title}")


def _channel(declared: Notifications, name: str) -> Channel:
    if name not in declared.channels:
        raise UsageError(f"{declared.source} has no channel {name!r}.", f"There are: {', '.join(declared.channels)}.")
    return declared.channels[name]
