"""`fraudstream redrive`: send dead letters through again after a fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError

if TYPE_CHECKING:
    from fraudstream.kafka.resend import Spot

_SHOWN = 20


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="CLASS", help="Only this class; repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only those written from then on, as ISO 8601.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only those written before then.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="TOPIC/PARTITION/OFFSET", help="Only of the record there; repeatable."),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Send them; without it they are only counted.")] = False,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters through again, each once, with their bytes, key and timestamp. Without --send: count them.

    Make the fix first and restart the scorer: what is still no event becomes a new dead letter.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.redrive import Chosen, redrive
    from fraudstream.units import parse_instant

    settings = settings_from(bootstrap_servers, config, values)
    plan = find_plan(pipeline, settings.pipelines_folder)
    try:
        since_ms, until_ms = (None if text is None else parse_instant(text) for text in (since, until))
    except ValueError as wrong:
        raise UsageError(f"{str(wrong).rstrip('.')}.", "Write a time like 2026-11-22T20:00:00Z.") from None
    chosen = Chosen(_classes(classes or []), since_ms, until_ms, frozenset(map(_place, at or [])))
    found = redrive(plan, settings, chosen, send=send)
    if as_json:
        show_json({**vars(found), "gone_from": ["/".join(map(str, place)) for place in found.gone_from]})
        return
    if not found.chosen:
        print(f"no such dead letters in {plan.pipeline.dead_letters.name}")
        return
    print(f"{'class':<20} {'letters':>9} {'sent before':>12} {'sent now' if send else 'to send':>9}")
    for kind, count in found.chosen.most_common():
        print(f"{kind:<20} {count:>9,} {found.before[kind]:>12,} {found.ready[kind]:>9,}")
    for place in found.gone_from[:_SHOWN]:
        name = "/".join(map(str, place))
        show_note(f"note: {name} is too long for its letter, and no longer in its topic; it stays where it is.")
    if found.gone.total() > _SHOWN:
        show_note(f"note: … and {found.gone.total() - _SHOWN:,} more")
    if found.erased:
        show_note(f"note: {found.erased.total():,} cannot be opened any more: they named persons who were erased")
    if not send and found.ready:
        show_note("nothing was sent; do so with --send")


def _classes(named: list[str]) -> frozenset[str]:
    from fraudstream.engine.reject import RejectClass

    for each in named:
        if each not in RejectClass.__members__.values():
            raise UsageError(f"--class {each!r} is no class of dead letters.", f"Allowed: {', '.join(RejectClass)}.")
    return frozenset(named)


def _place(text: str) -> Spot:
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not topic or not partition.isdecimal() or not offset.isdecimal():
        raise UsageError(f"--at {text!r} is no place.", "Write TOPIC/PARTITION/OFFSET, such as payments/0/1234.")
    return topic, int(partition), int(offset)
