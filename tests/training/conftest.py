"""Simulated histories of the four pipelines with a model, and their truth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Path, Path]]:
    """Simulates 6,000 events over 40 days: `simulated("retail", ".jsonl")` gives the files of events and of truth."""
    program = Path(sys.executable).with_name("fraudstream")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}

    @cache
    def make(name: str, ending: str = ".parquet") -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(name)
        events, truth = folder / f"events{ending}", folder / f"truth{ending}"
        span = ["--history", "40d", "--start", "2026-01-01", "--events", "6000", "--customers", "400"]
        command = [str(program), "simulate", name, "--to", str(events), "--truth", str(truth), *span]
        command += ["--terminals", "300", "--fraud", "high_amounts=0.02,bursts=0.02"]
        subprocess.run(command, check=True, capture_output=True, env=clean, cwd=folder)
        return events, truth

    return make
