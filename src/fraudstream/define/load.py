"""A pipeline from its YAML file: the same values Python makes, and every problem of the file at once.

`docs/pipelines/README.md` shows the file for users. Problems of meaning, such as an unknown field in a rule, are the
plan's to find; `fraudstream.plan.load.plan_file` reports both together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fraudstream.define.load_decision import read_limits, read_model, read_policy, read_reasons, read_rules
from fraudstream.define.load_event import read_event
from fraudstream.define.load_features import read_features
from fraudstream.define.load_retention import read_retention
from fraudstream.define.load_topics import read_lists, read_routes, read_topic
from fraudstream.define.pipeline import DEFAULT_CONTROL, DEFAULT_SHADOW, Pipeline, Topic
from fraudstream.define.reader import Reader
from fraudstream.define.yaml_tree import LocatedProblem, Node, YamlRefused, read_tree
from fraudstream.errors import DefinitionError

MAX_FILE_BYTES = 1_000_000
DEFAULT_DEAD_LETTERS = Topic(name="fraud-dead-letters", partitions=1)


class Definition(NamedTuple):
    """What a file gave.

    Attributes:
        source: What to call it in an error.
        pipeline: What could be read; None where too little could.
        problems: What could not, in the order of lines.
        broken: Names of fields, lists and features that were left out because of their problems.
        lines: The line of each path.
    """

    source: str
    pipeline: Pipeline | None
    problems: list[LocatedProblem]
    broken: frozenset[str]
    lines: dict[str, int]


def load_pipeline(path: Path | str, environ: Mapping[str, str] | None = None) -> Pipeline:
    """The pipeline of a YAML file; its meaning is not checked yet (see `fraudstream.plan`).

    Args:
        path: The file.
        environ: Where `${VARIABLE}` looks; the process's environment unless given.

    Raises:
        DefinitionError: With every problem of the file's structure.
    """
    definition = read_definition(Path(path), environ)
    if definition.problems or definition.pipeline is None:
        raise DefinitionError(definition.source, list(definition.problems))
    return definition.pipeline


def read_definition(path: Path, environ: Mapping[str, str] | None = None) -> Definition:
    """What a YAML file gives, with its problems; never raises for anything in the file."""
    try:
        text = text_of(path)
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else _reason(error)
        problem = LocatedProblem("file", f"cannot be read: {reason}.", "Give a YAML file in UTF-8.")
        return Definition(str(path), None, [problem], frozenset(), {})
    return parse_definition(text, str(path), path.parent, environ)


def parse_definition(
    text: str, source: str = "the pipeline", folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> Definition:
    """What a YAML text gives.

    Args:
        text: The file's text.
        source: What to call it in an error.
        folder: Where the files of lists are looked for; the working directory unless given.
        environ: Where `${VARIABLE}` looks; the process's environment unless given.
    """
    try:
        tree, repeated = read_tree(text)
    except YamlRefused as error:
        return Definition(source, None, [error.problem], frozenset(), {})
    read = Reader(os.environ if environ is None else environ)
    pipeline = _pipeline(read, tree, folder)
    problems = sorted([*repeated, *read.problems], key=lambda problem: problem.line or 0)
    return Definition(source, pipeline, problems, frozenset(read.broken), read.lines)


def text_of(path: Path) -> str:
    """The text of a definition's file.

    Raises:
        OSError, UnicodeDecodeError: It is no file, cannot be read, is too large or not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES:,} bytes, which no pipeline is")
    return data.decode("utf-8-sig")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()


def _pipeline(read: Reader, tree: Node, folder: Path | None) -> Pipeline | None:
    """The pipeline, or None where nothing sensible could be said about the rest."""
    if not isinstance(tree.value, dict):
        read.problem("pipeline", tree.line, f"{tree.shown} where a pipeline belongs.", "Begin with `name: …`.")
        return None
    parts = read.mapping("", tree, Pipeline.__struct_fields__)
    for key in ("name", "event", "input"):
        if parts.get(key, Node(None, 0)).value is None:
            read.problem(key, None, "is missing.", f"Every pipeline says its `{key}`.")
    pipeline = Pipeline(
        name=read.text("name", parts.get("name")) or "",
        event=read_event(read, parts.get("event")),
        input=read_topic(read, "input", parts.get("input")) or Topic(name=""),
        labels=read_topic(read, "labels", parts.get("labels")),
        dead_letters=read_topic(read, "dead_letters", parts.get("dead_letters"), DEFAULT_DEAD_LETTERS.partitions)
        or DEFAULT_DEAD_LETTERS,
        control=read_topic(read, "control", parts.get("control"), DEFAULT_CONTROL.partitions) or DEFAULT_CONTROL,
        shadow=read_topic(read, "shadow", parts.get("shadow"), DEFAULT_SHADOW.partitions) or DEFAULT_SHADOW,
        routes=read_routes(read, parts.get("routes")),
        lists=read_lists(read, parts.get("lists"), folder),
        features=read_features(read, parts.get("features")),
        rules=read_rules(read, parts.get("rules")),
        model=read_model(read, parts.get("model")),
        reasons=read_reasons(read, parts.get("reasons")),
        policy=read_policy(read, parts.get("policy")),
        monitor=read_limits(read, parts.get("monitor")),
        retention=read_retention(read, parts.get("retention")),
        max_keys=read.whole("max_keys", parts.get("max_keys"), None),
        description=read.text("description", parts.get("description")) or "",
    )
    # Without any field, every name in the file would be reported as unknown.
    return pipeline if pipeline.event.fields or not read.problems else None
