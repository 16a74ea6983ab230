"""The retention of a pipeline's file."""

from __future__ import annotations

from fraudstream.define.reader import Reader
from fraudstream.define.retention import Retention
from fraudstream.define.yaml_tree import Node


def read_retention(read: Reader, node: Node | None) -> Retention:
    """How long each kind of row is kept; what is not said is kept for ever."""
    parts = read.mapping("retention", node, Retention.__struct_fields__)
    topics = read.mapping("retention.topics", parts.pop("topics", None))
    kept = ((name, read.text(f"retention.topics.{name}", part)) for name, part in topics.items())
    return Retention(
        **{name: read.text(f"retention.{name}", part) for name, part in parts.items()},
        topics=tuple((name, text) for name, text in kept if text is not None),
    )
