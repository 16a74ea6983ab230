"""Checks of this machine: its clock, the versions of Python and of the libraries, and Java for the local broker."""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from fraudstream.doctor.finding import Finding, Subject, error, ok, warning
from fraudstream.errors import ToolError
from fraudstream.kafka.client import library_version
from fraudstream.kafka.java import find_java
from fraudstream.settings import BROKER_RECORD

_OLDEST_PYTHON = (3, 11)
_AHEAD_MS = 2_000
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*])?\s*(?:\(?>=\s*(?P<least>[0-9.]+))?")


def clock(subject: Subject) -> Iterator[Finding]:
    """No record on the pipeline's topics is from the future: whoever wrote it, or this machine, has the wrong time."""
    assert subject.plan is not None
    there = subject.admin.topics()
    topics = [name for name, _ in subject.plan.pipeline.topics_to_create() if name in there]
    newest = subject.inspector.newest_ms(topics)
    now_ms = time.time_ns() // 1_000_000
    ahead = {place: at_ms - now_ms for place, at_ms in newest.items() if at_ms > now_ms + _AHEAD_MS}
    if ahead:
        (topic, partition), ms = max(ahead.items(), key=lambda each: each[1])
        yield warning(
            f"The newest record of {topic}, partition {partition}, is dated {ms / 1_000:,.1f} s ahead of this machine.",
            "Have this machine, the brokers and those who send events set their clocks by NTP.",
        )
    else:
        yield ok("No record is dated ahead of this machine's clock.")


def versions(subject: Subject) -> Iterator[Finding]:
    """Python and the libraries are not older than fraudstream was made for."""
    if sys.version_info < _OLDEST_PYTHON:
        yield error(f"This is Python {platform.python_version()}.", "Install 3.11 or newer.")
    old = {name: f"{name} {found} (needs {least})" for name, found, least in _installed() if _older(found, least)}
    if old:
        yield error(
            f"These libraries are too old: {', '.join(old.values())}.",
            f"Run `pip install --upgrade {' '.join(old)}`.",
        )
    else:
        yield ok(
            f"fraudstream {version('fraudstream')}, Python {platform.python_version()}, librdkafka {library_version()}."
        )


def java(subject: Subject) -> Iterator[Finding]:
    """There is a Java for the local broker, where that is the one in use."""
    if not (subject.settings.project_folder / BROKER_RECORD).exists():
        yield ok("The local broker is not in use, so none is needed.")
        return
    try:
        yield ok(f"Java {find_java().version}.")
    except ToolError as missing:
        yield error(missing.found, missing.advice)


def _installed() -> Iterator[tuple[str, str, str]]:
    """Name, version and least version of each library that is installed; those of extras may be missing."""
    for written in requires("fraudstream") or ():
        found = _REQUIREMENT.match(written)
        if found is not None and found["least"]:
            try:
                yield found["name"], version(found["name"]), found["least"]
            except PackageNotFoundError:
                continue


def _older(found: str, least: str) -> bool:
    return _numbers(found) < _numbers(least)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])
