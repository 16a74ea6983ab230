"""The README: its figures are the committed results', its example pipeline is right."""

from __future__ import annotations

import importlib.util
import json
import re

from project import ROOT

from fraudstream.define.load import parse_definition
from fraudstream.plan.load import plan_definition

README = ROOT / "README.md"


def test_figures_are_the_committed_results() -> None:
    """What the README says was measured is what bench/results.json holds."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "bench" / "tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = README.read_text(encoding="utf-8")
    results = json.loads((ROOT / "bench" / "results.json").read_text())
    assert text == tables.filled(text, results), "run `python -m bench.tables`"
    assert tables.PICTURE.read_text(encoding="utf-8") == tables.picture(results), "run `python -m bench.tables`"


def test_the_quality_is_the_committed_result() -> None:
    """What the README says of the models is what bench/quality.json holds, and it reaches what we set out for."""
    spec = importlib.util.spec_from_file_location("quality", ROOT / "bench" / "quality.py")
    assert spec is not None and spec.loader is not None
    quality = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quality)
    text, result = README.read_text(encoding="utf-8"), json.loads(quality.RESULT.read_text(encoding="utf-8"))
    assert text == quality.filled(text, result), "run `make quality`"
    week = result["delay_7d"]
    assert week["ap"] >= 0.755 and week["auc"] >= 0.88 and week["cp100"] >= 0.308
    assert result["delay_1d"]["ap"] >= 0.91
    assert result["card_payments"]["ap"] >= 0.92


def test_the_example_pipeline_has_no_problem() -> None:
    """A newcomer who copies the example gets a pipeline that works."""
    example = re.search(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    plan = plan_definition(parse_definition(example.group(1), "README.md"))
    assert [rule.definition.code for rule in plan.rules] == ["VELOCITY", "NEW_DEVICE_BIG"]
