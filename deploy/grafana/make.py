"""Writes the dashboards that Grafana reads, from their definitions beside this file.

python deploy/grafana/make.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fraud import FRAUD
from health import HEALTH
from model import MODEL

FOLDER = Path(__file__).with_name("provisioning") / "dashboards"


def main(folder: Path = FOLDER) -> None:
    """Writes a file for each dashboard into the folder."""
    for dashboard in (HEALTH, FRAUD, MODEL):
        file = folder / f"{dashboard['uid']}.json"
        file.write_text(json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
