"""A real Prometheus: the programs of Debian's package `prometheus`, installed or unpacked into the cache."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

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


def promtool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it, with a text as its input; skips the test where it cannot be had."""
    try:
        tool = program("promtool")
    except CannotBeHad as reason:
        pytest.skip(str(reason))
    return subprocess.run([str(tool), *arguments], input=given, capture_output=True, text=True, check=False)


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


class PrometheusServer:
    """A server in a folder, on a free port.

    Args:
        folder: For its configuration and data.
        configuration: What `prometheus.yml` would hold.
    """

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(configuration)), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "log"
        command = [
            str(program("prometheus")), f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def wait(self, timeout_s: float = 30) -> None:
        """Waits until it answers."""
        deadline = time.monotonic() + timeout_s
        while True:
            assert self._process.poll() is None and time.monotonic() < deadline, self._log.read_text()[-2_000:]
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)

    def get(self, path: str, **parameters: str | float | Sequence[str]) -> Any:
        """The `data` of an answer of its HTTP API, such as of `get("query", query="up")`.

        Raises:
            ValueError: It refused; its words.
        """
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise ValueError(json.load(refused)["error"]) from None

    def stop(self) -> None:
        """Ends it, without ado."""
        self._process.kill()
        self._process.wait(20)
