"""What each peer runs in: a virtual environment or a Maven build in bench/.peers, made on first use from its lock."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".peers"
MADE_WITHIN_S = 900
PYTHONS = ("quixstreams", "faust", "flink_sql")
CONNECTOR = ("org.apache.flink", "flink-sql-connector-kafka", "5.0.0-2.2")
_DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


class NotMade(Exception):
    """An environment could not be made; its text says why."""


def python_of(peer: str) -> str:
    """The interpreter of a Python peer's environment, made when it is not there or its lock has changed.

    Raises:
        NotMade: The libraries could not be installed.
    """
    folder, lock = FOLDER / peer, HERE / f"{peer}.lock"

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(lock)])

    _once(folder, [lock], make)
    return str(folder / "bin" / "python")


def streams_classpath() -> str:
    """The classpath of the Kafka Streams program, built when its sources have changed.

    Raises:
        NotMade: Maven failed or is missing.
    """
    folder, project = FOLDER / "kafka_streams", HERE / "kafka_streams"
    sources = [project / "pom.xml", *sorted(project.rglob("*.java"))]
    build = ["mvn", "-B", "-q", "-ntp", "-f", str(project / "pom.xml"), f"-Dfolder={folder}", "package"]

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        _run(build)

    _once(folder, sources, make)
    return f"{folder / 'classes'}:{folder / 'dependency'}/*"


def flink_connector() -> str:
    """The jar of Flink's Kafka connector, with what it needs inside.

    Raises:
        NotMade: Maven failed or is missing.
    """
    group, artifact, version = CONNECTOR
    jar = FOLDER / "jars" / f"{artifact}-{version}.jar"
    if not jar.exists():
        jar.parent.mkdir(parents=True, exist_ok=True)
        copy = [f"-Dartifact={group}:{artifact}:{version}", f"-DoutputDirectory={jar.parent}"]
        _run(["mvn", "-B", "-q", "-ntp", f"{_DEPENDENCY}:copy", *copy])
    return str(jar)


def _once(folder: Path, sources: list[Path], make: object) -> None:
    """Makes a folder unless it was made from just these sources."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    mark = folder / ".made-from"
    if mark.exists() and mark.read_text() == digest:
        return
    print(f"setting up {folder.name} …", file=sys.stderr, flush=True)
    make()  # type: ignore[operator]
    mark.write_text(digest)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MADE_WITHIN_S, check=False)
    except (OSError, subprocess.SubprocessError) as reason:
        raise NotMade(str(reason)) from None
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise NotMade(f"{Path(command[0]).name} failed: {' / '.join(lines[-3:])[:400]}")
