"""`fraudstream budget`: thresholds from how many reviews there is time for, or from what outcomes cost."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudstream.cli.console import show_json, show_note, show_table
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
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from
from fraudstream.cli.replay import From, LabelDelay, To, from_file
from fraudstream.errors import DataError, UsageError

if TYPE_CHECKING:
    from fraudstream.define.aims import Budget, Costs
    from fraudstream.define.decision import Policy
    from fraudstream.evaluate.budget import EventCosts, Scored
    from fraudstream.evaluate.expected import Estimate, Expected

FEWEST_PERIODS = 3
SCALES = (0.5, 0.75, 1.5, 2.0)
"""Budgets beside the one asked for, so that one sees what more time would be worth."""


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    data: Data,
    reviews: Annotated[
        int | None, typer.Option("--reviews", min=0, help="Reviews there is time for; default: the policy's budget.")
    ] = None,
    per: Annotated[str | None, typer.Option("--per", metavar="DURATION", help="In which time; 1d unless said.")] = None,
    investigation: Annotated[
        float | None, typer.Option("--investigation", min=0, help="Cost of a review; default: the policy's costs.")
    ] = None,
    missed: Annotated[
        str | None, typer.Option("--missed", metavar="COST", help="Cost of an approved fraud; amount unless said.")
    ] = None,
    blocked: Annotated[
        str | None,
        typer.Option("--blocked", metavar="COST", help="Cost of a blocked genuine event; amount unless said."),
    ] = None,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    label_delay: LabelDelay = "7d",
    from_at: From = None,
    to_at: To = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the thresholds and their aim into the pipeline's file.")
    ] = False,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Find the thresholds that keep a budget of reviews, or that cost least, and what to expect of them.

    The pipeline decides a history with the champion of its model. Choose with --from a period that the model was not
    trained on: on what it knows it looks better than it is. Intervals are of 95 %, from days drawn again and again.
    """
    from fraudstream.pipelines import SHIPPED, find_path, find_plan
    from fraudstream.replay.contenders import scorer_for
    from fraudstream.replay.run import run
    from fraudstream.replay.thresholds import OpenContender

    started = time.monotonic()
    settings = settings_from(None, config, values)
    path = find_path(pipeline, settings.pipelines_folder)
    if write and path.parent == SHIPPED:
        raise UsageError(
            f"{path.stem} is a shipped pipeline, whose file is not yours to change.",
            f"Copy {path} into {settings.pipelines_folder} and give the copy.",
        )
    declared = find_plan(pipeline, settings.pipelines_folder)
    budget, costs = _aims(declared.pipeline.policy, reviews, per, investigation, missed, blocked)
    from_ms, to_ms, delay_ms = (
        instant("--from", from_at),
        instant("--to", to_at),
        duration("--label-delay", label_delay),
    )
    plan, _, source = from_file(
        declared, declared, data, column, without, time_column, label, truth, delay_ms, settings
    )
    contender = OpenContender(plan, scorer_for(plan, settings.models_folder), len(source))
    with progress() as show:
        facts = run([contender], source, from_ms=from_ms, to_ms=to_ms, show=lambda n: show("budget", n, len(source)))
    note_rejected(source.history)
    if contender.degraded:
        show_note(f"note: {contender.degraded:,} events were decided without the model: none is at hand.")
    length = "1d" if budget is None else budget.per
    scored = contender.scored(facts, duration("--per", length))
    if scored.periods < FEWEST_PERIODS:
        raise DataError(
            f"{source.name} has {scored.periods} whole periods of {length} to judge on; {FEWEST_PERIODS} are needed.",
            "Give a longer history, or an earlier --from.",
        )
    rows = _choices(scored, declared.pipeline.policy, budget, costs)
    chosen = rows["chosen"]
    if as_json:
        show_json(_document(rows, scored, length, budget, costs) | {"seconds": round(time.monotonic() - started, 2)})
    else:
        _print(rows, scored, length, budget, declared.pipeline.name)
    if write:
        _write(path, declared.pipeline.policy, chosen, budget, costs)


def _aims(
    policy: Policy,
    reviews: int | None,
    per: str | None,
    investigation: float | None,
    missed: str | None,
    blocked: str | None,
) -> tuple[Budget | None, Costs | None]:
    """The budget and the costs that were given, else those of the policy."""
    from fraudstream.define.aims import Budget, Costs

    budget, costs = policy.budget, policy.costs
    if reviews is not None:
        budget = Budget(reviews=reviews, per=per or "1d")
    elif per is not None:
        raise UsageError("--per is given without --reviews.", "It says in which time so many reviews can be done.")
    if investigation is not None:
        costs = Costs(
            investigation=investigation, missed=_cost("--missed", missed), blocked=_cost("--blocked", blocked)
        )
    elif missed is not None or blocked is not None:
        raise UsageError("Costs are given without --investigation.", "Say what a review costs, too.")
    if budget is None and costs is None:
        raise UsageError(
            "Nothing says what the thresholds are for.",
            "Give --reviews or --investigation, or write `budget` or `costs` into the policy.",
        )
    return budget, costs


def _cost(option: str, text: str | None) -> float | None:
    """A number, or None for the event's amount."""
    if text is None or text == "amount":
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise UsageError(f"{option} {text} is no cost.", "Write a number, or `amount` for the event's amount.")
    return found


def _choices(scored: Scored, policy: Policy, budget: Budget | None, costs: Costs | None) -> dict[str, Expected]:
    """What to expect of the thresholds as they are, of those chosen, and of other budgets."""
    from fraudstream.evaluate.budget import cheapest, costs_of, review_threshold
    from fraudstream.evaluate.expected import expect

    of_events: EventCosts | None = None
    if costs is not None:
        of_events = costs_of(scored, costs.investigation, costs.missed, costs.blocked)

    def thresholds(most: float | None) -> tuple[float, float]:
        if of_events is not None:
            return cheapest(scored, of_events, most)
        assert most is not None
        return review_threshold(scored, most, policy.block_threshold), policy.block_threshold

    def expected(review_at: float, block_at: float, most: float | None) -> Expected:
        return expect(scored, review_at, block_at, costs=of_events, reviews=most)

    most = None if budget is None else float(budget.reviews)
    rows = {"as it is": expected(policy.review_threshold, policy.block_threshold, most)}
    rows["chosen"] = expected(*thresholds(most), most)
    if most is not None:
        for scale in SCALES:
            rows[f"{most * scale:,.10g} reviews"] = expected(*thresholds(most * scale), most * scale)
    return rows


def _document(
    rows: dict[str, Expected], scored: Scored, length: str, budget: Budget | None, costs: Costs | None
) -> dict[str, Any]:
    return {
        "events": len(scored.score),
        "periods": scored.periods,
        "per": length,
        "budget": budget,
        "costs": costs,
        **{name.replace(" ", "_"): _plain(row) for name, row in rows.items()},
    }


def _plain(row: Expected) -> dict[str, Any]:
    from fraudstream.evaluate.expected import Estimate

    return {
        key: value._asdict() if isinstance(value, Estimate) else value
        for key, value in zip(row._fields, row, strict=True)
    }


def _print(rows: dict[str, Expected], scored: Scored, length: str, budget: Budget | None, name: str) -> None:
    def figure(each: Estimate, form: str = ",.1f") -> str:
        return "–" if each.value != each.value else f"{each.value:{form}}"

    def interval(each: Estimate, form: str = ",.1f") -> str:
        known = f" ({each.low:{form}} to {each.high:{form}})" if each.low == each.low else ""
        return figure(each, form) + known

    columns = ["", "review at", "block at", f"reviews per {length}", "blocks", "precision", "recall", "fraud passed"]
    columns += ["genuine blocked"]
    has_cost = rows["chosen"].cost.value == rows["chosen"].cost.value
    columns += ["cost"] if has_cost else []
    columns += ["backlog"] if budget is not None else []
    print(f"{name}: {len(scored.score):,} events in {scored.periods:,} periods of {length}; money is per {length}")
    show_table(
        columns,
        [
            [
                title,
                f"{row.review_at:g}",
                f"{row.block_at:g}",
                figure(row.reviews),
                figure(row.blocks),
                figure(row.precision, ".1%"),
                figure(row.recall, ".1%"),
                figure(row.fraud_approved, ",.2f"),
                figure(row.genuine_blocked, ",.2f"),
                *([figure(row.cost, ",.2f")] if has_cost else []),
                *([figure(row.backlog)] if budget is not None else []),
            ]
            for title, row in rows.items()
        ],
        right=columns[1:],
    )
    chosen = rows["chosen"]
    print("\nchosen, with intervals of 95 %:")
    lines = [
        (f"reviews per {length}", interval(chosen.reviews)),
        ("in a single one to come", f"{chosen.reviews_next.low:,.0f} to {chosen.reviews_next.high:,.0f}"),
        ("precision", interval(chosen.precision, ".1%")),
        ("recall", interval(chosen.recall, ".1%")),
        ("money of frauds caught", interval(chosen.fraud_caught, ",.2f")),
        ("money of frauds passed", interval(chosen.fraud_approved, ",.2f")),
        ("money of genuine blocked", interval(chosen.genuine_blocked, ",.2f")),
    ]
    if has_cost:
        lines.append(("cost", interval(chosen.cost, ",.2f")))
    if budget is not None:
        longest = f"{chosen.backlog.value:,.1f} on average, {chosen.backlog.high:,.0f} at the longest of 95 %"
        lines.append(("reviews waiting", longest))
    for title, text in lines:
        print(f"  {title:<26} {text}")
    if budget is not None and chosen.reviews.value > budget.reviews:
        print(f"  rules alone ask for more than {budget.reviews:,} reviews: no threshold can keep the budget")


def _write(path: Path, policy: Policy, chosen: Expected, budget: Budget | None, costs: Costs | None) -> None:
    """Writes the thresholds, and the aims they are for, into the file."""
    import msgspec

    from fraudstream.define.rewrite import write_policy

    values: dict[str, str] = {}
    changed: dict[str, Any] = {}
    for name, aim, now in (("costs", costs, policy.costs), ("budget", budget, policy.budget)):
        if aim is not None and aim != now:
            values[name], changed[name] = _flow(msgspec.to_builtins(aim)), aim
    if policy.block_at is not None or chosen.block_at != policy.critical:
        values["block_at"], changed["block_at"] = repr(chosen.block_at), chosen.block_at
    values["review_at"], changed["review_at"] = repr(chosen.review_at), chosen.review_at
    write_policy(path, values, msgspec.structs.replace(policy, **changed), os.environ)
    show_note(f"note: {path} has {', '.join(f'{key} {value}' for key, value in values.items())}")


def _flow(values: Mapping[str, object]) -> str:
    shown = {key: f"{value:.15g}" if isinstance(value, float) else value for key, value in values.items()}
    return "{" + ", ".join(f"{key}: {value}" for key, value in shown.items()) + "}"
