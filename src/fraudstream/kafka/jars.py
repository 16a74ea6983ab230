"""Kafka's own program files: fetched once from Maven Central into a cache outside any project."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudstream.errors import ToolError

KAFKA_VERSION = "4.2.1"
"""Not 4.3 or 4.4: their transaction coordinator loses markers while a partition has no leader (decision 0012)."""
_LOG4J_VERSION = "2.25.2"
_DEPENDENCIES = [
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", _LOG4J_VERSION),  # Kafka's POM names no logging binding
    ("org.apache.logging.log4j", "log4j-core", _LOG4J_VERSION),
    ("org.apache.logging.log4j", "log4j-api", _LOG4J_VERSION),
]
_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def cache_folder() -> Path:
    """Where downloads are kept: FRAUDSTREAM_CACHE_DIR, else `~/.cache/fraudstream`."""
    return Path(os.environ.get("FRAUDSTREAM_CACHE_DIR") or Path.home() / ".cache" / "fraudstream").absolute()


def kafka_folder() -> Path:
    """The folder of this Kafka version, there or not: `libs/*.jar`, and the broker's class-data archives."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def fetch_kafka() -> Path:
    """The folder of Kafka's jars, downloaded through Maven if it is not there yet (44 MB).

    A folder appears under its name only when it is complete. A second process waits for the first.

    Raises:
        ToolError: Maven is missing or failed, or the cache cannot be written.
    """
    folder = kafka_folder()
    if folder.exists():
        return folder
    with locked(folder.with_name(folder.name + ".lock")):
        if not folder.exists():
            maven = shutil.which("mvn")
            if maven is None:
                raise ToolError(
                    f"Maven (mvn) was not found on PATH; it fetches Kafka {KAFKA_VERSION} once, into {folder}.",
                    "Install it (Debian, Ubuntu: `apt install maven`), or copy that folder from another machine.",
                )
            building = Path(tempfile.mkdtemp(prefix="kafka-", dir=folder.parent))
            try:
                _run_maven(maven, building)
                building.chmod(0o755)
                building.rename(folder)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file for this process; others wait. It is let go even if the process is killed.

    Raises:
        ToolError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as reason:
        raise ToolError(
            f"The folder {path.parent} cannot be written: {reason.strerror}.", "Make it writable, or choose another."
        ) from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run_maven(maven: str, folder: Path) -> None:
    pom = folder / "pom.xml"
    pom.write_text(_pom(), encoding="utf-8")
    command = [maven, "-B", "-q", "-ntp", "-C", "-f", str(pom), _GOAL]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={folder / 'libs'}"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.SubprocessError) as reason:
        raise ToolError(f"Maven could not fetch Kafka {KAFKA_VERSION}: {reason}.", "Try again.") from None
    if run.returncode != 0 or not any((folder / "libs").glob("kafka_*.jar")):
        lines = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
        useful = [line for line in lines if "ERROR" in line and len(line) > len("[ERROR] ")] or lines
        shown = "\n  ".join(useful[:4]) or "it said nothing"
        raise ToolError(
            f"Maven could not fetch Kafka {KAFKA_VERSION} (exit code {run.returncode}):\n  {shown}\n",
            "Check the connection, or the mirror in ~/.m2/settings.xml, and run `fraudstream kafka download`.",
        )


def _pom() -> str:
    dependencies = "\n".join(
        f"    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, artifact, version in _DEPENDENCIES
    )
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>fraudstream</groupId><artifactId>local-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
