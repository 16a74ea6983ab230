"""The page on training on one's own data, done as it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

Run = Callable[..., subprocess.CompletedProcess[str]]
PAGE = Path(__file__).parents[2] / "docs" / "train-on-your-own-data.md"


def test_every_step_of_the_page_works_as_written(fraudstream: Run, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (pipeline,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ fraudstream (.*)$", text, re.MULTILINE)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    (tmp_path / "shop.yaml").write_text(pipeline, encoding="utf-8")
    said = {}
    for command in commands:
        name, *arguments = shlex.split(command)
        done = fraudstream(name, *arguments)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said[name] = done.stdout
    assert list(said) == ["check", "train", "evaluate", "dataset"]
    precision = re.search(r"average precision (\d\.\d+)", said["train"])
    assert precision is not None and float(precision[1]) > 0.7, "the sample's fraud is easy to learn"
    assert "3 test periods" in said["evaluate"]
    table = pl.read_parquet(tmp_path / "features.parquet")
    assert table["is_fraud"].sum() > 100
    assert "card-1" not in table["card"].cast(pl.String).to_list()
    (card,) = (tmp_path / "models" / "shop").glob("*/card.md")
    assert "## Limits" in card.read_text(encoding="utf-8")
