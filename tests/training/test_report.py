"""The report: one page that asks for nothing, says everything twice (drawn and in numbers), and the same each time."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fraudstream.pipelines import find_plan
from fraudstream.report.build import report
from fraudstream.report.material import Material
from fraudstream.training.dataset import make_dataset
from fraudstream.training.history import History
from fraudstream.training.prequential import DAY_MS, Protocol, evaluate
from fraudstream.training.truth import truth_of_file

Run = Callable[..., subprocess.CompletedProcess[str]]
Simulated = Callable[[str, str], tuple[Path, Path]]
PROTOCOL = Protocol(folds=2, test_span_ms=6 * DAY_MS, train_span_ms=20 * DAY_MS, label_delay_ms=DAY_MS)
_VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """What stands on a page; elements that are not closed in order are noted."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.count: dict[str, int] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attributes:
            self.ids += [value or ""] if name == "id" else []
            self.targets += [value or ""] if name in ("href", "src", "xlink:href", "action", "data") else []
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def material(simulated: Simulated) -> Material:
    plan = find_plan("user-activity", environ={})
    events, truth = simulated("user-activity", ".parquet")
    history = History(events, plan.pipeline.event)
    known = truth_of_file(truth, plan.pipeline.event, len(history))
    dataset = make_dataset(plan, history, known, PROTOCOL.label_delay_ms)
    found = Material(plan, dataset, PROTOCOL, 10.0, "a<b>.parquet")
    assert plan.pipeline.model is not None
    evaluate(plan.pipeline.model, dataset, PROTOCOL, keep=found.tested.append)
    return found


def test_a_page_needs_nothing_but_itself_and_is_whole(material: Material) -> None:
    text = report(material)
    page = Page(text)
    assert page.wrong == [] and page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert [target for target in page.targets if not target.startswith("#") or target[1:] not in page.ids] == []
    assert not re.search(r"https?://|url\(|@import|<script|javascript:", text)
    assert "default-src 'none'" in text
    assert "a&lt;b&gt;.parquet" in text and "<b>" not in text


def test_every_plot_has_its_text_and_curves_have_their_numbers(material: Material) -> None:
    text = report(material)
    plots = [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(plots) >= 9
    for plot in plots:
        title, about = plot[0], plot[1]
        assert (title.tag, about.tag) == ("title", "desc") and title.text and len(about.text or "") > 20
        assert plot.get("aria-labelledby") == f"{title.get('id')} {about.get('id')}"
    figures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(figures) == len(plots)
    assert sum("<table>" in each for each in figures) >= len(figures) - 2
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text).lower().replace("finance", "")


def test_the_same_material_gives_the_same_page(material: Material) -> None:
    assert report(material) == report(material)


def test_the_page_of_an_evaluation_is_its_part_of_the_report(material: Material) -> None:
    whole, part = report(material), report(material, with_explanation=False)
    assert len(part) < len(whole)
    for section in ("summary", "curves", "thresholds", "segments"):
        body = re.search(rf'<section id="{section}".*?</section>', part, re.DOTALL)
        assert body is not None and body[0] in whole
    assert 'id="errors"' in whole and 'id="errors"' not in part


def test_what_was_missed_is_said_in_words_with_what_spoke_against_it(material: Material) -> None:
    text = report(material)
    errors = re.search(r'<section id="errors".*?</section>', text, re.DOTALL)
    assert errors is not None
    misses, alarms = errors[0].split("Genuine events with the highest scores")
    assert misses.count("<tr>") > 3 and re.search(r"<li>[^<]+\(-\d+\.\d\d\)</li>", misses)
    first = re.search(r"<tbody><tr>.*?</tr>", alarms, re.DOTALL)
    assert first is not None and re.search(r"<li>[^<]+\(\+\d+\.\d\d\)</li>", first[0])


def test_the_command_writes_the_page_and_says_the_figures(
    fraudstream: Run, simulated: Simulated, tmp_path: Path
) -> None:
    events, truth = simulated("user-activity", ".parquet")
    given = ["user-activity", "--data", str(events), "--truth", str(truth), "--label-delay", "1d"]
    spans = ["--folds", "1", "--test-span", "6d", "--train-span", "20d"]
    done = fraudstream("report", *given, *spans, "--out", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert "AUC ROC" in done.stdout and "page.html" in done.stderr
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    refused = fraudstream("report", *given, *spans, "--out", str(tmp_path / "no" / "page.html"))
    assert refused.returncode == 2 and "Name a file in a folder that is there" in refused.stderr
