"""The topics, routes and lists of a pipeline's file."""

from __future__ import annotations

from pathlib import Path

from fraudstream.define.decision import ValueList
from fraudstream.define.pipeline import DEFAULT_ROUTES, Form, Format, Route, Selection, Topic
from fraudstream.define.reader import Reader
from fraudstream.define.yaml_tree import Node


def read_topic(read: Reader, path: str, node: Node | None, partitions: int = 6) -> Topic | None:
    """A topic: its name, or its name, partitions and format."""
    if node is None or node.value is None:
        return None
    if isinstance(node.value, dict):
        parts = read.mapping(path, node, ("name", "partitions", "format"))
        name = read.text(f"{path}.name", parts.get("name"))
        if "name" not in parts:
            read.problem(path, node.line, "the topic has no name.", "Add `name: …`.")
        partitions = read.whole(f"{path}.partitions", parts.get("partitions"), partitions)
        form = read.word(f"{path}.format", parts.get("format"), Format) or Format.JSON
    else:
        name, form = read.text(path, node), Format.JSON
    return None if name is None else Topic(name=name, partitions=partitions, format=form)


def read_routes(read: Reader, node: Node | None) -> tuple[Route, ...]:
    """The routes in their order."""
    if node is None or node.value is None:
        return DEFAULT_ROUTES
    if not isinstance(node.value, list):
        read.problem("routes", node.line, f"{node.shown} where a list belongs.", "Write `- topic: …` lines.")
        return DEFAULT_ROUTES
    routes: list[Route] = []
    for i, each in enumerate(node.value):
        path = f"routes.{i}"
        parts = read.mapping(path, each, ("topic", "carries", "form", "partitions", "format"))
        topic = read.text(f"{path}.topic", parts.get("topic"))
        if topic is None:
            read.problem(path, each.line, "the route has no topic.", "Add `topic: …`.")
            continue
        route = Route(
            topic=topic,
            carries=read.word(f"{path}.carries", parts.get("carries"), Selection) or Selection.ALL,
            form=read.word(f"{path}.form", parts.get("form"), Form) or Form.ENVELOPE,
            partitions=read.whole(f"{path}.partitions", parts.get("partitions"), 6),
            format=read.word(f"{path}.format", parts.get("format"), Format) or Format.JSON,
        )
        routes.append(route)
    return tuple(routes)


def read_lists(read: Reader, node: Node | None, folder: Path | None) -> tuple[ValueList, ...]:
    """The lists; their files are meant from `folder`."""
    lists = []
    for name, each in read.mapping("lists", node).items():
        path, before = f"lists.{name}", len(read.problems)
        if isinstance(each.value, list):
            each = Node({"values": each}, each.line)
        parts = read.mapping(path, each, ("values", "file"))
        file = read.text(f"{path}.file", parts.get("file"))
        if file is not None and folder is not None:
            file = str(folder / file)
        values = read.texts(f"{path}.values", parts.get("values"))
        if len(read.problems) > before:
            read.broken.add(name)
        else:
            lists.append(ValueList(name=name, values=values, file=file))
    return tuple(lists)
