"""The budget, the costs and the let-through sample of a policy in a pipeline's file."""

from __future__ import annotations

from fraudstream.define.aims import Budget, Costs, LetThrough
from fraudstream.define.reader import Reader
from fraudstream.define.yaml_tree import Node

AMOUNT = "amount"
"""The word for a cost that is the event's amount."""


def read_budget(read: Reader, node: Node | None) -> Budget | None:
    """The budget, if there is one."""
    parts = _parts(read, "policy.budget", node, Budget.__struct_fields__)
    if parts is None:
        return None
    reviews = read.whole("policy.budget.reviews", parts.get("reviews"), None)
    if reviews is None:
        _missing(read, "policy.budget", node, "reviews", "200")
        return None
    return Budget(reviews=reviews, per=read.text("policy.budget.per", parts.get("per")) or "1d")


def read_costs(read: Reader, node: Node | None) -> Costs | None:
    """The costs, if there are any."""
    parts = _parts(read, "policy.costs", node, Costs.__struct_fields__)
    if parts is None:
        return None
    investigation = read.number("policy.costs.investigation", parts.get("investigation"))
    if investigation is None:
        _missing(read, "policy.costs", node, "investigation", "5")
        return None
    return Costs(
        investigation=investigation,
        missed=_cost(read, "policy.costs.missed", parts.get("missed")),
        blocked=_cost(read, "policy.costs.blocked", parts.get("blocked")),
    )


def read_let_through(read: Reader, node: Node | None) -> LetThrough | None:
    """The let-through sample, if there is one."""
    parts = _parts(read, "policy.let_through", node, LetThrough.__struct_fields__)
    if parts is None:
        return None
    share = read.number("policy.let_through.share", parts.get("share"))
    at_most = read.number("policy.let_through.at_most", parts.get("at_most"))
    if share is None or at_most is None:
        key, example = ("share", "0.01") if share is None else ("at_most", "1000")
        _missing(read, "policy.let_through", node, key, example)
        return None
    return LetThrough(share=share, at_most=at_most, per=read.text("policy.let_through.per", parts.get("per")) or "1d")


def _parts(read: Reader, path: str, node: Node | None, known: tuple[str, ...]) -> dict[str, Node] | None:
    return None if node is None or node.value is None else read.mapping(path, node, known)


def _missing(read: Reader, path: str, node: Node | None, key: str, example: str) -> None:
    """Says that a key is missing, unless what stands there was wrong and said so."""
    if not any(problem.path == path or problem.path.startswith(f"{path}.") for problem in read.problems):
        read.problem(path, node.line if node else None, f"`{key}` is missing.", f"Give it: `{key}: {example}`.")


def _cost(read: Reader, path: str, node: Node | None) -> float | None:
    if node is not None and node.value == AMOUNT:
        return None
    return read.number(path, node)
