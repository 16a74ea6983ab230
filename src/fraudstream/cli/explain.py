"""`fraudstream explain`: what a pipeline does, as text a reviewer reads."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.options import AsJson, ConfigFile, settings_from


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a pipeline reads, remembers, computes and decides, and the versions its decisions carry."""
    from fraudstream.pipelines import find_plan
    from fraudstream.plan.explain import explain, outline

    plan = find_plan(pipeline, settings_from(config=config).pipelines_folder)
    if as_json:
        show_json(outline(plan))
    else:
        print(explain(plan), end="")
