"""The page on doctor and status says what the program does."""

from __future__ import annotations

import re

from fraudstream.doctor.examine import CHECKS, LIMIT_S
from house.project import ROOT

PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_every_check_is_listed_in_its_order() -> None:
    listed = re.findall(r"^\| `([\w ]+)` \|", PAGE.partition("## How it stands")[0], re.MULTILINE)
    assert listed == ["Kafka", *(check.name for check in CHECKS)]
    assert f"given {LIMIT_S:g} seconds" in PAGE
