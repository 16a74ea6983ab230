"""What documents say of the faults is what bench/chaos.json holds."""

from __future__ import annotations

import importlib.util
import json

import pytest
from project import ROOT


@pytest.mark.parametrize("name", ["README.md", "docs/delivery.md"])
def test_figures_are_the_committed_results(name: str) -> None:
    spec = importlib.util.spec_from_file_location("chaos_table", ROOT / "bench" / "chaos_table.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = (ROOT / name).read_text(encoding="utf-8")
    result = json.loads((ROOT / "bench" / "chaos.json").read_text(encoding="utf-8"))
    assert "<!-- chaos" in text
    assert text == tables.filled(text, result), "run `python -m bench.chaos_table`"
