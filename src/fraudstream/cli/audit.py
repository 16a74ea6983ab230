"""`fraudstream audit`: the chain of who changed what in the store."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from

app = typer.Typer(no_args_is_help=True, help="The audit chain: list it, verify that nothing of it was changed.")


@app.command("list")
def list_entries(config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False) -> None:
    """List the entries, oldest first."""
    from fraudstream.store.audit import entries
    from fraudstream.store.migrate import open_store
    from fraudstream.units import format_instant

    store = open_store(settings_from(None, config, values))
    with store.begin(read_only=True) as connection:
        if as_json:
            for entry in entries(connection):
                show_json(entry._asdict())
            return
        rows = [(str(e.sequence), format_instant(e.at), e.actor, e.action, e.subject) for e in entries(connection)]
    show_table(("ENTRY", "AT", "ACTOR", "ACTION", "SUBJECT"), rows, right=("ENTRY",))


@app.command()
def head(config: ConfigFile = None, values: SetValues = None) -> None:
    """Print the newest entry's number and hash: an anchor to keep where the database's administrator cannot write."""
    from fraudstream.store.audit import verify as look
    from fraudstream.store.migrate import open_store

    store = open_store(settings_from(None, config, values))
    with store.begin(read_only=True) as connection:
        found = look(connection, ())
    print(found.head or "no entries")


@app.command()
def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", metavar="NUMBER:HASH", help="What `audit head` printed earlier; repeatable."),
    ] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Verify the chain: finds any entry that was edited, removed, moved or cut off. Exit code 1 where one was.

    What was cut off the end shows only against anchors: those in the project folder's audit-anchors.txt, noted with
    each entry written from here, and those given with --anchor.
    """
    from fraudstream.store.audit import noted_anchors, parse_anchor
    from fraudstream.store.audit import verify as look
    from fraudstream.store.migrate import open_store

    store = open_store(settings_from(None, config, values))
    anchors = [*noted_anchors(store.anchors, store.name), *map(parse_anchor, anchor or ())]
    with store.begin(read_only=True) as connection:
        found = look(connection, anchors)
    if as_json:
        head = None if found.head is None else str(found.head)
        show_json({**found._asdict(), "head": head, "whole": not found.findings})
    elif found.findings:
        print("\n".join(found.findings))
    else:
        print(f"{found.entries} entries, whole; head {found.head}; {found.anchors} anchors found in their places")
        if not anchors:
            show_note("note: there is no anchor to compare with, so a chain cut off at its end would not be noticed")
    if found.findings:
        raise typer.Exit(1)
