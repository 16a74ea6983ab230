"""Small disks: file systems in memory that can be filled and enlarged, where this machine lets us mount them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of its own at a folder.

    Args:
        folder: Where; made when needed.
        size_kb: Its size.
    """

    def __init__(self, folder: Path, size_kb: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        run = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if run.returncode != 0:
            pytest.skip(f"this machine lets nobody mount a small disk: {run.stderr.strip()}")

    def resize(self, size_kb: int) -> None:
        """Makes it larger, or smaller, in use."""
        options = f"remount,size={size_kb}k"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    def close(self) -> None:
        """Takes it away, whatever is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[SmallDisk]:
    """A small disk while the block lasts; the test is skipped where none can be had."""
    disk = SmallDisk(folder, size_kb)
    try:
        yield disk
    finally:
        disk.close()
