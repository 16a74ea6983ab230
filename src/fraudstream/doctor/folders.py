"""Checks of this machine's files: secrets that others can read, disks that are full, folders that cannot be written."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fraudstream.doctor.finding import Finding, Subject, error, ok, warning
from fraudstream.errors import StateError
from fraudstream.runner.checkpoint import newest_snapshots
from fraudstream.state.snapshot import read_snapshot
from fraudstream.tokens.source import key_file

_NO_ROOM_BYTES, _LITTLE_ROOM_BYTES = 200 << 20, 2 << 30
_OLD_S = 86_400
_MOST_READ_BYTES = 500 << 20
"""A larger snapshot is not read to see whether it is whole: that would take seconds."""


def secrets(subject: Subject) -> Iterator[Finding]:
    """No file that holds a secret can be read by others."""
    settings = subject.settings
    files = dict(settings.secret_files)
    files |= {"tls_key_file": settings.tls_key_file} if settings.tls_key_file else {}
    files["token_keys_file"] = key_file(settings)
    there = {name: path for name, path in files.items() if path.exists()}
    open_to = {name: path for name, path in there.items() if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)}
    for name, path in open_to.items():
        yield error(
            f"Others on this machine may use {path}, which holds {name} "
            f"(its mode is {stat.S_IMODE(path.stat().st_mode):04o}).",
            f"Run `chmod 600 {path}`, and use another secret if somebody may have read it.",
        )
    if not open_to:
        named = ", ".join(str(path) for path in there.values())
        yield ok(f"Files of secrets are their owner's alone: {named}." if there else "There is no file of secrets.")


def disks(subject: Subject) -> Iterator[Finding]:
    """The project folder can be written, and its disk has room."""
    folder = subject.settings.project_folder
    reason = why_not_writable(folder)
    if reason is not None:
        yield error(
            f"The project folder {folder} cannot be written: {reason}.", "Make it writable, or set project_folder."
        )
        return
    free = shutil.disk_usage(_nearest(folder)).free
    text = f"{folder} can be written, and {free / (1 << 30):,.1f} GiB are free."
    advice = "Make room: snapshots, the local broker and SQLite are there. Or set project_folder to another disk."
    if free < _NO_ROOM_BYTES:
        yield error(text, advice)
    elif free < _LITTLE_ROOM_BYTES:
        yield warning(text, advice)
    else:
        yield ok(text)


def snapshots(subject: Subject) -> Iterator[Finding]:
    """The newest snapshot is whole, of this pipeline's state, and not old."""
    assert subject.plan is not None and subject.group is not None
    newest = newest_snapshots(subject.settings.project_folder, subject.group, subject.plan.pipeline.name)
    if not newest:
        yield ok("There is none; a scorer that starts reads its state from the topics.")
    for path in newest:
        yield _snapshot(subject, path)


def _snapshot(subject: Subject, path: Path) -> Finding:
    assert subject.plan is not None
    size, age_s = path.stat().st_size, time.time() - path.stat().st_mtime
    text = f"The newest snapshot in {path.parent} is {age_s / 3_600:.1f} h old and has {size / (1 << 20):,.0f} MiB"
    if size > _MOST_READ_BYTES:
        return ok(f"{text}; it is too large to be verified here.")
    try:
        header, _ = read_snapshot(path)
    except StateError as damaged:
        return warning(str(damaged), f"An older one or the topics take its place. Delete {path}.")
    if header.identity != subject.plan.state_identity:
        return error(
            f"{text}, and is of another definition of {subject.plan.pipeline.name}: a scorer refuses to start.",
            "Start it with --rebuild-state, or restore the old definition; `fraudstream diff` shows what changed.",
        )
    if age_s > _OLD_S:
        return warning(
            f"{text}: a scorer that starts has as much to read again.", "Stop scorers in good order (SIGTERM)."
        )
    return ok(f"{text}.")


def why_not_writable(folder: Path | str) -> str | None:
    """Why nothing can be written to a folder, or None; one that is not there yet is made by whoever needs it."""
    path = Path(folder)
    nearest = _nearest(path)
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    if nearest != path:
        return None if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} may not be written"
    try:
        with tempfile.TemporaryFile(dir=path):
            return None
    except OSError as failed:
        return failed.strerror or str(failed)


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists())
