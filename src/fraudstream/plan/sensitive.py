"""What can be asked of a sensitive field: its tokens are equal where the values are, and say nothing else."""

from __future__ import annotations

from fraudstream.define.decision import ValueList
from fraudstream.plan.expression import Comparison, IsNull, Node, Ref, children
from fraudstream.schema.event import Event, FieldType
from fraudstream.tokens.held import held_keys


def misused(node: Node, sensitive: frozenset[str]) -> str | None:
    """The first sensitive field that an expression does not merely compare with another one, or with null."""
    match node:
        case Comparison(operator="=" | "<>", left=Ref(name=left), right=Ref(name=right)):
            if left in sensitive and right in sensitive:
                return None
        case IsNull(operand=Ref()):
            return None
        case Ref(name=name):
            return name if name in sensitive else None
    return next((found for child in children(node) if (found := misused(child, sensitive))), None)


def tokens_of(values: tuple[str, ...], event: Event, name: str) -> tuple[str, ...]:
    """What stands for a list's values where the sensitive field `name` is looked up in it, sorted.

    Raises:
        UsageError, SettingError: This process has no token keys.
    """
    field, keys = event.field(name), held_keys()
    if field is not None and field.type is FieldType.INTEGER:
        values = tuple(str(int(value)) if value.removeprefix("-").isdecimal() else value for value in values)
    return tuple(sorted({keys.stands_for(value) for value in values}))


def lists_to_keep(lists: tuple[ValueList, ...], users: dict[str, str], event: Event) -> tuple[ValueList, ...]:
    """The lists as they may be hashed, stored and shown: with tokens where they hold values of sensitive fields.

    Args:
        lists: The lists with their values.
        users: Of each such list, a sensitive field that is looked up in it.
        event: What the pipeline reads.
    """
    return tuple(
        ValueList(name=each.name, values=tokens_of(each.values, event, users[each.name]), file=each.file)
        if each.values and each.name in users
        else each
        for each in lists
    )
