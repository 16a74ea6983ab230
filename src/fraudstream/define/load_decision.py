"""The rules, model, policy and limits of a pipeline's file."""

from __future__ import annotations

from typing import Any

from fraudstream.define.decision import Action, ModelRef, Policy, Reason, Rule, Stage
from fraudstream.define.load_aims import read_budget, read_costs, read_let_through
from fraudstream.define.load_fallback import read_fallback
from fraudstream.define.monitoring import Limits
from fraudstream.define.reader import Reader
from fraudstream.define.yaml_tree import Node

_NUMBERS = ("medium", "high", "critical", "review_at", "block_at")


def read_rules(read: Reader, node: Node | None) -> tuple[Rule, ...]:
    """The rules; one without a predicate is left out."""
    rules = []
    for code, each in read.mapping("rules", node).items():
        path, before = f"rules.{code}", len(read.problems)
        parts = read.mapping(path, each, ("when", "action", "score", "reason", "letter"))
        when = read.text(f"{path}.when", parts.get("when"))
        action = read.word(f"{path}.action", parts.get("action"), Action)
        score = read.number(f"{path}.score", parts.get("score"))
        reason, letter = (read.text(f"{path}.{key}", parts.get(key)) or "" for key in ("reason", "letter"))
        if len(read.problems) == before and when is None:
            read.problem(path, each.line, "`when` is missing.", "Give the predicate: `when: amount > 100`.")
        if len(read.problems) == before and action is None:
            read.problem(path, each.line, "`action` is missing.", f"Give one of: {', '.join(Action)}.")
        # With placeholders for what is wrong: the rest of the rule is checked, too.
        if when is not None:
            action = action or Action.REVIEW
            rules.append(Rule(code=code, when=when, action=action, score=score, reason=reason, letter=letter))
    return tuple(rules)


def read_model(read: Reader, node: Node | None) -> ModelRef | None:
    """The model, if there is one."""
    if node is None or node.value is None:
        return None
    parts = read.mapping("model", node, ModelRef.__struct_fields__)
    defaults = ModelRef(features=())
    missing = read.number("model.missing", parts.get("missing"))
    return ModelRef(
        features=read.texts("model.features", parts.get("features")),
        name=read.text("model.name", parts.get("name")),
        missing=defaults.missing if missing is None else missing,
        trainer=read.text("model.trainer", parts.get("trainer")) or defaults.trainer,
        parameters={
            name: read.parameter(f"model.parameters.{name}", each)
            for name, each in read.mapping("model.parameters", parts.get("parameters")).items()
        },
    )


def read_reasons(read: Reader, node: Node | None) -> tuple[Reason, ...]:
    """What inputs of the model mean to people, code by code."""
    reasons = []
    for code, each in read.mapping("reasons", node).items():
        path = f"reasons.{code}"
        parts = read.mapping(path, each, ("features", "sentence", "letter"))
        features = read.texts(f"{path}.features", parts.get("features"))
        texts = {key: read.text(f"{path}.{key}", parts.get(key)) or "" for key in ("sentence", "letter")}
        reasons.append(Reason(code=code, features=features, **texts))
    return tuple(reasons)


def read_policy(read: Reader, node: Node | None) -> Policy:
    """The policy, with defaults for what is not said."""
    parts = read.mapping("policy", node, Policy.__struct_fields__)
    chosen: dict[str, Any] = {
        name: read.number(f"policy.{name}", part) for name, part in parts.items() if name in _NUMBERS
    }
    chosen["budget"] = read_budget(read, parts.get("budget"))
    chosen["costs"] = read_costs(read, parts.get("costs"))
    chosen["let_through"] = read_let_through(read, parts.get("let_through"))
    chosen["precedence"] = _stages(read, parts.get("precedence"))
    chosen["fallback"] = read_fallback(read, parts.get("fallback"))
    return Policy(**{name: value for name, value in chosen.items() if value is not None})


def read_limits(read: Reader, node: Node | None) -> Limits:
    """From where on what is seen is an alarm, with defaults for what is not said."""
    parts = read.mapping("monitor", node, Limits.__struct_fields__)
    counts = ("least_decisions", "least_frauds")
    chosen: dict[str, Any] = {
        name: read.whole(f"monitor.{name}", part, None) if name in counts else read.number(f"monitor.{name}", part)
        for name, part in parts.items()
    }
    return Limits(**{name: value for name, value in chosen.items() if value is not None})


def _stages(read: Reader, node: Node | None) -> tuple[Stage, ...] | None:
    if node is None or node.value is None:
        return None
    items = node.value if isinstance(node.value, list) else [node]
    words = [read.word(f"policy.precedence.{i}", item, Stage) for i, item in enumerate(items)]
    return tuple(word for word in words if word is not None)
