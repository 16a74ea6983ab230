"""What a process serves, as Prometheus would read it."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from project import ROOT
from prometheus_client.parser import text_string_to_metric_families

from fraudstream.telemetry.exporter import Exporter, Watched
from prometheus import promtool


class Answer(NamedTuple):
    """What an HTTP server said."""

    status: int
    text: str


def get(port: int, path: str) -> Answer:
    """One request to a process on this machine."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as refused:
        return Answer(refused.code, refused.read().decode())


class Scraped:
    """The metrics of a process at one moment.

    Attributes:
        text: As they were served.
        families: By name; with the name's `_total` where they are counters.
    """

    def __init__(self, port: int) -> None:
        answer = get(port, "/metrics")
        assert answer.status == 200
        self.text = answer.text
        self.families: dict[str, Any] = {}
        for family in text_string_to_metric_families(self.text):
            self.families[family.name + "_total" * (family.type == "counter")] = family

    def of(self, name: str, **labels: str) -> float | None:
        """The value of the series with these labels, others not asked about; None where there is none."""
        name = f"fraudstream_{name}"
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def without_samples(self) -> set[str]:
        """The metrics that are known, but of which there is no series."""
        return {name for name, family in self.families.items() if not family.samples}

    def assert_documented(self, *sections: str, of_process: set[str]) -> None:
        """What is served is what docs/metrics.md lists; `of_process` are labels of all the series."""
        known = documented(*sections)
        ours = {name: family for name, family in self.families.items() if name.startswith("fraudstream_")}
        assert {name: family.type for name, family in ours.items()} == {name: kind for name, (kind, _) in known.items()}
        for name, family in ours.items():
            for sample in family.samples:
                assert sample.labels.keys() - {"le"} == known[name][1] | of_process, name

    def assert_sound(self) -> None:
        """`promtool check metrics` has no complaint."""
        done = promtool("check", "metrics", given=self.text)
        assert done.returncode == 0 and not done.stderr, done.stderr


@contextmanager
def serving(watched: Watched, command: str, **labels: str) -> Iterator[int]:
    """Serves what a loop in this process tells; yields the port."""
    exporter = Exporter(0, "127.0.0.1", command, labels)
    exporter.watch(watched)
    try:
        yield exporter.port
    finally:
        exporter.close()


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def documented(*sections: str) -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric that docs/metrics.md lists under these headings, and for every process."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    found: dict[str, tuple[str, set[str]]] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        if section.partition("\n")[0] in ("Every process", *sections):
            for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\|", section, re.MULTILINE):
                found[name] = kind, set(re.findall(r"`(\w+)`", labels))
    return found
