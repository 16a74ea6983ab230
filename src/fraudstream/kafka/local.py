"""A real Apache Kafka broker (KRaft, one node) as a child process that outlives the command that started it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fraudstream.errors import ToolError, UsageError
from fraudstream.kafka.brokerfiles import log4j2_properties, server_properties
from fraudstream.kafka.client import LOGGER
from fraudstream.kafka.jars import KAFKA_VERSION, fetch_kafka, locked
from fraudstream.kafka.java import Java, find_java
from fraudstream.processes import is_same_process, process_birth
from fraudstream.settings import BROKER_RECORD

READY_WITHIN_S = 60.0
PORTS_WITHIN_S = 5.0
STOPPED_WITHIN_S = 30.0


class BrokerStatus(NamedTuple):
    """What is known of a local broker.

    Attributes:
        state: `running` (it answers), `starting` (alive, not answering), `stopped`, or `crashed` (gone without `stop`).
        bootstrap_servers: Its address; while stopped, the one it will try to take again.
        started_at: Epoch milliseconds of the last start.
        ready_ms: How long the last start took until it answered.
    """

    state: str
    folder: Path
    bootstrap_servers: str | None = None
    pid: int | None = None
    started_at: int | None = None
    ready_ms: int | None = None

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self.state in ("running", "starting")

    @property
    def log(self) -> Path:
        """The broker's own log."""
        return self.folder / "logs" / "broker.log"


class LocalBroker:
    """The local broker of one folder, which holds `server.properties`, `data/`, `logs/` and `broker.json`.

    Args:
        folder: `Settings.local_kafka_folder`; made when needed.
        heap_mb: The Java heap.
    """

    def __init__(self, folder: Path, *, heap_mb: int = 512) -> None:
        self.folder = folder.absolute()
        self._heap_mb = heap_mb
        self._record = self.folder / BROKER_RECORD.name

    @property
    def bootstrap(self) -> str:
        """The address of the running broker.

        Raises:
            ToolError: It is not running.
        """
        status = self.status()
        if not status.running or status.bootstrap_servers is None:
            raise ToolError(f"The local broker of {self.folder} is not running.", "Run `fraudstream kafka start`.")
        return status.bootstrap_servers

    def start(self) -> BrokerStatus:
        """Starts the broker and waits until it answers; returns at once where it is running already.

        Ports are free ones of this machine, and the same as last time where they are still free.

        Raises:
            ToolError: Java or Maven is missing or failed, the folder cannot be written, or the broker does not come up.
        """
        with locked(self.folder / "lock"):
            status = self.status()
            if status.state == "running":
                return status
            if status.state == "starting":
                self._stop(status)
            java, jars = find_java(), fetch_kafka()
            return self._start(java, jars)

    def stop(self) -> BrokerStatus:
        """Stops the broker in good order, or by force after 30 s; does nothing where it is not running."""
        if not self.folder.exists():
            return self.status()
        with locked(self.folder / "lock"):
            status = self.status()
            if status.running:
                self._stop(status)
            elif status.state == "crashed":
                self._note({**self._noted(), "pid": None})
            return self.status()

    def status(self) -> BrokerStatus:
        """What the record says, compared with the process it names and with what answers at its address."""
        noted = self._noted()
        if not noted:
            return BrokerStatus("stopped", self.folder)
        address, pid = noted["bootstrap_servers"], noted.get("pid")
        if pid is None:
            state = "stopped"
        elif not is_same_process(pid, noted["birth"]):
            state, pid = "crashed", None
        else:
            state = "running" if _answers(address, 2.0) else "starting"
        return BrokerStatus(state, self.folder, address, pid, noted.get("started_at"), noted.get("ready_ms"))

    def clean(self, *, force: bool = False) -> None:
        """Deletes the broker's folder: topics, offsets, logs.

        Raises:
            UsageError: It is running, and `force` is not given.
            ToolError: The folder cannot be deleted.
        """
        if not self.folder.exists():
            return
        with locked(self.folder / "lock"):
            status = self.status()
            if status.running:
                if not force:
                    raise UsageError(
                        f"The local broker is running (process {status.pid}); cleaning would delete its topics.",
                        "Stop it first with `fraudstream kafka stop`, or use --force.",
                    )
                self._stop(status)
            try:
                shutil.rmtree(self.folder)
            except OSError as reason:
                raise ToolError(f"{self.folder} cannot be deleted: {reason}.", "Check who owns it.") from None

    def _start(self, java: Java, jars: Path) -> BrokerStatus:
        noted = self._noted()
        made_by = noted.get("kafka_version", KAFKA_VERSION)
        if _numbers(made_by) > _numbers(KAFKA_VERSION):
            raise ToolError(
                f"The data in {self.folder} is of Kafka {made_by}; this is {KAFKA_VERSION}, which cannot read it.",
                "`fraudstream kafka clean` deletes it, and the next start makes it anew.",
            )
        port, controller_port = _free_ports(noted.get("ports"))
        data, logs = self.folder / "data", self.folder / "logs"
        try:
            data.mkdir(exist_ok=True)
            logs.mkdir(exist_ok=True)
            (self.folder / "server.properties").write_text(server_properties(data, port, controller_port))
            (self.folder / "log4j2.properties").write_text(log4j2_properties(logs))
        except OSError as reason:
            raise ToolError(
                f"The folder {self.folder} cannot be written: {reason}.", "Make it writable, or choose another."
            ) from None
        classpath = ":".join(str(jar) for jar in sorted((jars / "libs").glob("*.jar")))
        archive = jars / f"broker-java-{java.version}.jsa"
        base = [str(java.program), "-cp", classpath, f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties"]
        if not (data / "meta.properties").exists():
            self._format(base)
        began = time.monotonic()
        process = self._launch(base, archive)
        address = f"127.0.0.1:{port}"
        record = {
            "bootstrap_servers": address,
            "ports": [port, controller_port],
            "pid": process.pid,
            "birth": process_birth(process.pid),
            "kafka_version": KAFKA_VERSION,
            "archive": str(archive),
            "started_at": time.time_ns() // 1_000_000,
        }
        self._note(record)
        self._await_ready(process, address)
        self._note({**record, "ready_ms": round((time.monotonic() - began) * 1_000)})
        return self.status()

    def _launch(self, base: list[str], archive: Path) -> subprocess.Popen[bytes]:
        """Starts the broker's process, detached from this terminal and its Ctrl-C.

        The classes loaded are archived at the first clean stop; later starts take about half the time.
        """
        sharing = f"-XX:SharedArchiveFile={archive}"
        if not archive.exists():
            sharing = f"-XX:ArchiveClassesAtExit={self.folder / 'classes.jsa'}"
        options = [f"-Xms{self._heap_mb}m", f"-Xmx{self._heap_mb}m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
        # The first compiler alone: on few cores the second one takes one of them for a minute or two, just when a demo,
        # a test or a laptop's session wants it, and saves little afterwards (measured: decision 0010).
        options += ["-XX:TieredStopAtLevel=1"]
        options += ["-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        command = [base[0], *options, sharing, *base[1:], "kafka.Kafka", str(self.folder / "server.properties")]
        with (self.folder / "logs" / "broker.out").open("wb") as out:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, start_new_session=True
            )

    def _format(self, base: list[str]) -> None:
        """Gives the empty data folder its cluster id, as Kafka demands before the first start."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [base[0], "-XX:TieredStopAtLevel=1", "-Xshare:auto", *base[1:], "kafka.tools.StorageTool", "format"]
        # With "=": one id in 64 begins with a dash, which the tool would take for an option.
        command += ["--standalone", f"--cluster-id={cluster_id}", "-c", str(self.folder / "server.properties")]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            shutil.rmtree(self.folder / "data", ignore_errors=True)
            raise ToolError(
                f"Kafka could not prepare {self.folder / 'data'}:\n  {_last_lines(run.stdout + run.stderr)}\n",
                "See `fraudstream kafka clean`.",
            )

    def _await_ready(self, process: subprocess.Popen[bytes], address: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if _answers(address, 0.5):
                return
            time.sleep(0.05)
        else:
            process.kill()
            process.wait()
        log = self.folder / "logs" / "broker.log"
        said = (self.folder / "logs" / "broker.out").read_text(errors="replace")
        if log.exists():
            lines = log.read_text(errors="replace").splitlines()
            said += "\n".join(
                line for line in lines[-400:] if " ERROR " in line or " FATAL " in line or "Exception" in line
            )
        self._note({**self._noted(), "pid": None})
        raise ToolError(
            f"The local Kafka broker did not come up (exit code {process.returncode}):\n  {_last_lines(said)}\n",
            f"The whole log is {log}; `fraudstream kafka clean` starts from nothing.",
        )

    def _stop(self, status: BrokerStatus) -> None:
        noted = self._noted()
        if status.pid is not None:
            os.kill(status.pid, signal.SIGTERM)
            if not _wait_gone(status.pid, noted["birth"], STOPPED_WITHIN_S):
                LOGGER.warning("the broker (process %s) did not stop; killing it", status.pid)
                os.kill(status.pid, signal.SIGKILL)
                _wait_gone(status.pid, noted["birth"], 5.0)
        classes = self.folder / "classes.jsa"
        if classes.exists() and noted.get("archive"):
            with contextlib.suppress(OSError):
                shutil.copyfile(classes, temporary := f"{noted['archive']}.{os.getpid()}")
                os.replace(temporary, noted["archive"])
            classes.unlink()
        self._note({**noted, "pid": None})

    def _noted(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._record.read_text())
            return noted if isinstance(noted, dict) and "bootstrap_servers" in noted else {}
        except (OSError, ValueError):
            return {}

    def _note(self, record: dict[str, Any]) -> None:
        temporary = self._record.with_suffix(".tmp")
        temporary.write_text(json.dumps(record, indent=2) + "\n")
        temporary.replace(self._record)


def _numbers(version: str) -> tuple[int, ...]:
    """A version to compare by: "4.2.1" is (4, 2, 1)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _answers(address: str, timeout_s: float) -> bool:
    """Whether a broker at the address gives metadata in which a broker stands."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout_s).close()
    except OSError:
        return False
    try:
        found = AdminClient({"bootstrap.servers": address, "logger": LOGGER}).list_topics(timeout=timeout_s)
    except KafkaException:
        return False
    return bool(found.brokers)


def _free_ports(remembered: list[int] | None) -> tuple[int, int]:
    """The remembered ports, which a broker that was just killed may still hold for a moment; else two that are free.

    New ones lie below those that systems give to outgoing connections: one of these could take a broker's port while
    the broker is down, and its clients would wait at an address that it cannot have again.
    """
    deadline = time.monotonic() + PORTS_WITHIN_S
    while remembered:
        if _are_free(remembered):
            return remembered[0], remembered[1]
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    dice = random.SystemRandom()
    for _ in range(100):
        first, second = dice.sample(range(10_240, 32_768), 2)
        if _are_free([first, second]):
            return first, second
    raise ToolError("No free port was found on 127.0.0.1.", "Check the network of this machine.")


def _are_free(ports: list[int]) -> bool:
    """Whether this machine lets us listen on all of them."""
    with contextlib.ExitStack() as stack:
        try:
            for port in ports:
                holder = stack.enter_context(socket.socket())
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_gone(pid: int, birth: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not is_same_process(pid, birth):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # it may be our own child
            return True
        time.sleep(0.02)
    return False


def _last_lines(text: str, count: int = 6) -> str:
    lines = [line.strip()[:300] for line in text.splitlines() if line.strip()]
    return "\n  ".join(lines[-count:]) or "it said nothing"
