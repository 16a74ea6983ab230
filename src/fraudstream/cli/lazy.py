"""A command group whose commands are imported when they are called, so that `--help` stays quick."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from typing import Any, ClassVar, NamedTuple

import typer
import typer.core
import typer.main

from fraudstream.cli.console import show_bug, show_error, show_trace
from fraudstream.errors import FraudstreamError


class LazyCommand(NamedTuple):
    """Where a command is, and its line in `fraudstream --help`.

    The module has a Typer app named `app` (a group), or a function named `command`.
    """

    module: str
    help: str


class LazyGroup(typer.core.TyperGroup):
    """Shows every command from a table and imports only the one called; turns exceptions into exit codes."""

    table: ClassVar[dict[str, LazyCommand]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the table's order, without those whose module is not installed."""
        return [name for name, lazy in self.table.items() if importlib.util.find_spec(lazy.module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in that knows the help line; enough to list, never called."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return typer.core.TyperCommand(cmd_name, help=self.table[cmd_name].help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command called, imported now."""
        if args and not args[0].startswith("-") and args[0] not in self.table:
            near = difflib.get_close_matches(args[0], self.table, 1)
            ctx.fail(f"There is no command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, (load_command(name, self.table[name].module) if name and stand_in else stand_in), rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; every way it can fail ends here as one paragraph and an exit code."""
        try:
            return super().invoke(ctx)
        except FraudstreamError as error:
            if ctx.params.get("debug"):
                show_trace()
            show_error(error)
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except BrokenPipeError:
            raise SystemExit(141) from None  # the reader of our output went away, as in `| head`
        except Exception as error:
            if type(error).__module__.startswith(("typer.", "click.")):
                raise  # wrong arguments and asked-for exits: Typer words these itself
            if ctx.params.get("debug"):
                show_trace()
            show_bug(error)
            raise SystemExit(1) from None


def load_command(name: str, module_name: str) -> Any:
    """The command of a module: its group `app`, or its function `command`."""
    module = importlib.import_module(module_name)
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer()
        app.command(name)(module.command)
    app.rich_markup_mode = None  # plain help and plain errors: half the start-up time, the same text in any terminal
    app._add_completion = False
    command = typer.main.get_command(app)
    command.name = name
    return command
