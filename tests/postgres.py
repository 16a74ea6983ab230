"""A real PostgreSQL of one's own: fetched through Maven like Kafka, started in a temporary folder, killed at will."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import psycopg

from fraudstream.kafka.jars import cache_folder, locked

VERSION = "17.5.0"
PASSWORD = "kept-to-itself"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}
_NOBODY = 65_534


class CannotBeHad(Exception):
    """There is no PostgreSQL to test with here; says why."""


def fetched_jar() -> Path:
    """The jar that holds PostgreSQL's programs, fetched once by Maven (15 MB)."""
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None or platform.system() not in ("Linux", "Darwin"):
        raise CannotBeHad(f"no PostgreSQL programs are published for {platform.system()} on {platform.machine()}")
    name = f"embedded-postgres-binaries-{platform.system().lower()}-{machine}"
    jar = cache_folder() / f"{name}-{VERSION}.jar"
    with locked(jar.with_suffix(".lock")):
        if not jar.exists():
            maven = shutil.which("mvn")
            if maven is None:
                raise CannotBeHad("Maven (mvn), which fetches PostgreSQL, was not found on PATH")
            artifact = f"io.zonky.test.postgres:{name}:{VERSION}"
            goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
            command = [maven, "-B", "-q", "-ntp", goal, f"-Dartifact={artifact}", f"-DoutputDirectory={jar.parent}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode != 0:
                raise CannotBeHad(f"Maven could not fetch {artifact}: {(done.stdout + done.stderr)[:300]}")
    return jar


class PostgresServer:
    """A cluster in a temporary folder; its superuser is `fraud`, who has a password.

    Args:
        durable: Whether a commit waits for the disk. A killed server loses nothing without it; a killed machine would.
        nice: How much lower its priority is than that of this process.
    """

    def __init__(self, *, durable: bool = False, nice: int = 0) -> None:
        # PostgreSQL refuses to run as root, and nobody may not look into root's folders: programs and data lie in /tmp.
        self._owner = _NOBODY if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        with zipfile.ZipFile(fetched_jar()) as jar:
            inner = next(name for name in jar.namelist() if name.endswith(".txz"))
            with jar.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:xz") as programs:
                programs.extractall(self.folder / "programs", filter="tar")
        (self.folder / "password").write_text(PASSWORD)
        if self._owner is not None:
            for path in (self.folder, self.folder / "password"):
                os.chown(path, self._owner, self._owner)
        self._durable, self._nice = durable, nice
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        initdb = ["-D", "data", "-U", "fraud", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"]
        done = self._program("initdb", *initdb, "--pwfile=password", "--no-sync").wait(60)
        assert done == 0, (self.folder / "log").read_text()

    def url(self, database: str = "postgres") -> str:
        """The address, as settings take it."""
        return f"postgresql://fraud:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout_s: float = 60) -> None:
        """Starts the server and waits until it answers: after a kill, until it has recovered."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self._process is None or self._process.poll() is not None:  # its predecessor may still be dying
                durability = "on" if self._durable else "off"
                self._process = self._program(
                    "postgres", "-D", "data", "-p", str(self.port), "-k", str(self.folder),
                    "-c", "listen_addresses=127.0.0.1", "-c", f"fsync={durability}",
                )  # fmt: skip
                if self._nice:
                    own = os.getpriority(os.PRIO_PROCESS, 0)
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, own + self._nice)
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2_000:]
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def remove(self) -> None:
        """Kills it and deletes the folder."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, database: str) -> str:
        """Makes an empty database and returns its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def _program(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        return subprocess.Popen(
            [str(self.folder / "programs" / "bin" / name), *arguments],
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=self._owner,
            group=self._owner,
            extra_groups=None if self._owner is None else [],
        )
