"""What others may add, and we do the same way: sinks and kinds of channels, found by their entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fraudstream.errors import ToolError


def extension_names(group: str) -> list[str]:
    """The names under which installed packages, ours first among them, offer something of a group."""
    return sorted({point.name for point in entry_points(group=group)})


def load_extension(group: str, name: str) -> Any:
    """What is offered under a name.

    Raises:
        ToolError: Nothing is, or it needs a library that is not installed.
    """
    points: list[EntryPoint] = list(entry_points(group=group, name=name))
    if not points:
        raise ToolError(
            f"Nothing called {name} is installed for {group}.",
            f"There are {', '.join(extension_names(group)) or 'none'}; install the package that has it.",
        )
    try:
        return points[0].load()
    except ModuleNotFoundError as missing:
        extra = f"[{','.join(points[0].extras)}]" if points[0].extras else ""
        package = points[0].dist.name if points[0].dist else missing.name
        raise ToolError(
            f"{name} needs the library {missing.name}, which is not installed.",
            f"Run `pip install '{package}{extra}'`.",
        ) from None
