"""Damage to the snapshots that a scorer left: the next one has to fall back on an older one, or on the log."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from faults import end_in_order
from field import Field, stop

Damage = Callable[[Path, random.Random], None]
FOREIGN = f"{10**15:020d}.snapshot"
"""A name that comes before all of ours."""


def snapshots(folder: Path) -> list[Path]:
    """The snapshots of a folder, newest first."""
    return sorted(folder.glob("*.snapshot"), reverse=True)


def truncated(folder: Path, dice: random.Random) -> None:
    """The newest ends too early."""
    newest = snapshots(folder)[0]
    whole = newest.read_bytes()
    newest.write_bytes(whole[: dice.randrange(len(whole))])


def flipped(folder: Path, dice: random.Random) -> None:
    """One bit of the newest is another."""
    newest = snapshots(folder)[0]
    content = bytearray(newest.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    newest.write_bytes(content)


def old(folder: Path, _: random.Random) -> None:
    """Only the oldest is left."""
    for newer in snapshots(folder)[:-1]:
        newer.unlink()


def all_gone(folder: Path, _: random.Random) -> None:
    """None is left: the log alone says what the state was."""
    for each in snapshots(folder):
        each.unlink()


class Foreign:
    """A snapshot of the same definition over other topics, under the name of the newest."""

    def __init__(self, stranger: Path) -> None:
        self._stranger = stranger

    def __call__(self, folder: Path, _: random.Random) -> None:
        """Puts it there."""
        shutil.copyfile(self._stranger, folder / FOREIGN)


def damaged(field: Field, name: str, damage: Damage, dice: random.Random) -> None:
    """An orderly end leaves a snapshot; it is damaged; the next scorer goes on all the same."""
    end_in_order(field)
    if not snapshots(field.state_folder):
        return
    damage(field.state_folder, dice)
    field.saw(f"snapshot_{name}")
    scorer = field.scorers.start()
    field.saw("restarts")
    field.goes_on(scorer, f"snapshot_{name}")
    stop(scorer)
    field.died("after_damage")
    (field.state_folder / FOREIGN).unlink(missing_ok=True)
