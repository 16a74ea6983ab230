"""Draws docs/images/report.png: the report on simulated payments, as Chromium shows it.

    python docs/images/draw_report.py

Needs Chromium (Debian, Ubuntu: `apt install chromium`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).with_name("report.png")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1120, 1560


def main() -> None:
    """Simulates a history, has the report written, and takes a picture of its beginning."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("Chromium was not found: the picture of the report is left as it is.")
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "fraudstream"]
        span = ["--history", "70d", "--start", "2026-01-01", "--events", "60000", "--customers", "1500"]
        fraud = ["--fraud", "high_amounts=0.004,bursts=0.006,micro_payments=0.004"]
        where = ["--to", "payments.parquet", "--truth", "truth.parquet"]
        subprocess.run([*run, "simulate", "terminal-payments", *span, *fraud, *where], cwd=folder, check=True)
        given = ["--data", "payments.parquet", "--truth", "truth.parquet", "--folds", "4", "--out", "report.html"]
        subprocess.run([*run, "report", "terminal-payments", *given], cwd=folder, check=True)
        shown = [f"--window-size={WIDTH},{HEIGHT}", "--hide-scrollbars", f"--screenshot={TARGET}"]
        quiet = ["--headless", "--no-sandbox", f"--user-data-dir={folder}/profile"]
        subprocess.run([browser, *quiet, *shown, f"file://{folder}/report.html"], check=True, capture_output=True)
    print(f"drawn: {TARGET.name}, {TARGET.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
