"""The `fraudstream` command: a table of commands, each in a module of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from fraudstream import __version__
from fraudstream.cli.console import show_error
from fraudstream.cli.lazy import LazyCommand, LazyGroup
from fraudstream.errors import UsageError

LazyGroup.table = {
    "demo": LazyCommand("fraudstream.cli.demo", "See all of it on this machine, in about a minute and a half."),
    "check": LazyCommand("fraudstream.cli.check", "Check a pipeline; show every problem with its place."),
    "explain": LazyCommand("fraudstream.cli.explain", "Show what a pipeline does, as text a reviewer reads."),
    "diff": LazyCommand("fraudstream.cli.diff", "Show what changes between two pipelines, and for stored state."),
    "doctor": LazyCommand("fraudstream.cli.doctor", "Find what is wrong around a pipeline, and what to do about it."),
    "status": LazyCommand("fraudstream.cli.status", "Show how pipelines stand, on one screen."),
    "kafka": LazyCommand("fraudstream.cli.kafka", "Start, stop and clean a local Apache Kafka."),
    "topics": LazyCommand("fraudstream.cli.topics", "Create and list topics."),
    "run": LazyCommand("fraudstream.cli.run", "Score a pipeline's topics, exactly once, until stopped."),
    "alerts": LazyCommand("fraudstream.cli.alerts", "Follow a pipeline's alerts."),
    "prove": LazyCommand("fraudstream.cli.prove", "Compute one decision again from the log, and compare every byte."),
    "token": LazyCommand("fraudstream.cli.token", "Show the tokens of a sensitive value; make token keys."),
    "label": LazyCommand("fraudstream.cli.label", "Say what events turned out to be, one or a file of them."),
    "notify": LazyCommand("fraudstream.cli.notify", "Tell people and systems of alerts."),
    "monitor": LazyCommand(
        "fraudstream.cli.monitor", "See how a running pipeline does, and whether a limit is passed."
    ),
    "replay": LazyCommand("fraudstream.cli.replay", "Run a history through a changed pipeline; show what changes."),
    "backtest": LazyCommand("fraudstream.cli.backtest", "Run a pipeline's rules over a history; show what each finds."),
    "retrain": LazyCommand(
        "fraudstream.cli.retrain", "Put a better model in the champion's place, now or when called for."
    ),
    "budget": LazyCommand("fraudstream.cli.budget", "Find thresholds from a budget of reviews or from costs."),
    "simulate": LazyCommand("fraudstream.cli.simulate", "Generate transactions with fraud, to Kafka or files."),
    "produce": LazyCommand("fraudstream.cli.produce", "Send a history file to a topic, in event-time order."),
    "store": LazyCommand("fraudstream.cli.store", "Make and see the tables of the operational store."),
    "sink": LazyCommand("fraudstream.cli.sink", "Keep what a pipeline's topics say, or deliver it."),
    "connect": LazyCommand("fraudstream.cli.connect", "Print the configuration of a Kafka Connect connector."),
    "case": LazyCommand("fraudstream.cli.case", "Work on alerts: open, assign and close cases."),
    "erase": LazyCommand("fraudstream.cli.erase", "Remove a person from store, lake and token keys."),
    "audit": LazyCommand("fraudstream.cli.audit", "List and verify the chain of who changed what."),
    "dataset": LazyCommand("fraudstream.cli.dataset", "Write a history's features and labels as a table."),
    "kill": LazyCommand("fraudstream.cli.kill", "Switch a pipeline's model or one of its rules off, within a second."),
    "revive": LazyCommand("fraudstream.cli.revive", "Switch a pipeline's model or one of its rules on again."),
    "rescore": LazyCommand("fraudstream.cli.rescore", "Score what was decided without the model, now that it is back."),
    "schema": LazyCommand("fraudstream.cli.schema", "Print the Avro or Protobuf schema of a pipeline's events."),
    "redrive": LazyCommand("fraudstream.cli.redrive", "Send dead letters through again, after a fix."),
    "evaluate": LazyCommand("fraudstream.cli.evaluate", "Judge a pipeline's model on several periods of a history."),
    "report": LazyCommand("fraudstream.cli.report", "Write one page of how well a pipeline's model does, and why."),
    "train": LazyCommand("fraudstream.cli.train", "Train a pipeline's model from a history."),
    "model": LazyCommand("fraudstream.cli.model", "List, promote and roll back the versions of a pipeline's model."),
}

WrongArguments: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for whatever is wrong with arguments; it exports only one kind of it."""

app = typer.Typer(
    cls=LazyGroup,
    name="fraudstream",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fraudstream {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done · 1 a finding, or a bug · 2 something to correct · 3 Kafka, store · 4 another took over."
)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Score a Kafka topic of transactions as they happen: features over history, rules and a model, exactly once."""


def _explain(wrong: Any) -> int:
    """Shows what is wrong with the arguments, or the help of a group called without any; returns the exit code."""
    said = wrong.format_message()
    if said.startswith("Usage: "):
        wrong.show()
    else:
        advice = f"See `{wrong.ctx.command_path} --help`." if wrong.ctx else ""
        show_error(UsageError(said if said.endswith((".", "?")) else f"{said}.", advice))
    return int(wrong.exit_code)


def main() -> None:
    """The entry point of the installed command."""
    try:
        sys.exit(app(standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(130)
    except WrongArguments as wrong:
        sys.exit(_explain(wrong))
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes once more on exit and would complain; there is nobody left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
