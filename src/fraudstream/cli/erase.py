"""`fraudstream erase`: removes a person from the store and the lake, and looks whether anything was left."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from


def command(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The key of the person's events, e.g. a customer.")],
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(metavar="PIPELINE…", help="The pipelines whose tables in the lake are searched."),
    ] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person's data from the store, and from the lake of the pipelines named; exit code 1 if some is left.

    Decisions and alerts stay in the store, without what says whose they are. What is on topics goes with their
    retention: nothing can be taken out of the middle of a topic.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.store.erase import erase, spellings, traces
    from fraudstream.store.migrate import open_store

    settings = settings_from(None, config, values)
    plans = [find_plan(name, settings.pipelines_folder) for name in pipelines or ()]
    store = open_store(settings)
    erased = erase(store, subject)
    left = traces(store, subject)
    for plan in plans:
        from fraudstream.sinks.lake import LakeTarget

        for name, table in LakeTarget(settings, plan).tables.items():
            if table.exists():
                table.open(())
                place = f"{plan.pipeline.name}/{name}"
                texts = sorted(spellings(subject))
                erased[place] = table.erase(texts)
                count = table.traces(texts)
                left |= {place: count} if count else {}
    if as_json:
        show_json({"erased": erased, "left": left})
    else:
        print("erased " + ", ".join(f"{place} {count:,}" for place, count in erased.items()))
        for place, count in left.items():
            show_note(f"left: {count:,} rows of {place} still name the subject")
    if left:
        raise typer.Exit(1)
