"""`fraudstream store`: the tables of the operational store."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_table
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from

app = typer.Typer(no_args_is_help=True, help="The operational store: make its tables, see what it holds.")


@app.command()
def upgrade(config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False) -> None:
    """Make the tables, or bring them to this version. Done in one transaction; running it again changes nothing."""
    from fraudstream.store.engine import connect
    from fraudstream.store.migrate import upgrade as bring

    store = connect(settings_from(None, config, values))
    before = bring(store)
    if as_json:
        show_json({"store": store.name, "from": before.current, "to": before.wanted})
    elif before.is_current:
        print(f"{store.name} is at revision {before.wanted} already")
    else:
        print(f"{store.name}: from revision {before.current or 'none'} to {before.wanted}")


@app.command()
def prune(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Delete what was kept as long as the pipeline's `retention` says; nothing without one. Run it every day."""
    import time

    from fraudstream.pipelines import find_pipeline
    from fraudstream.store.migrate import open_store
    from fraudstream.store.retention import prune as delete

    settings = settings_from(None, config, values)
    found = find_pipeline(pipeline, settings.pipelines_folder)
    deleted = delete(open_store(settings), found.name, found.retention, time.time_ns() // 1_000_000)
    if as_json:
        show_json({"deleted": deleted})
    else:
        rows = ", ".join(f"{name} {count:,}" for name, count in deleted.items()) or "nothing: it declares no retention"
        print(f"{found.name}: deleted {rows}")


@app.command()
def status(config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False) -> None:
    """Show which database the store is, its revision, and how many rows its tables hold: on PostgreSQL about."""
    from fraudstream.store.engine import connect
    from fraudstream.store.migrate import revision
    from fraudstream.store.sizes import row_counts

    store = connect(settings_from(None, config, values))
    found = revision(store)
    counts = row_counts(store) if found.is_current else {}
    if as_json:
        show_json({"store": store.name, "revision": found.current, "wanted": found.wanted, "rows": counts})
        return
    print(f"{store.name}: revision {found.current or 'none'}", end="")
    print("" if found.is_current else f", to be brought to {found.wanted} by `fraudstream store upgrade`")
    if counts:
        show_table(("TABLE", "ROWS"), list(counts.items()), right=("ROWS",))
