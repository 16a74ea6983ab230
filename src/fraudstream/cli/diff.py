"""`fraudstream diff`: what changes from one pipeline to another, and whether stored state survives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.options import AsJson, ConfigFile, settings_from


def command(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The pipeline that runs: a YAML file, or a name.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The pipeline to come: a YAML file, or a name.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what changes in decisions, in topics and for stored state. Exits 1 if state must be rebuilt."""
    from fraudstream.pipelines import find_plan
    from fraudstream.plan.diff import diff

    folder = settings_from(config=config).pipelines_folder
    found = diff(find_plan(old, folder), find_plan(new, folder))
    if as_json:
        changes = {
            "decisions": [change._asdict() for change in found.decisions],
            "topics": [change._asdict() for change in found.topics],
        }
        show_json({**changes, "state": {"compatible": found.is_compatible, "reasons": found.state}})
    else:
        _show("Decisions", found.decisions, "nothing changes")
        _show("Topics", found.topics, "nothing changes")
        if found.is_compatible:
            print("Stored state\n  is used as it is")
        else:
            _show("Stored state must be rebuilt by replaying the input, because", found.state, "")
    if not found.is_compatible:
        raise typer.Exit(1)


def _show(title: str, lines: Sequence[object], otherwise: str) -> None:
    print("\n".join([title, *(f"  {line}" for line in lines or [otherwise])]) + "\n")
