"""A real Prometheus: the programs of Debian's package `prometheus`, installed or unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from fraudstream.kafka.jars import cache_folder, locked


class CannotBeHad(Exception):
    """There is no Prometheus to test with here; says why."""


def program(name: str) -> Path:
    """The path of `prometheus` or `promtool`: one that is installed, else from Debian's package, fetched once (19 MB).

    Raises:
        CannotBeHad: It is neither installed nor to be fetched by apt.
    """
    installed = shutil.which(name)
    if installed is not None:
        return Path(installed)
    folder = cache_folder() / "prometheus"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            _unpack(folder)
    return folder / "usr" / "bin" / name


def _unpack(folder: Path) -> None:
    """Fetches the package and unpacks it, without installing anything."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CannotBeHad("Prometheus is not installed, and there is no apt to fetch it with")
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        fetch = ["apt-get", "-qq", "download", "prometheus"]
        done = subprocess.run(fetch, cwd=draft, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0 and os.geteuid() == 0:  # a new machine may not know of any package yet
            subprocess.run(["apt-get", "-qq", "update"], capture_output=True, timeout=300, check=False)
            done = subprocess.run(fetch, cwd=draft, capture_output=True, text=True, timeout=300, check=False)
        packages = list(Path(draft).glob("*.deb"))
        if done.returncode != 0 or not packages:
            raise CannotBeHad(f"apt could not fetch the package prometheus: {done.stderr[:300]}")
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), f"{draft}/unpacked"], check=True)
        os.replace(f"{draft}/unpacked", folder)
