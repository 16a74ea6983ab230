"""Whether a process noted in a file earlier is still that very process, and not a later one with its number."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def process_birth(pid: int) -> str | None:
    """When a process was born, as an opaque text to compare; None where it is gone (or is a zombie).

    Linux tells it in clock ticks since boot (`/proc/PID/stat`, field 22); elsewhere `ps` tells it as a date.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the name in brackets may hold anything
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return shown.stdout.strip() or None


def is_same_process(pid: int, birth: str) -> bool:
    """Whether `pid` is alive and was born when `birth` says."""
    return process_birth(pid) == birth
