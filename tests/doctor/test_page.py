"""The page on doctor and status says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from fraudstream.doctor.examine import CHECKS, LIMIT_S
from fraudstream.pipelines import find_plan
from fraudstream.settings import load_settings
from fraudstream.status.overview import LIMIT_S as LINES_S
from fraudstream.status.overview import PipelineStatus
from house.project import ROOT

PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_every_check_is_listed_in_its_order() -> None:
    listed = re.findall(r"^\| `([\w ]+)` \|", PAGE.partition("## How it stands")[0], re.MULTILINE)
    assert listed == ["Kafka", *(check.name for check in CHECKS)]
    assert f"given {LIMIT_S:g} seconds" in PAGE


def test_every_line_of_the_status_is_listed_in_its_order(tmp_path: Path) -> None:
    status = PipelineStatus(load_settings(environ={}, folder=tmp_path), find_plan("retail"))
    names = [line.name for line in status._lines]
    part = PAGE.partition("## How it stands")[2]
    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == names
    assert re.findall(r"^  (\w+) ", part, re.MULTILINE) == names
    assert f"within {LINES_S:g} seconds" in part
