"""Expressions as typed nodes: what rules, filters, sequence steps and expression features mean, whatever runs them.

`plan/parse.py` makes these nodes from SQL text; `testing/evaluate.py` says what they mean, row by row;
`engine/evaluate.py` computes them over columns; `plan/expression_sql.py` writes them as DuckDB SQL. All three agree:

- Three-valued logic: null in, null out, except where `and`, `or`, `is null`, `case`, `coalesce`, `least` and `greatest`
  say otherwise (the last two skip nulls).
- Decimals are int64 minor units, timestamps int64 epoch milliseconds in UTC. Integers, decimals and timestamps compare
  exactly, whatever their scales. Everything that involves a float is float64.
- Integer `+ - * %`, negation and `abs` stay int64; a result that does not fit is null. `/` is always float64. `%` takes
  the sign of the dividend. Zero divisors give null, and so does every float result that is infinite or not a number.

The parser has made every conversion explicit, so an evaluator never has to think about types: the operands of
`Arithmetic` have one type, those of `Comparison` one type (or are both exact numbers), and so have a `Case`'s results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal as Choice

import msgspec

from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, Kind, ValueType
from fraudstream.units import format_instant

ArithmeticOperator = Choice["+", "-", "*", "/", "%"]
ComparisonOperator = Choice["=", "<>", "<", "<=", ">", ">="]
LogicalOperator = Choice["and", "or"]
Function = Choice[
    "abs", "ceil", "coalesce", "day_of_week", "exp", "floor", "greatest", "hour", "least", "ln", "log10", "power",
    "round", "sqrt",
]  # fmt: skip


class Literal(msgspec.Struct, frozen=True, tag_field="node", tag="literal"):
    """A constant. Decimals are minor units, timestamps epoch milliseconds; None is null."""

    type: ValueType
    value: bool | int | float | str | None


class Ref(msgspec.Struct, frozen=True, tag_field="node", tag="ref"):
    """The value of a field or feature."""

    name: str
    type: ValueType


class AsFloat(msgspec.Struct, frozen=True, tag_field="node", tag="as_float"):
    """An integer or decimal as float64 in major units: one conversion, then one division by 10^scale."""

    operand: Node

    @property
    def type(self) -> ValueType:
        """FLOAT."""
        return FLOAT


class Unary(msgspec.Struct, frozen=True, tag_field="node", tag="unary"):
    """`-` of a number (its type stays) or `not` of a boolean."""

    operator: Choice["-", "not"]
    operand: Node

    @property
    def type(self) -> ValueType:
        """The operand's."""
        return self.operand.type


class Arithmetic(msgspec.Struct, frozen=True, tag_field="node", tag="arithmetic"):
    """Two integers, two floats, or the difference of two timestamps in milliseconds."""

    operator: ArithmeticOperator
    left: Node
    right: Node

    @property
    def type(self) -> ValueType:
        """FLOAT for floats, else INTEGER."""
        return FLOAT if self.left.type == FLOAT else INTEGER


class Comparison(msgspec.Struct, frozen=True, tag_field="node", tag="comparison"):
    """Two values of one type, or two exact numbers of any scales. Strings and booleans know only `=` and `<>`."""

    operator: ComparisonOperator
    left: Node
    right: Node

    @property
    def type(self) -> ValueType:
        """BOOLEAN."""
        return BOOLEAN


class Logical(msgspec.Struct, frozen=True, tag_field="node", tag="logical"):
    """Kleene's `and` or `or` of two or more booleans."""

    operator: LogicalOperator
    operands: tuple[Node, ...]

    @property
    def type(self) -> ValueType:
        """BOOLEAN."""
        return BOOLEAN


class IsNull(msgspec.Struct, frozen=True, tag_field="node", tag="is_null"):
    """Whether a value is null (negated: is not null). Never null itself."""

    operand: Node
    negated: bool = False

    @property
    def type(self) -> ValueType:
        """BOOLEAN."""
        return BOOLEAN


class InValues(msgspec.Struct, frozen=True, tag_field="node", tag="in"):
    """Whether a value is one of some constants, which are of its own type, sorted, each once, and at least one."""

    operand: Node
    values: tuple[int | float | str, ...]
    negated: bool = False

    @property
    def type(self) -> ValueType:
        """BOOLEAN."""
        return BOOLEAN


class Case(msgspec.Struct, frozen=True, tag_field="node", tag="case"):
    """The result of the first condition that is true, else `otherwise`. All results have one type."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node

    @property
    def type(self) -> ValueType:
        """The results'."""
        return self.otherwise.type


class Call(msgspec.Struct, frozen=True, tag_field="node", tag="call"):
    """A function of values; `abs`, `coalesce`, `least` and `greatest` keep their arguments' one type."""

    function: Function
    arguments: tuple[Node, ...]

    @property
    def type(self) -> ValueType:
        """INTEGER for `hour` and `day_of_week`, the arguments' for those that keep it, else FLOAT."""
        if self.function in ("hour", "day_of_week"):
            return INTEGER
        return self.arguments[0].type if self.function in ("abs", "coalesce", "least", "greatest") else FLOAT


Node = Literal | Ref | AsFloat | Unary | Arithmetic | Comparison | Logical | IsNull | InValues | Case | Call


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below, in the order they are written."""
    match node:
        case AsFloat() | Unary() | IsNull() | InValues():
            yield node.operand
        case Arithmetic() | Comparison():
            yield node.left
            yield node.right
        case Logical():
            yield from node.operands
        case Call():
            yield from node.arguments
        case Case():
            for condition, result in node.branches:
                yield condition
                yield result
            yield node.otherwise


def references(node: Node) -> frozenset[str]:
    """The names of the fields and features an expression reads."""
    if isinstance(node, Ref):
        return frozenset((node.name,))
    return frozenset().union(*(references(child) for child in children(node)))


def canonical(node: Node) -> str:
    """The one text of an expression, however it was written; it parses back to the same node over the same types.

    It goes into hashes: a change here changes the identity of every pipeline.
    """
    match node:
        case Literal():
            return _literal_text(node.type, node.value)
        case Ref():
            return '"' + node.name.replace('"', '""') + '"'
        case AsFloat():
            return canonical(node.operand)
        case Unary():
            return f"({node.operator} {canonical(node.operand)})"
        case Arithmetic() | Comparison():
            return f"({canonical(node.left)} {node.operator} {canonical(node.right)})"
        case Logical():
            return "(" + f" {node.operator} ".join(canonical(operand) for operand in node.operands) + ")"
        case IsNull():
            return f"({canonical(node.operand)} is {'not ' if node.negated else ''}null)"
        case InValues():
            values = ", ".join(_literal_text(node.operand.type, value) for value in node.values)
            return f"({canonical(node.operand)} {'not ' if node.negated else ''}in ({values}))"
        case Case():
            branches = " ".join(f"when {canonical(when)} then {canonical(then)}" for when, then in node.branches)
            return f"case {branches} else {canonical(node.otherwise)} end"
        case Call():
            return f"{node.function}({', '.join(canonical(argument) for argument in node.arguments)})"


def _literal_text(kind: ValueType, value: bool | int | float | str | None) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if kind.kind is Kind.TIMESTAMP:
        return f"'{format_instant(int(value))}'"
    if kind.kind is Kind.DECIMAL and kind.scale:
        digits = f"{abs(int(value)):0{kind.scale + 1}d}"
        return f"{'-' if value < 0 else ''}{digits[: -kind.scale]}.{digits[-kind.scale :]}"
    return repr(value)
