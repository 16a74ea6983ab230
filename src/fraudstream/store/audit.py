"""The audit chain: each entry holds the hash of the one before it, so nothing of the past changes unnoticed.

A hash covers an entry's number, time, actor, action, subject, detail and the hash before it. Whoever edits, removes or
reorders entries breaks the chain; whoever can rewrite all of it, or cuts off its end, is found by an **anchor**: number
and hash of an entry, noted outside the database. One is noted in a file whenever an entry is written, and
`fraudstream audit head` shows one to keep elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from os import SEEK_END
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from fraudstream.errors import UsageError
from fraudstream.store.tables import audit

BEFORE_THE_FIRST = "0" * 64


class Anchor(NamedTuple):
    """An entry's number and hash; written `12:5f0c…`."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


class Entry(NamedTuple):
    """One entry of the chain; `at` is epoch milliseconds, `detail` the text of a JSON object."""

    sequence: int
    at: int
    actor: str
    action: str
    subject: str
    detail: str
    previous_hash: str
    hash: str

    def computed(self) -> str:
        """The hash that this entry must have: SHA-256 of its other values as a JSON array."""
        return hashlib.sha256(json.dumps(self[:-1], separators=(",", ":")).encode()).hexdigest()


class Verified(NamedTuple):
    """What was found.

    Attributes:
        entries: How many there are.
        head: The newest entry; None where there is none.
        anchors: How many anchors were looked for.
        findings: What is wrong, a sentence each; empty for a chain that is whole.
    """

    entries: int
    head: Anchor | None
    anchors: int
    findings: list[str]


def append(
    connection: Connection, actor: str, action: str, subject: str, detail: Mapping[str, Any], at_ms: int | None = None
) -> Anchor:
    """Adds an entry in the connection's transaction; writers wait for each other."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE audit IN EXCLUSIVE MODE"))
    last = connection.execute(
        select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    ).one_or_none()
    entry = Entry(
        sequence=last.sequence + 1 if last else 1,
        at=time.time_ns() // 1_000_000 if at_ms is None else at_ms,
        actor=actor,
        action=action,
        subject=subject,
        detail=json.dumps(detail, sort_keys=True, separators=(",", ":")),
        previous_hash=last.hash if last else BEFORE_THE_FIRST,
        hash="",
    )
    entry = entry._replace(hash=entry.computed())
    connection.execute(audit.insert().values(entry._asdict()))
    return Anchor(entry.sequence, entry.hash)


def entries(connection: Connection) -> Iterator[Entry]:
    """The chain, oldest entry first."""
    found = connection.execution_options(yield_per=1_000).execute(select(audit).order_by(audit.c.sequence))
    return (Entry(*row) for row in found)


def verify(connection: Connection, anchors: Sequence[Anchor]) -> Verified:
    """Looks at every entry, and for every anchor's entry.

    Args:
        connection: A transaction on the store.
        anchors: What is known of the chain from elsewhere.
    """
    findings: list[str] = []
    wanted: dict[int, set[str]] = {}
    for anchor in anchors:
        wanted.setdefault(anchor.sequence, set()).add(anchor.hash)
    sequence, previous = 0, BEFORE_THE_FIRST
    count = 0
    for entry in entries(connection):
        count += 1
        if entry.sequence != sequence + 1:
            findings.append(f"between entry {sequence} and entry {entry.sequence} entries are missing")
        if entry.previous_hash != previous:
            findings.append(f"entry {entry.sequence} does not follow the entry that stands before it")
        if entry.hash != entry.computed():
            findings.append(f"entry {entry.sequence} was changed: its hash is not that of what it says")
        if wanted.pop(entry.sequence, {entry.hash}) != {entry.hash}:
            findings.append(f"entry {entry.sequence} is not the one that was noted outside the database")
        sequence, previous = entry.sequence, entry.hash
    findings += [
        f"entry {number} was noted outside the database and is missing"
        if number < sequence
        else f"the chain ends at entry {sequence}, but entry {number} was noted outside the database: "
        "its end was cut off"
        for number in sorted(wanted)
    ]
    return Verified(count, Anchor(sequence, previous) if count else None, len(anchors), findings)


def note_anchor(path: Path, store_name: str, anchor: Anchor) -> None:
    """Keeps an anchor in the file, a line each: `SEQUENCE:HASH STORE`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(max(0, file.seek(0, SEEK_END) - 1))
        begins = b"" if file.read(1) in (b"", b"\n") else b"\n"  # a line that a full disk cut off stays by itself
        file.write(begins + f"{anchor} {store_name}\n".encode())


def noted_anchors(path: Path, store_name: str) -> list[Anchor]:
    """The anchors of a store in the file; none where there is no file.

    Raises:
        UsageError: The file cannot be read, or one of its anchors.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as failed:
        reason = getattr(failed, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(
            f"The anchors in {path} cannot be read: {reason.lower()}.",
            "Make the file readable, or move it away and give `audit verify` the anchors that you have.",
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        written, _, name = line.partition(" ")
        if name != store_name:
            continue
        try:
            found.append(parse_anchor(written))
        except UsageError as wrong:
            raise UsageError(
                f"Line {number} of {path}: {wrong.found}",
                "The file was changed: find out by whom, and take the line out.",
            ) from None
    return found


def parse_anchor(written: str) -> Anchor:
    """An anchor from its text.

    Raises:
        UsageError: The text is not a number, a colon and 64 hexadecimal digits.
    """
    number, _, digest = written.partition(":")
    if not number.isdecimal() or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise UsageError(f"{written!r} is no anchor.", "Write NUMBER:HASH, as `fraudstream audit head` shows it.")
    return Anchor(int(number), digest)
