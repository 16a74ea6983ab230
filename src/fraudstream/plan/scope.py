"""What planning knows so far: the names in sight with their types, what is broken, and every problem found."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fraudstream.define.pipeline import Pipeline
from fraudstream.define.reader import suggestion
from fraudstream.errors import Problem
from fraudstream.plan.expression import Node
from fraudstream.plan.parse import ExpressionError, parse
from fraudstream.plan.sensitive import misused
from fraudstream.schema.types import Kind, ValueType
from fraudstream.units import MILLISECONDS, parse_duration

LONGEST_MS = 3_660 * MILLISECONDS["d"]
_TEXT = re.compile(r"'[^']*'")
_WORD = re.compile(r"\b[A-Za-z_][A-Za-z0-9_]*\b(?!\s*\()")


class Scope:
    """Collects names and problems while the parts of a plan are made.

    Attributes:
        pipeline: What is planned.
        problems: What was found so far.
        field_types: The types of the event's fields.
        types: Those, and the types of the features planned so far.
        broken: Names that have a problem of their own: what mentions them is passed over, or one slip would be
            reported ten times.
    """

    def __init__(self, pipeline: Pipeline, broken: Iterable[str] = ()) -> None:
        self.pipeline = pipeline
        self.problems: list[Problem] = []
        self.field_types: dict[str, ValueType] = {}
        self.types: dict[str, ValueType] = {}
        self.broken = set(broken)

    def problem(self, path: str, found: str, advice: str = "") -> None:
        """Reports a problem."""
        self.problems.append(Problem(path, found, advice))

    def field(self, path: str, name: str, kinds: frozenset[Kind]) -> ValueType | None:
        """The type of a field that must exist and be of one of the kinds; None after saying why not."""
        if name in self.broken:
            return None
        found = self.field_types.get(name)
        if found is None:
            self.problem(path, f"{name!r} is not a field of the event.", suggestion(name, self.field_types))
            return None
        if found.kind not in kinds:
            self.problem(path, f"{name!r} is {found}.", f"Allowed here: {', '.join(sorted(kinds))}.")
            return None
        return found

    def duration(self, path: str, text: str | None) -> int:
        """Milliseconds in a duration; 0 for none, and after saying what is wrong with it."""
        try:
            duration_ms = parse_duration(text) if text is not None else 0
        except ValueError as error:
            self.problem(path, f"{error}.")
            return 0
        if duration_ms > LONGEST_MS:
            self.problem(path, f"{text!r} is very long.", "At most 3660d.")
            return 0
        return duration_ms

    def predicate(self, path: str, text: str) -> Node | None:
        """A predicate over the event's fields alone: what is stored must not depend on features."""
        features = {feature.name for feature in self.pipeline.features} - self.field_types.keys()
        read = sorted(words_of(text) & features)
        if read:
            advice = "Filters and steps see the event's fields only; what is stored must not depend on features."
            self.problem(path, f"it reads the feature {read[0]!r}.", advice)
            return None
        return self.parse(path, text, self.field_types, boolean=True)

    def parse(self, path: str, text: str, types: dict[str, ValueType], *, boolean: bool) -> Node | None:
        """A parsed expression; None after saying why not, or silently where it mentions something broken."""
        if words_of(text) & self.broken:
            return None
        try:
            node = parse(text, types, boolean=boolean)
        except ExpressionError as error:
            where = f" (at character {error.position + 1})" if error.position is not None else ""
            self.problem(path, f"{error.message.rstrip('.')}{where}, in {text[:200]!r}.", error.advice)
            return None
        name = misused(node, self.pipeline.event.sensitive)
        if name is not None:
            advice = (
                "Compare it with another sensitive field or null, or look it up in a list: it is known by its token."
            )
            self.problem(path, f"{name!r} is sensitive.", advice)
            return None
        return node


def words_of(text: str) -> set[str]:
    """The words of an expression that are neither functions nor inside a text: every name it can mention."""
    return set(_WORD.findall(_TEXT.sub(" ", text)))
