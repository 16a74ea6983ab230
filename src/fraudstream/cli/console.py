"""What every command prints with: errors as one paragraph, tables, JSON for machines."""

from __future__ import annotations

import getpass
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import msgspec

from fraudstream.errors import DefinitionError, FraudstreamError, UsageError
from fraudstream.telemetry import logs

_LOGGER = logging.getLogger("fraudstream.cli")


def show_error(error: FraudstreamError) -> None:
    """One paragraph on stderr: what was found, then what to do."""
    _paragraph("error:", str(error), "\x1b[1;31m")


def show_bug(error: BaseException) -> None:
    """One paragraph on stderr for an exception nobody meant to raise."""
    kind = type(error).__name__
    text = f"this is a bug in fraudstream, not a mistake of yours: {kind}: {error}".rstrip(": ")
    _paragraph(
        "error:", f"{text}. Run it again as `fraudstream --debug …` for the trace, and please report it.", "\x1b[1;31m"
    )


def show_note(text: str) -> None:
    """A remark on stderr that does not disturb what is piped on."""
    if logs.is_json():
        _LOGGER.info("%s", text, extra={"kind": "note"})
    else:
        print(text, file=sys.stderr, flush=True)


def read_secretly(prompt: str) -> str:
    """A text from a prompt that does not show it, or the first line of standard input.

    Raises:
        UsageError: There is none.
    """
    text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise UsageError("Nothing was given.", "Write it at the prompt, or into standard input.")
    return text


def show_json(document: Any) -> None:
    """One JSON document on one line of stdout; paths and named tuples are written as what they hold."""
    print(msgspec.json.encode(document, enc_hook=str).decode(), flush=True)


def show_problems(error: DefinitionError, *, as_json: bool) -> None:
    """All that is wrong with a file, on stdout: it is what a command that checks was asked for."""
    if as_json:
        problems = [{**p._asdict(), "line": getattr(p, "line", None)} for p in error.problems]
        show_json({"ok": False, "source": error.source, "problems": problems})
    else:
        print(error)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A plain aligned table on stdout.

    Args:
        columns: The headings.
        rows: One sequence of cells a row; integers get thousands separators.
        right: The headings of columns aligned to the right.
    """
    cells = [[f"{cell:,}" if type(cell) is int else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    for line in [list(columns), *cells]:
        fitted = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        print("  ".join(fitted).rstrip())


def show_trace() -> None:
    """The trace of the exception in hand, on stderr."""
    if logs.is_json():
        _LOGGER.error("the trace of what follows", exc_info=True, extra={"kind": "trace"})
    else:
        traceback.print_exc()


def _paragraph(head: str, text: str, colour: str) -> None:
    if logs.is_json():
        _LOGGER.error("%s", text, extra={"kind": head.rstrip(":")})
        return
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        head = f"{colour}{head}\x1b[0m"
    print(f"{head} {text}", file=sys.stderr, flush=True)
