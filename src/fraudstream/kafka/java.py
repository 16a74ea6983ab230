"""Finds a Java that can run Kafka."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from fraudstream.errors import ToolError

OLDEST_JAVA = 17
_INSTALL = (
    "Install OpenJDK 17 or newer (Debian, Ubuntu: `apt install openjdk-17-jre-headless`), or point JAVA_HOME at one."
)


class Java(NamedTuple):
    """A Java runtime: its program and its full version, such as `17.0.15`."""

    program: Path
    version: str


def find_java() -> Java:
    """The Java of JAVA_HOME, else the first on PATH.

    Raises:
        ToolError: There is none, it does not run, or it is older than Kafka needs.
    """
    home = os.environ.get("JAVA_HOME")
    inside = Path(home) / "bin" / "java" if home else None
    found = str(inside) if inside and inside.exists() else shutil.which("java")
    if found is None:
        raise ToolError("Java was not found (JAVA_HOME, PATH); the local Kafka broker runs on it.", _INSTALL)
    try:
        asked = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as reason:
        raise ToolError(f"{found} -version failed: {reason}.", _INSTALL) from None
    written = re.search(r'version "(?:1\.)?(\d+)([^"]*)"', asked.stderr + asked.stdout)
    if written is None or int(written[1]) < OLDEST_JAVA:
        what = f"Java {written[1]}" if written else "a Java of unknown version"
        raise ToolError(f"{found} is {what}; Kafka needs {OLDEST_JAVA} or newer.", _INSTALL)
    return Java(Path(found), written[1] + written[2])
