"""A real worker of Kafka Connect with Debezium's JDBC sink, from deploy/connect, killed at will."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from fraudstream.kafka.jars import cache_folder, locked
from fraudstream.kafka.java import find_java
from house.project import ROOT
from servers import free_port

DEPLOY = ROOT / "deploy" / "connect"


def fetched() -> Path:
    """The folder with `worker` and `plugins`, made as the page says, once for each state of the POMs (70 MB)."""
    poms = sorted(DEPLOY.rglob("pom.xml"))
    state = hashlib.sha256(b"".join(pom.read_bytes() for pom in poms)).hexdigest()[:12]
    folder = cache_folder() / f"connect-{state}"
    with locked(folder.with_name(folder.name + ".lock")):
        if not folder.exists():
            building = folder.with_name(f"{folder.name}.building")
            shutil.rmtree(building, ignore_errors=True)
            command = ["mvn", "-B", "-q", "-ntp", "-f", str(DEPLOY / "pom.xml"), "package"]
            done = subprocess.run(
                [*command, f"-Dconnect.folder={building}"], capture_output=True, text=True, timeout=600, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            building.rename(folder)
    return folder


class Refused(Exception):
    """The worker answered with an error."""


class ConnectWorker:
    """One worker, with the files of deploy/connect. It may be killed and started again.

    Args:
        folder: Where its log is written.
        bootstrap_servers: The broker.
        environ: What its configurations may name.
        settings: Lines that come behind those of worker.properties and so count.
    """

    def __init__(self, folder: Path, bootstrap_servers: str, environ: dict[str, str], *settings: str) -> None:
        self._jars = fetched()
        self.log = folder / "worker.log"
        self.port = free_port()
        self._environ = {
            "SINK_BOOTSTRAP_SERVERS": bootstrap_servers,
            "SINK_LISTENER": f"http://127.0.0.1:{self.port}",
            "SINK_REPLICATION": "1",
            **environ,
        }
        self._properties = folder / "worker.properties"
        lines = [(DEPLOY / "worker.properties").read_text(), f"plugin.path={self._jars / 'plugins'}", *settings]
        self._properties.write_text("\n".join(lines))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 120) -> None:
        """Starts it and waits until it answers."""
        java = ["-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", f"{self._jars / 'worker'}/*"]
        java += [f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}"]
        command = [str(find_java().program), *java, "org.apache.kafka.connect.cli.ConnectDistributed"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._properties)], env={**os.environ, **self._environ}, stdout=log, stderr=log
            )
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self.ask("GET", "/health")
                return
            except (OSError, Refused):
                assert self._process.poll() is None and time.monotonic() < deadline, self.tail()
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, and nothing else."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """One request to its REST interface; an answer that is an error shows what it says."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode()) from None

    def failures(self, connector: str) -> list[str]:
        """What made its tasks stop; nothing as long as it has not begun."""
        try:
            status = self.ask("GET", f"/connectors/{connector}/status")
        except Refused:
            return []
        return [task.get("trace", "") for task in status["tasks"] if task["state"] == "FAILED"]

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3_000:]
