"""`fraudstream backtest`: what each rule of a pipeline would have found in a history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudstream.cli.console import show_json, show_table
from fraudstream.cli.history import (
    Columns,
    Data,
    LabelColumn,
    TimeColumn,
    TruthSource,
    Without,
    duration,
    instant,
    note_rejected,
    progress,
)
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.cli.replay import From, LabelDelay, To, from_file
from fraudstream.errors import DataError, UsageError
from fraudstream.units import format_money

if TYPE_CHECKING:
    from fraudstream.replay.backtest import Backtest

_MOST_IN_MATRIX = 12


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    data: Data,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="'CODE: PREDICATE'", help="A rule more, or another predicate; repeatable."),
    ] = None,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    label_delay: LabelDelay = "7d",
    from_at: From = None,
    to_at: To = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Run the rules of a pipeline over a history: hits, precision, the money only one rule finds, overlap, dead rules.

    The model takes no part. With --rule a rule is tried before it is written into the file.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.replay.backtest import backtest, with_rules
    from fraudstream.replay.run import Contender, run

    started = time.monotonic()
    from_ms, to_ms = instant("--from", from_at), instant("--to", to_at)
    settings = settings_from(bootstrap_servers, config, values)
    declared = with_rules(find_plan(pipeline, settings.pipelines_folder), rule or [])
    if not declared.rules:
        raise UsageError(f"{declared.pipeline.name} has no rules.", 'Try one with --rule "CODE: predicate".')
    delay_ms = duration("--label-delay", label_delay)
    plan, _, source = from_file(
        declared, declared, data, column, without, time_column, label, truth, delay_ms, settings
    )
    contender = Contender(plan, None, len(source))
    with progress() as show:
        facts = run([contender], source, from_ms=from_ms, to_ms=to_ms, show=lambda n: show("backtest", n, len(source)))
    note_rejected(source.history)
    found = backtest(contender, facts)
    if found is None:
        raise DataError(f"{data} has no event in the period.", "Choose another --from and --to.")
    if as_json:
        show_json(_document(found) | {"seconds": round(time.monotonic() - started, 2)})
    else:
        _print(found, plan.pipeline.name, source.name)


def _document(found: Backtest) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found)
    plain["rules"] = {
        code: {"action": action} | each._asdict() | {"precision": each.precision, "recall": _recall(found, each.frauds)}
        for code, action, each in zip(found.codes, found.actions, found.worth, strict=True)
    }
    together = found.together
    plain["together"] = together._asdict() | {"precision": together.precision, "recall": together.recall}
    return {name: value for name, value in plain.items() if name not in ("worth", "actions")}


def _recall(found: Backtest, frauds: int) -> float:
    return frauds / found.frauds if found.frauds else float("nan")


def _print(found: Backtest, name: str, source: str) -> None:
    def share(part: float, whole: float) -> str:
        return f"{part / whole:.1%}" if whole else "–"

    def money(minor: int) -> str:
        return format_money(minor, found.scale)

    print(f"{name}: {found.events:,} events of {source} in {found.days:,.1f} days", end="")
    print(f", {found.frauds:,} frauds of {money(found.fraud_minor)}" if found.known else ", truth unknown")
    print()
    columns = ["rule", "action", "hits", "a day", "precision", "recall", "money found", "only by it", "genuine money"]
    show_table(
        columns,
        [
            [
                code,
                action,
                each.hits,
                f"{each.hits / found.days:,.1f}",
                share(each.frauds, each.frauds + each.genuine),
                share(each.frauds, found.frauds),
                money(each.fraud_minor),
                money(each.fraud_only_minor),
                money(each.genuine_minor),
            ]
            for code, action, each in zip(found.codes, found.actions, found.worth, strict=True)
        ],
        right=columns[2:],
    )
    both = found.together
    print()
    print(f"rules together: {both.reviewed:,} reviews, {both.blocked:,} blocks", end="")
    print(f", precision {both.precision:.1%}, recall {both.recall:.1%}" if both.known else "")
    if found.dead:
        print(f"never hit: {', '.join(found.dead)}")
    alive = [place for place, each in enumerate(found.worth) if each.hits]
    alive = sorted(alive, key=lambda place: -found.worth[place].hits)[:_MOST_IN_MATRIX]
    if len(alive) > 1:
        print("\noverlap: of the row's hits, the share on which the column's rule hit as well")
        short = [found.codes[place][:14] for place in alive]
        show_table(
            ["", *short],
            [
                [found.codes[row], *(share(found.overlap[row][place], found.worth[row].hits) for place in alive)]
                for row in alive
            ],
            right=short,
        )
