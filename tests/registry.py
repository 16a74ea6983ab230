"""A real schema registry of one's own: Apicurio, fetched through Maven like Kafka, which speaks Confluent's API."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from fraudstream.kafka.jars import cache_folder, locked
from servers import free_port

VERSION = "2.6.13.Final"
"""The last that runs on Java 17."""


class CannotBeHad(Exception):
    """There is no registry to test with here; says why."""


def fetched() -> Path:
    """The registry's folder, fetched once by Maven (142 MB)."""
    folder = cache_folder() / f"apicurio-{VERSION}"
    with locked(folder.with_name(folder.name + ".lock")):
        if not folder.exists():
            maven = shutil.which("mvn")
            if maven is None:
                raise CannotBeHad("Maven (mvn), which fetches the schema registry, was not found on PATH")
            building = Path(tempfile.mkdtemp(prefix="apicurio-", dir=folder.parent))
            try:
                artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
                goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
                command = [maven, "-B", "-q", "-ntp", goal, f"-Dartifact={artifact}", f"-DoutputDirectory={building}"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
                if done.returncode != 0:
                    raise CannotBeHad(f"Maven could not fetch {artifact}: {(done.stdout + done.stderr)[:300]}")
                (packed,) = building.glob("*.tar.gz")
                with tarfile.open(packed) as archive:
                    archive.extractall(building / "programs", filter="data")
                (building / "programs").rename(folder)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return folder


class RegistryServer:
    """The registry, which keeps schemas in memory: after `kill` and `start` it knows none."""

    def __init__(self) -> None:
        self._folder = fetched()
        self.port = free_port()
        self._log = Path(tempfile.mkstemp(prefix="apicurio-", suffix=".log")[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of what speaks Confluent's API."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self, timeout_s: float = 60) -> None:
        """Starts it and waits until it answers."""
        java = shutil.which("java") or f"{os.environ.get('JAVA_HOME', '')}/bin/java"
        # A quick start counts for more than quick code.
        options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
        options += [f"-Dquarkus.http.port={self.port}", "-Dquarkus.http.host=127.0.0.1"]
        jar = next(self._folder.glob("*-runner.jar"))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [java, *options, "-jar", str(jar)], cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/subjects", timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                assert self._process.poll() is None, self._log.read_text()[-2_000:]
                assert time.monotonic() < deadline, self._log.read_text()[-2_000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def remove(self) -> None:
        """Kills it and deletes what it wrote."""
        self.kill()
        self._log.unlink(missing_ok=True)
