"""New values in the policy of a pipeline's file, with everything else of the file, comments too, left as it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fraudstream.define.decision import Policy
from fraudstream.define.load import parse_definition
from fraudstream.errors import UsageError

if TYPE_CHECKING:
    import yaml


def write_policy(path: Path, values: Mapping[str, str], expected: Policy, environ: Mapping[str, str]) -> None:
    """Writes values into the policy of a pipeline's file, or leaves the file alone.

    The new text is read again first: it must give the same pipeline with the expected policy. The file is replaced in
    one step, so a reader meets the old one or the new one.

    Args:
        path: The file.
        values: The values as YAML on one line, by key.
        expected: The policy they make.
        environ: Where `${VARIABLE}` looks.

    Raises:
        UsageError: The file cannot be written, or its text is such that the values cannot be put into it.
    """
    raw = path.read_bytes()
    text = raw.decode("utf-8-sig")
    before = parse_definition(text, str(path), path.parent, environ).pipeline
    changed = with_policy(text, values)
    after = parse_definition(changed, str(path), path.parent, environ)
    if before is None or after.problems or after.pipeline != msgspec.structs.replace(before, policy=expected):
        lines = ", ".join(f"{key}: {value}" for key, value in values.items())
        raise UsageError(
            f"The policy in {path} is written in a way that cannot be changed without a person.",
            f"Put these into it: {lines}.",
        )
    try:
        _replace(path, changed.encode("utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"))
    except OSError as failed:
        raise UsageError(f"{path} cannot be written: {failed.strerror}.", "The file is as it was.") from None


def with_policy(text: str, values: Mapping[str, str]) -> str:
    """A pipeline's text with values in its policy, as YAML on one line by key."""
    for key, value in values.items():
        text = _with_value(text, key, value)
    return text


def _with_value(text: str, key: str, value: str) -> str:
    import yaml

    # The loader that reads pipelines: the plain one refuses some of what it takes.
    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    policy = _entry(root, "policy")
    if policy is None:
        return f"{text.rstrip()}\n\npolicy:\n  {key}: {value}\n"
    node = policy[1]
    if not isinstance(node, yaml.MappingNode):
        is_empty = node.start_mark.index == node.end_mark.index  # `policy:` and nothing behind it
        return _replaced(text, node, f"{' ' if is_empty else ''}{{{key}: {value}}}")
    there = _entry(node, key)
    if there is not None:
        return _replaced(text, there[1], value)
    if node.flow_style or not node.value:
        at = node.start_mark.index + 1
        return f"{text[:at]}{key}: {value}{', ' if node.value else ''}{text[at:]}"
    first = node.value[0][0].start_mark
    return f"{text[: first.index]}{key}: {value}\n{' ' * first.column}{text[first.index :]}"


def _entry(node: yaml.Node | None, key: str) -> tuple[Any, Any] | None:
    """The key and value nodes of a mapping's entry."""
    entries = node.value if node is not None and isinstance(node.value, list) else []
    return next((each for each in entries if isinstance(each, tuple) and each[0].value == key), None)


def _replaced(text: str, node: yaml.Node, value: str) -> str:
    """The text with another value; the line breaks behind a value of several lines stay."""
    old = text[node.start_mark.index : node.end_mark.index]
    return text[: node.start_mark.index] + value + old[len(old.rstrip()) :] + text[node.end_mark.index :]


def _replace(path: Path, data: bytes) -> None:
    target = path.resolve()  # a link stays one
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, draft)
        os.replace(draft, target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
