"""Sinks from `sinks.yaml`, with every problem of the file at once. `docs/sinks/README.md` shows it for users."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fraudstream.define.declared import Entry, read_declared
from fraudstream.sinks.delivery import Sink

SINKS = "fraudstream.sinks"
"""The group of entry points under which kinds of sinks are found."""
_EXAMPLE = 'sinks: {siem: {kind: splunk, url: "https://HOST:8088", token: "${SPLUNK_TOKEN}"}}'


def load_sinks(path: Path, environ: Mapping[str, str] | None = None, only: str | None = None) -> dict[str, Sink]:
    """The sinks of a file, by name.

    Args:
        path: The file.
        environ: Where `${VARIABLE}` looks; the process's environment unless given.
        only: The one that is wanted; the secrets of the others may be missing then.

    Raises:
        DefinitionError: With every problem of the file.
        UsageError: The one that is wanted is not there.
    """
    return read_declared(path, "sinks", _sink, _EXAMPLE, environ, only)[0]


def _sink(entry: Entry) -> Sink | None:
    kind = entry.kind(SINKS)
    if kind is None:
        return None
    found: Sink | None = kind.declared(entry.part("kind", *kind.keys))
    return found
