"""From the text of an expression to typed nodes: every node of the syntax is allowed by name, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, get_args

from fraudstream.plan import typing_rules as rules
from fraudstream.plan.expression import (
    Arithmetic,
    ArithmeticOperator,
    Call,
    Comparison,
    ComparisonOperator,
    Function,
    IsNull,
    Literal,
    Node,
    Ref,
    children,
)
from fraudstream.plan.syntax import ExpressionError as ExpressionError
from fraudstream.plan.syntax import syntax_tree
from fraudstream.plan.typing_rules import Constant, Operand
from fraudstream.schema.types import BOOLEAN, INTEGER, TIMESTAMP, Kind, ValueType

MAX_NODES = 500
MAX_DEPTH = 50

_SYNTAX: dict[str, frozenset[str]] = {
    "Paren": frozenset({"this"}),
    **dict.fromkeys(
        ("And", "Or", "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Add", "Sub", "Mul", "Div", "Mod", "Is"),
        frozenset({"this", "expression"}),
    ),
    "Not": frozenset({"this"}),
    "Neg": frozenset({"this"}),
    "In": frozenset({"this", "expressions"}),
    "Between": frozenset({"this", "low", "high"}),
    "Case": frozenset({"this", "ifs", "default"}),
    "If": frozenset({"this", "true"}),
    "Anonymous": frozenset({"this", "expressions"}),
    "Column": frozenset({"this", "table", "db", "catalog"}),
    "Literal": frozenset({"this", "is_string"}),
    "Boolean": frozenset({"this"}),
    "Null": frozenset(),
}
"""sqlglot's nodes that may occur, and which of their parts may be filled. Everything else is refused."""

_COMPARISONS: dict[str, ComparisonOperator] = {
    "EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">=",
}  # fmt: skip
_ARITHMETIC: dict[str, ArithmeticOperator] = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%"}
_AGGREGATES = frozenset({"sum", "count", "avg", "mean", "min", "max", "std", "stddev", "median"})
_ADVICE = {
    "Subquery": "Declare a windowed feature and use its name.",
    "Select": "Declare a windowed feature and use its name.",
    "Window": "Declare a windowed feature and use its name.",
    "Cast": "Types come from the event's definition; an instant is written as text, like ts > '2026-11-22T20:00:00Z'.",
    "Placeholder": "Write the value itself.",
    "Parameter": "Write the value itself.",
    "Like": "Text compares with = <> and in (…) only.",
    "ILike": "Text compares with = <> and in (…) only.",
    "DPipe": "Text compares with = <> and in (…) only.",
}


def parse(text: str, types: Mapping[str, ValueType], *, boolean: bool = False) -> Node:
    """The typed node of an expression.

    Args:
        text: A SQL scalar expression of at most 4,000 characters.
        types: The names it may use and their types.
        boolean: Whether it must be a predicate.

    Raises:
        ExpressionError: The text is not allowed; nothing else is ever raised, whatever the text.
    """
    tree = syntax_tree(text)
    try:
        node = rules.settled(_Reader(types).read(tree, 1))
        _check_size(node)
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply.", "Split it into features.") from None
    if isinstance(node, Literal) and node.type.kind is Kind.STRING:
        raise ExpressionError("the expression is only a text.", "Compare it with a field, or use double quotes: names.")
    if boolean and node.type != BOOLEAN:
        raise ExpressionError(
            f"the expression is {rules.named(node.type)}, not a predicate.", "Compare it with something: … > 100."
        )
    return node


def _check_size(node: Node) -> None:
    """Counts nodes as often as they are computed; `between` and `case x when` repeat their operand."""
    sizes: dict[int, int] = {}

    def size(each: Node) -> int:
        if id(each) not in sizes:
            sizes[id(each)] = 1 + sum(size(child) for child in children(each))
        return sizes[id(each)]

    if size(node) > MAX_NODES:
        raise ExpressionError(
            f"the expression has {size(node):,} parts; {MAX_NODES} are allowed.",
            "Use in (…) or a list for many values, and features for parts.",
        )


class _Reader:
    """Turns syntax into nodes, bottom up; constants stay untyped until what they meet gives them a type."""

    def __init__(self, types: Mapping[str, ValueType]) -> None:
        self._types = types

    def read(self, tree: Any, depth: int) -> Operand:
        """The operand a syntax tree stands for; errors that know no position get the tree's."""
        while type(tree).__name__ == "Paren":
            self._check(tree)
            tree = tree.this
        if depth > MAX_DEPTH:
            raise ExpressionError(f"the expression is more than {MAX_DEPTH} levels deep.", "Split it into features.")
        self._check(tree)
        try:
            return self._node(tree, type(tree).__name__, depth + 1)
        except ExpressionError as error:
            if error.position is None:
                error.position = _position(tree)
            raise

    def _check(self, tree: Any) -> None:
        name = type(tree).__name__
        parts = _SYNTAX.get(name)
        extra = (
            None if parts is None else next((key for key, part in tree.args.items() if part and key not in parts), None)
        )
        if parts is None or extra is not None:
            found = name if extra is None else f"{name} with {extra}"
            raise ExpressionError(
                f"{found} is not allowed in an expression.",
                _ADVICE.get(name, "Allowed are comparisons, and/or/not, arithmetic, is null, in (…), between, case and "
                            f"the functions {', '.join(sorted(_FUNCTIONS))}."),
                _position(tree),
            )  # fmt: skip

    def _node(self, tree: Any, name: str, depth: int) -> Operand:
        if name in _COMPARISONS:
            return rules.comparison(_COMPARISONS[name], *self._pair(tree, depth))
        if name in _ARITHMETIC:
            return rules.arithmetic(_ARITHMETIC[name], *self._pair(tree, depth))
        if name in ("And", "Or"):
            return rules.logical(
                "and" if name == "And" else "or", [self.read(each, depth) for each in _chain(tree, name)]
            )
        match name:
            case "Not":
                return rules.inverted(self.read(tree.this, depth))
            case "Neg":
                return rules.negated(self.read(tree.this, depth))
            case "Is":
                return self._is_null(tree, depth)
            case "In":
                values = [self.read(each, depth) for each in tree.expressions]
                return rules.membership(self.read(tree.this, depth), values)
            case "Between":
                value = rules.settled(self.read(tree.this, depth))
                low = rules.comparison(">=", value, self.read(tree.args["low"], depth))
                return rules.logical("and", [low, rules.comparison("<=", value, self.read(tree.args["high"], depth))])
            case "Case":
                return self._case(tree, depth)
            case "Anonymous":
                return self._call(tree, depth)
            case "Column":
                return self._ref(tree)
            case "Literal":
                return Constant(str(tree.this) if tree.args["is_string"] else rules.number(str(tree.this)))
            case "Boolean":
                return Literal(BOOLEAN, bool(tree.this))
            case "Null":
                return Constant(None)
        raise ExpressionError(f"{name} is not allowed here.", "")

    def _pair(self, tree: Any, depth: int) -> tuple[Operand, Operand]:
        return self.read(tree.this, depth), self.read(tree.expression, depth)

    def _is_null(self, tree: Any, depth: int) -> Node:
        if type(tree.expression).__name__ != "Null":
            raise ExpressionError("`is` is not followed by null.", "Write `x is null`, `x is not null` or `x = true`.")
        return IsNull(rules.settled(self.read(tree.this, depth)))

    def _case(self, tree: Any, depth: int) -> Node:
        subject = None if tree.this is None else rules.settled(self.read(tree.this, depth))
        conditions: list[Node] = []
        results: list[Operand] = []
        for branch in tree.args["ifs"]:
            self._check(branch)
            when = self.read(branch.this, depth)
            conditions.append(
                rules.predicate(when, "when") if subject is None else rules.comparison("=", subject, when)
            )
            results.append(self.read(branch.args["true"], depth))
        default = tree.args.get("default")
        results.append(Constant(None) if default is None else self.read(default, depth))
        return rules.case(conditions, results)

    def _ref(self, tree: Any) -> Node:
        parts = [tree.args.get(key) for key in ("catalog", "db", "table", "this")]
        if any(part is not None and type(part).__name__ != "Identifier" for part in parts):
            raise ExpressionError("`*` is not allowed in an expression.", "Name a field or feature.")
        name = ".".join(str(part.this) for part in parts if part is not None)
        if name in self._types:
            return Ref(name, self._types[name])
        folded = {known.lower(): known for known in self._types}
        close = folded.get(name.lower()) or next(iter(get_close_matches(name, self._types, n=1)), None)
        advice = f"Did you mean {close!r}?" if close else f"Known are {', '.join(sorted(self._types)[:20]) or 'none'}."
        raise ExpressionError(f"{name!r} is not a field or feature.", advice)

    def _call(self, tree: Any, depth: int) -> Operand:
        name = str(tree.this).lower()
        if name in _AGGREGATES:
            raise ExpressionError(f"{name}(…) is an aggregate.", "Declare a windowed feature and use its name.")
        if name in ("cast", "try_cast", "convert"):
            raise ExpressionError("casts are not allowed.", _ADVICE["Cast"])
        if name not in _FUNCTIONS:
            close = next(iter(get_close_matches(name, _FUNCTIONS, n=1)), None)
            known = f"Did you mean {close}? " if close else ""
            raise ExpressionError(
                f"{name[:60]!r} is not a function.", f"{known}Allowed are {', '.join(sorted(_FUNCTIONS))}."
            )
        least, most, build = _FUNCTIONS[name]
        arguments = [self.read(argument, depth) for argument in tree.expressions]
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"at least {least}"
            raise ExpressionError(f"{name} is given {len(arguments)} values.", f"It takes {wanted}.")
        return build(name, arguments)


def _chain(tree: Any, name: str) -> list[Any]:
    """The terms of `a and b and c …` in order, found without recursion: a long chain is not a deep expression."""
    terms: list[Any] = []
    while type(tree).__name__ == name:
        terms.append(tree.expression)
        tree = tree.this
    return [tree, *reversed(terms)]


def _position(tree: Any) -> int | None:
    starts = [node.meta["start"] for node in tree.walk() if "start" in node.meta]
    return min(starts, default=None)


def _of_floats(name: str, arguments: list[Operand]) -> Node:
    function: Function = next(each for each in get_args(Function) if each == name)
    return Call(function, tuple(rules.as_float(argument, name) for argument in arguments))


def _round(name: str, arguments: list[Operand]) -> Node:
    digits = arguments[1] if len(arguments) > 1 else Constant(Fraction(0))
    if not isinstance(digits, Constant) or digits.value not in range(16):
        raise ExpressionError("round's second value is not a whole number from 0 to 15.", "Write round(x, 2).")
    return Call("round", (rules.as_float(arguments[0], name), rules.settled(digits)))


def _of_one_type(name: str, arguments: list[Operand]) -> Node:
    function: Function = "coalesce" if name == "coalesce" else "least" if name == "least" else "greatest"
    nodes = rules.unified(arguments, name)
    if name != "coalesce" and nodes[0].type == BOOLEAN:
        raise ExpressionError(f"{name} is given booleans.", "It takes numbers or timestamps.")
    return Call(function, tuple(nodes))


def _abs(name: str, arguments: list[Operand]) -> Node:
    return Call("abs", (rules.numeric(arguments[0], name),))


def _nullif(name: str, arguments: list[Operand]) -> Node:
    value = rules.settled(arguments[0])
    return rules.case([rules.comparison("=", value, arguments[1])], [Constant(None), value])


def _ratio(name: str, arguments: list[Operand]) -> Node:
    return rules.arithmetic("/", *(rules.as_float(argument, name) for argument in arguments))


def _zscore(name: str, arguments: list[Operand]) -> Node:
    value, mean, deviation = (rules.as_float(argument, name) for argument in arguments)
    return Arithmetic("/", Arithmetic("-", value, mean), deviation)


def _of_time(name: str, arguments: list[Operand]) -> Node:
    instant = rules.settled(arguments[0])
    if instant.type != TIMESTAMP:
        raise ExpressionError(f"{name} is given {rules.named(instant.type)}.", "It takes a timestamp.")
    if name in ("hour", "is_night"):
        hour = Call("hour", (instant,))
        return hour if name == "hour" else Comparison("<", hour, Literal(INTEGER, 6))
    day = Call("day_of_week", (instant,))
    return day if name == "day_of_week" else Comparison(">=", day, Literal(INTEGER, 6))


_FUNCTIONS: dict[str, tuple[int, int, Callable[[str, list[Operand]], Node]]] = {
    **dict.fromkeys(("ceil", "exp", "floor", "ln", "log10", "sqrt"), (1, 1, _of_floats)),
    **dict.fromkeys(("coalesce", "greatest", "least"), (1, 500, _of_one_type)),
    **dict.fromkeys(("day_of_week", "hour", "is_night", "is_weekend"), (1, 1, _of_time)),
    "abs": (1, 1, _abs),
    "nullif": (2, 2, _nullif),
    "power": (2, 2, _of_floats),
    "ratio": (2, 2, _ratio),
    "round": (1, 2, _round),
    "zscore": (3, 3, _zscore),
}
"""Name → least and most arguments, and what makes the node."""
