"""The steps of a policy's fallback ladder in a pipeline's file."""

from __future__ import annotations

from fraudstream.define.fallback import By, Fallback
from fraudstream.define.reader import Reader
from fraudstream.define.yaml_tree import Node


def read_fallback(read: Reader, node: Node | None) -> tuple[Fallback, ...] | None:
    """The steps; each is a word (`rules`) or a mapping with `by`. None where nothing is said."""
    if node is None or node.value is None:
        return None
    items = node.value if isinstance(node.value, list) else [node]
    steps = [_step(read, f"policy.fallback.{i}", item) for i, item in enumerate(items)]
    return tuple(step for step in steps if step is not None)


def _step(read: Reader, path: str, node: Node) -> Fallback | None:
    if isinstance(node.value, str):
        by = read.word(path, node, By)
        return None if by is None else Fallback(by=by)
    parts = read.mapping(path, node, Fallback.__struct_fields__)
    by = read.word(f"{path}.by", parts.get("by"), By)
    if by is None:
        if "by" not in parts:
            read.problem(path, node.line, "`by` is missing.", f"Give one of: {', '.join(By)}.")
        return None
    return Fallback(
        by=by,
        review_from=read.number(f"{path}.review_from", parts.get("review_from")),
        block_from=read.number(f"{path}.block_from", parts.get("block_from")),
        at_most=read.number(f"{path}.at_most", parts.get("at_most")),
        per=read.text(f"{path}.per", parts.get("per")) or Fallback(by=by).per,
    )
