"""A pipeline for what needs no broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudstream.define.write import to_yaml
from runner.small import pipeline


@pytest.fixture
def pipeline_file(tmp_path: Path) -> Path:
    """The small pipeline's file, for what needs no broker."""
    path = tmp_path / "small.yaml"
    path.write_text(to_yaml(pipeline()), encoding="utf-8")
    return path
