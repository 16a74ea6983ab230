"""YAML text as a tree that remembers its lines: safe, bounded, and without YAML's surprises.

Only what a pipeline needs: mappings, lists and plain values. Aliases, tags and several documents are refused, so no
text can grow when read or name a Python type. A mapping's key appears once. `no` is a word, `1:30` is not a number.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fraudstream.errors import Problem

MAX_DEPTH = 20
_CONTROL_OR_SURROGATE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Node(NamedTuple):
    """A value in the file.

    Attributes:
        value: Text, None (null, `~` or nothing at all), a dict of nodes, or a list of nodes.
        line: Where it begins, from 1.
        quoted: Whether it is text for certain, because it was written in quotes or as a block.
    """

    value: str | dict[str, Node] | list[Node] | None
    line: int
    quoted: bool = False

    @property
    def shown(self) -> str:
        """What it is, for a message: the text itself, or the kind of thing."""
        if self.value is None:
            return "nothing"
        if isinstance(self.value, dict):
            return "a mapping"
        return "a list" if isinstance(self.value, list) else repr(self.value[:80])


class LocatedProblem(Problem):
    """A problem of a file, with the line it stands in.

    Attributes:
        line: From 1; None where the file as a whole is meant, or something that is missing.
    """

    line: int | None = None

    @classmethod
    def at(cls, line: int | None, problem: Problem) -> LocatedProblem:
        """The problem, found in that line."""
        located = cls(*problem)
        located.line = line
        return located

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.line is None else f"line {self.line}, {text}"


class YamlRefused(Exception):  # caught where the file is read, and reported with the others
    """The text is not YAML, or YAML that is not accepted here."""

    def __init__(self, line: int | None, found: str, advice: str = "") -> None:
        self.problem = LocatedProblem.at(line, Problem("yaml", found, advice))
        super().__init__(found)


class _Open:
    """A mapping or list whose end has not come yet."""

    def __init__(self, path: str, line: int, items: dict[str, Node] | list[Node]) -> None:
        self.path, self.line, self.items = path, line, items
        self.key: str | None = None  # of a mapping, when its value is awaited
        self.repeated = False


def read_tree(text: str) -> tuple[Node, list[LocatedProblem]]:
    """The tree of a text, and the keys that were given twice (the first one counts).

    Raises:
        YamlRefused: With the line and column where reading had to stop.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    problems: list[LocatedProblem] = []
    stack: list[_Open] = []
    root: Node | None = None
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.NodeEvent):
                _refuse_extras(event, yaml)
            node: Node | None = None
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise YamlRefused(_line(event), "a second document begins.", "A file holds one pipeline.")
            if isinstance(event, yaml.CollectionStartEvent):
                if len(stack) >= MAX_DEPTH:
                    raise YamlRefused(_line(event), f"nested more than {MAX_DEPTH} deep.", "A pipeline needs about 4.")
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                path = _path_of(stack[-1]) if stack else ""
                stack.append(_Open(path, _line(event), {} if is_mapping else []))
            elif isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                node = Node(done.items, done.line)
            elif isinstance(event, yaml.ScalarEvent):
                node = _scalar(event)
            if node is None:
                continue
            if stack:
                _add(stack[-1], node, problems)
            else:
                root = node
    except yaml.YAMLError as error:
        raise _syntax_error(error) from None
    except UnicodeEncodeError as error:  # half a surrogate pair, which only a text that was no file can hold
        line = text.count("\n", 0, error.start) + 1
        raise YamlRefused(line, f"the character {text[error.start]!a}.", "Leave it out.") from None
    return root or Node(None, 1), problems


def _refuse_extras(event: Any, yaml: Any) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
        raise YamlRefused(_line(event), f"the alias {mark}{event.anchor}.", "Aliases are not accepted; write it out.")
    if event.tag and not event.tag.startswith("tag:yaml.org,2002:str"):
        raise YamlRefused(_line(event), f"the tag {event.tag[:80]!r}.", "Tags are not accepted; leave it out.")


def _scalar(event: Any) -> Node:
    bad = _CONTROL_OR_SURROGATE.search(event.value)
    if bad:
        raise YamlRefused(_line(event), f"the character {bad.group()!a} in a text.", "Leave it out.")
    quoted = bool(event.style)
    is_null = not quoted and event.value in ("", "~", "null", "Null", "NULL")
    return Node(None if is_null else event.value, _line(event), quoted)


def _add(parent: _Open, node: Node, problems: list[LocatedProblem]) -> None:
    """Puts a finished value where it belongs: into a list, or in a mapping as the key or its value."""
    if isinstance(parent.items, list):
        parent.items.append(node)
    elif parent.key is None:
        if not isinstance(node.value, str):
            raise YamlRefused(node.line, f"{node.shown} as a key.", "A key is a word.")
        parent.key, parent.repeated = node.value, node.value in parent.items
        if parent.repeated:
            first = parent.items[node.value].line
            problem = Problem(_path_of(parent), f"given twice, first in line {first}.", "Keep one of them.")
            problems.append(LocatedProblem.at(node.line, problem))
    else:
        if not parent.repeated:
            parent.items[parent.key] = node
        parent.key = None


def _path_of(parent: _Open) -> str:
    """The dotted path of the value that comes next in a mapping or list."""
    last = str(len(parent.items)) if isinstance(parent.items, list) else str(parent.key)
    return f"{parent.path}.{last}" if parent.path else last


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _syntax_error(error: Any) -> YamlRefused:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    context = getattr(error, "context", None)
    column = f" (column {mark.column + 1})" if mark is not None else ""
    found = f"not YAML{column}: {f'{context}, ' if context else ''}{reason}."
    return YamlRefused(mark.line + 1 if mark is not None else None, found, "Check indentation, colons and quotes.")
