"""A policy's budget, costs and let-through sample: what can be wrong with them, and what they say."""

from __future__ import annotations

from collections.abc import Iterator

from fraudstream.define.aims import Costs
from fraudstream.define.decision import Policy
from fraudstream.plan.scope import Scope

LARGEST_SHARE = 0.5
_MOST_REVIEWS = 10**9
_MOST_MONEY = 10**12


def check_aims(scope: Scope) -> None:
    """The numbers make sense, and where money is bounded events have an amount."""
    policy, event = scope.pipeline.policy, scope.pipeline.event
    if policy.budget is not None:
        scope.duration("policy.budget.per", policy.budget.per)
        if not 0 <= policy.budget.reviews <= _MOST_REVIEWS:
            scope.problem("policy.budget.reviews", f"{policy.budget.reviews} reviews.", "Use 0 or more.")
    if policy.costs is not None:
        for name, cost in _costs(policy.costs):
            if cost is not None and not 0 <= cost <= _MOST_MONEY:
                scope.problem(f"policy.costs.{name}", f"{cost:g}.", "Use 0 or more, in the amount's major unit.")
        if event.amount is None and None in (policy.costs.missed, policy.costs.blocked):
            scope.problem("policy.costs", "a cost is the amount, and events have none.", "Name `event.amount`.")
    sample = policy.let_through
    if sample is not None:
        scope.duration("policy.let_through.per", sample.per)
        if not 0 < sample.share <= LARGEST_SHARE:
            advice = f"It is a sample: use a share above 0, at most {LARGEST_SHARE:g}."
            scope.problem("policy.let_through.share", f"{sample.share:g}.", advice)
        if not 0 < sample.at_most <= _MOST_MONEY:
            advice = "Use the money that may be let through, above 0."
            scope.problem("policy.let_through.at_most", f"{sample.at_most:g}.", advice)
        if event.amount is None:
            scope.problem("policy.let_through", "events have no amount to bound it by.", "Name `event.amount`.")


def aims_sentences(policy: Policy) -> Iterator[tuple[str, str]]:
    """What each declared aim says, with its name."""
    if policy.budget is not None:
        unset = (
            "" if policy.review_at is not None else f"; no `review_at` was found for it yet, {policy.high:g} applies"
        )
        yield "budget", f"at most {policy.budget.reviews:,} reviews in {policy.budget.per}{unset}"
    if policy.costs is not None:
        words = {name: "the amount" if cost is None else f"{cost:g}" for name, cost in _costs(policy.costs)}
        blocked = f"a blocked genuine event {words['blocked']}"
        yield "costs", f"a review {words['investigation']}, an approved fraud {words['missed']}, {blocked}"
    sample = policy.let_through
    if sample is not None:
        bound = f"money of {sample.at_most:,.10g} at most in {sample.per}; one scorer process for all partitions"
        yield "let_through", f"{sample.share:.2%} of what would be blocked is approved and flagged, {bound}"


def _costs(costs: Costs) -> list[tuple[str, float | None]]:
    return [("investigation", costs.investigation), ("missed", costs.missed), ("blocked", costs.blocked)]
