"""`fraudstream case`: the work on alerts."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from
from fraudstream.store.cases import Case, Status, Verdict
from fraudstream.units import format_instant

app = typer.Typer(no_args_is_help=True, help="The work on alerts that are in the store: open, assign, close a case.")

_Number = Annotated[int, typer.Argument(metavar="CASE", help="The case's number.")]


@app.command("open")
def open_(
    pipeline: Annotated[str, typer.Argument(metavar="NAME", help="The pipeline's name.")],
    alert_id: Annotated[str, typer.Argument(metavar="ALERT_ID", help="TOPIC-PARTITION-OFFSET, as the alert has it.")],
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Open the case of an alert, or show the one it has."""
    from fraudstream.store.cases import open_case
    from fraudstream.store.migrate import open_store

    _show(open_case(open_store(settings_from(None, config, values)), pipeline, alert_id), as_json=as_json)


@app.command()
def assign(
    case: _Number,
    assignee: Annotated[str, typer.Argument(metavar="WHO", help="Who works on it.")],
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Give a case to somebody."""
    from fraudstream.store.cases import assign as give
    from fraudstream.store.migrate import open_store

    _show(give(open_store(settings_from(None, config, values)), case, assignee), as_json=as_json)


@app.command()
def close(
    case: _Number,
    verdict: Annotated[Verdict, typer.Argument(help="What the event turned out to be.")],
    note: Annotated[str | None, typer.Option("--note", help="Why.")] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """End a case with a verdict. What the pipeline is to learn from it is sent by `fraudstream label`."""
    from fraudstream.store.cases import close as end
    from fraudstream.store.cases import event_id_of
    from fraudstream.store.migrate import open_store

    store = open_store(settings_from(None, config, values))
    closed = end(store, case, verdict, note)
    _show(closed, as_json=as_json)
    event_id = event_id_of(store, closed)
    if event_id is not None:
        show_note(f"to tell the pipeline: fraudstream label {closed.pipeline} {event_id} {verdict.value}")


@app.command("list")
def list_(
    status: Annotated[Status | None, typer.Option("--status", help="Only these.")] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """List the cases, oldest first."""
    from fraudstream.store.cases import list_cases
    from fraudstream.store.migrate import open_store

    found = list_cases(open_store(settings_from(None, config, values)), status)
    if as_json:
        for each in found:
            show_json(each._asdict() | {"alert_id": each.alert_id})
        return
    columns = ("CASE", "OPENED", "STATUS", "ASSIGNEE", "VERDICT", "PIPELINE", "ALERT")
    rows = [
        (
            str(c.case_id),
            format_instant(c.opened_at),
            c.status,
            c.assignee or "–",
            c.verdict or "–",
            c.pipeline,
            c.alert_id,
        )
        for c in found
    ]
    show_table(columns, rows, right=("CASE",))


def _show(case: Case, *, as_json: bool) -> None:
    if as_json:
        show_json(case._asdict() | {"alert_id": case.alert_id})
        return
    about = ", ".join(part for part in (case.status, case.assignee, case.verdict) if part)
    print(f"case {case.case_id} of {case.pipeline}, alert {case.alert_id}: {about}")
