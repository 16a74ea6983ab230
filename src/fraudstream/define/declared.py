"""YAML files that declare things by name, each of a kind that an installed package offers: `notify.yaml`, `sinks.yaml`.

Every problem of a file is said at once, as those of a pipeline are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fraudstream.define.load import text_of
from fraudstream.define.part import Part
from fraudstream.define.reader import Reader, suggestion
from fraudstream.define.yaml_tree import Node, YamlRefused, read_tree
from fraudstream.errors import DefinitionError, Problem, ToolError, UsageError
from fraudstream.extensions import extension_names, load_extension

Built = TypeVar("Built")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Entry(NamedTuple):
    """One named mapping of the file, before anybody knows which keys it may have."""

    read: Reader
    name: str
    path: str
    node: Node
    folder: Path

    def part(self, *known: str) -> Part:
        """The mapping; any other keys than those that are known are reported, where any are given."""
        return Part(self.read, self.path, self.node, self.folder, known or None)

    def kind(self, group: str, default: str | None = None) -> Any:
        """What installed packages offer under the entry's `kind`; None after it has reported that there is nothing.

        Args:
            group: The group of entry points.
            default: The kind where the entry names none; None: it has to.
        """
        part = self.part()
        name = part.text("kind") or default
        known = extension_names(group)
        if name is None:
            part.missing("kind", f"There are: {', '.join(known)}.")
            return None
        if name not in known:
            part.problem("kind", f"there is no kind {name[:80]!r}.", suggestion(name, known))
            return None
        try:
            return load_extension(group, name)
        except ToolError as missing:
            part.problem("kind", missing.found, missing.advice)
            return None


def read_declared(
    path: Path,
    section: str,
    build: Callable[[Entry], Built | None],
    example: str,
    environ: Mapping[str, str] | None = None,
    only: str | None = None,
) -> tuple[dict[str, Built], dict[str, int]]:
    """What a file declares by name, in its order, and the line of each path.

    Args:
        path: The file.
        section: The file's one key, which holds the named mappings.
        build: Makes the thing of one mapping, or reports why it cannot and gives None.
        example: What to write where nothing is declared.
        environ: Where `${VARIABLE}` looks; the process's environment unless given.
        only: The name of the one that is wanted; what the others need, such as their secrets, may be missing then.

    Raises:
        DefinitionError: With every problem of the file.
        UsageError: The one that is wanted is not there.
    """
    read = Reader(os.environ if environ is None else environ)
    try:
        tree, repeated = read_tree(text_of(path))
    except YamlRefused as refused:
        raise DefinitionError(str(path), [refused.problem]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        problem = Problem("file", f"cannot be read: {reason.lower()}.", "Give a YAML file in UTF-8 with `--file`.")
        raise DefinitionError(str(path), [problem]) from None
    whole = Part(read, "", tree, path.parent, (section,))
    entries = read.mapping(section, tree.value.get(section)) if isinstance(tree.value, dict) else {}
    if not entries and not read.problems:
        found = "declares nothing." if section in whole else "is missing."
        whole.problem(section, found, f"Declare at least one: `{example}`.")
    built: dict[str, Built] = {}
    if only is not None and entries and only not in entries:
        kind = section.removesuffix("s")
        raise UsageError(f"{path} has no {kind} {only!r}.", f"There are: {', '.join(entries)}.")
    for name, node in entries.items():
        if only not in (None, name):
            continue
        entry = Entry(read, name, f"{section}.{name}", node, path.parent)
        if not _NAME.fullmatch(name):
            read.problem(entry.path, node.line, f"{name[:80]!r} is not a name.", "Use up to 40 of a-z, 0-9 and dashes.")
        made = build(entry)
        if made is not None:
            built[name] = made
    problems = sorted([*repeated, *read.problems], key=lambda problem: problem.line or 0)
    if problems:
        raise DefinitionError(str(path), list(problems))
    return built, read.lines
