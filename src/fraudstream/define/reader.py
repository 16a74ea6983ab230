"""Reading a tree of YAML with every wrong key, type and word reported in its place, and reading on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from fraudstream.define.decision import ParameterValue
from fraudstream.define.yaml_tree import LocatedProblem, Node
from fraudstream.errors import Problem

Word = TypeVar("Word", bound=StrEnum)
Default = TypeVar("Default", int, None)
_MOST_NAMES = 20
_VARIABLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_VARIABLE_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Advice for an unknown name: the closest known one, else those there are."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if not close and name.upper() in (upper := {known_name.upper(): known_name for known_name in names}):
        close = [upper[name.upper()]]
    if close:
        return f"Did you mean {close[0]!r}?"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"Known: {', '.join(names[:_MOST_NAMES]) or 'none'}{more}."


class Reader:
    """Typed access to nodes; each method gives None (or nothing) after it has reported why.

    Attributes:
        problems: What was wrong so far.
        lines: The line of every path that was looked at.
        broken: Names of fields, lists and features left out because of their problems.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[LocatedProblem] = []
        self.lines: dict[str, int] = {}
        self.broken: set[str] = set()

    def problem(self, path: str, line: int | None, found: str, advice: str = "") -> None:
        """Reports a problem."""
        self.problems.append(LocatedProblem.at(line, Problem(path, found, advice)))

    def mapping(self, path: str, node: Node | None, known: Iterable[str] | None = None) -> dict[str, Node]:
        """The entries of a mapping; without those whose key is not known. Nothing where it is null."""
        if node is None or node.value is None:
            return {}
        self.lines[path] = node.line
        if not isinstance(node.value, dict):
            self.problem(path, node.line, f"{node.shown} where a mapping belongs.", "Write `key: value` lines.")
            return {}
        for key, value in node.value.items():
            self.lines[joined(path, key)] = value.line
        if known is None:
            return dict(node.value)
        names = set(known)
        for key in node.value.keys() - names:
            self.problem(joined(path, key), node.value[key].line, f"unknown key {key!r}.", suggestion(key, names))
        return {key: value for key, value in node.value.items() if key in names}

    def text(self, path: str, node: Node | None) -> str | None:
        """A text, with `${VARIABLE:-default}` taken from the environment; `$${` stands for `${`."""
        if node is None or (node.value is None and not node.quoted):
            return None
        if not isinstance(node.value, str):
            self.problem(path, node.line, f"{node.shown} where a text belongs.", "Write one value.")
            return None
        return self._with_variables(path, node, node.value)

    def texts(self, path: str, node: Node | None) -> tuple[str, ...]:
        """A list of texts; a single one stands for a list of one."""
        if node is None or node.value is None:
            return ()
        items = node.value if isinstance(node.value, list) else [node]
        read = [self.text(f"{path}.{i}" if len(items) > 1 else path, item) for i, item in enumerate(items)]
        for i, item in enumerate(items):
            if item.value is None:
                self.problem(
                    f"{path}.{i}", item.line, "nothing where a text belongs.", "Write a value, or leave it out."
                )
        return tuple(text for text in read if text is not None)

    def whole(self, path: str, node: Node | None, default: Default) -> int | Default:
        """A whole number."""
        text = self.text(path, node)
        if text is None or node is None:
            return default
        if not _WHOLE.fullmatch(text):
            self.problem(path, node.line, f"{node.shown} where a whole number belongs.", "Write digits, like 6.")
            return default
        return int(text)

    def number(self, path: str, node: Node | None) -> float | None:
        """A finite number."""
        text = self.text(path, node)
        if text is None or node is None:
            return None
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            self.problem(path, node.line, f"{node.shown} where a number belongs.", "Write digits, like 0.6.")
            return None
        return float(text)

    def parameter(self, path: str, node: Node) -> ParameterValue:
        """A value whose type its text decides: quoted text is text, and so is what is neither number nor truth."""
        if isinstance(node.value, list):
            items = [self.parameter(f"{path}.{i}", item) for i, item in enumerate(node.value)]
            if any(isinstance(item, tuple) for item in items):
                self.problem(path, node.line, "a list within a list.", "Write one list of plain values.")
            return tuple(item for item in items if not isinstance(item, tuple))
        text = self.text(path, node)
        if text is None or node.quoted:
            return text
        if text in ("true", "false"):
            return text == "true"
        if _WHOLE.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) and math.isfinite(float(text)) else text

    def boolean(self, path: str, node: Node | None, default: bool) -> bool:
        """`true` or `false`."""
        text = self.text(path, node)
        if text is None or node is None:
            return default
        if text not in ("true", "false"):
            self.problem(path, node.line, f"{node.shown} where true or false belongs.", "Write `true` or `false`.")
        return text == "true"

    def word(self, path: str, node: Node | None, words: type[Word]) -> Word | None:
        """One of an enumeration's words."""
        text = self.text(path, node)
        if text is None or node is None:
            return None
        if text not in words.__members__.values():
            close = get_close_matches(text, [word.value for word in words], n=1)
            guess = f"Did you mean {close[0]!r}? " if close else ""
            advice = f"{guess}Allowed: {', '.join(words)}."
            self.problem(path, node.line, f"{text[:80]!r} is not allowed here.", advice)
            return None
        return words(text)

    def _with_variables(self, path: str, node: Node, text: str) -> str | None:
        missing: list[str] = []

        def value_of(match: re.Match[str]) -> str:
            if match.group() == "$${":
                return "${"
            parts = _VARIABLE_NAME.fullmatch(match[1] or "")
            if parts is None:
                self.problem(
                    path,
                    node.line,
                    f"{match.group()!r} is not a variable.",
                    "Write `${NAME:-default}`, or `$${` for a literal.",
                )
                return ""
            found = self.environ.get(parts[1]) or parts[2]  # empty counts as unset, as `:-` does in a shell
            if found is None:
                missing.append(parts[1])
            return found or ""

        replaced = _VARIABLE.sub(value_of, text)
        for name in missing:
            advice = f"Set it, or give a default: `${{{name}:-default}}`."
            self.problem(path, node.line, f"the environment variable {name} is not set.", advice)
        if any("\ud800" <= character <= "\udfff" for character in replaced):
            self.problem(path, node.line, "the environment variable's value is not UTF-8.", "Set it to UTF-8 text.")
            return None
        return None if missing else replaced


def joined(path: str, key: str) -> str:
    """The path of a key below a path; of an empty key at the top, its quotes."""
    return f"{path}.{key}" if path else key or "''"
