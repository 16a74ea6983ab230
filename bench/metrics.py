"""What serving metrics costs a scorer: the same events drained with a scrape a second, and without.

    python -m bench.metrics [--events N] [--write]

Both ways in turn, several times, in one process; the figure is processor time, the client library's threads included,
since other work on the machine moves the clock on the wall.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fraudstream.kafka.local import LocalBroker
from fraudstream.pipelines import find_plan
from fraudstream.runner.start import Options, start
from fraudstream.settings import load_settings
from fraudstream.telemetry.exporter import Exporter

RESULT = Path(__file__).with_name("metrics.json")
PIPELINE = "terminal-payments"
ROUNDS = 5
SCRAPE = """
import time, urllib.request
while True:
    urllib.request.urlopen("http://127.0.0.1:%d/metrics").read()
    time.sleep(1)
"""


def drain(folder: Path, group: str, *, scraped: bool) -> tuple[int, float]:
    """Scores the whole topic as a new group; the events, and the processor seconds they took."""
    settings = load_settings({}, environ={}, folder=folder)
    loop = start(find_plan(PIPELINE, environ={}), settings, Options(group=group))
    exporter = Exporter(0, "127.0.0.1", "run", {"pipeline": PIPELINE}) if scraped else None
    scraper = None
    if exporter is not None:
        exporter.watch(loop)
        scraper = subprocess.Popen([sys.executable, "-c", SCRAPE % exporter.port], stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # it has begun
    gc.collect()
    gc.freeze()  # as `fraudstream run` does
    try:
        before_s = time.process_time()
        done = loop.run(until_caught_up=True)
        return done.events, time.process_time() - before_s
    finally:
        gc.unfreeze()
        if scraper is not None and exporter is not None:
            scraper.kill()
            exporter.close()


def measure(events: int) -> dict[str, float]:
    """Processor time with and without, microseconds an event, and the ratio of the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = LocalBroker(folder / ".fraudstream" / "kafka", heap_mb=512)
        broker.start()
        try:
            program = [sys.executable, "-m", "fraudstream"]
            subprocess.run([*program, "topics", "create", PIPELINE], cwd=folder, check=True)
            made = ("simulate", PIPELINE, "--history", "30d", "--events", str(events), "--labels-topic", "none")
            subprocess.run([*program, *made], cwd=folder, check=True)
            drain(folder, "warm", scraped=False)
            took: dict[bool, list[float]] = {False: [], True: []}
            for number in range(ROUNDS):
                for scraped in (False, True) if number % 2 else (True, False):
                    count, seconds = drain(folder, f"round-{number}-{scraped}", scraped=scraped)
                    assert count == events
                    took[scraped].append(seconds / count * 1e6)
        finally:
            broker.clean(force=True)
    without, served = statistics.median(took[False]), statistics.median(took[True])
    return {
        "events": events,
        "rounds": ROUNDS,
        "us_per_event_without": round(without, 3),
        "us_per_event_scraped": round(served, 3),
        "ratio": round(served / without, 3),
    }


if __name__ == "__main__":
    found = measure(int(sys.argv[sys.argv.index("--events") + 1]) if "--events" in sys.argv else 500_000)
    print(json.dumps(found, indent=2))
    if "--write" in sys.argv:
        RESULT.write_text(json.dumps(found, indent=2) + "\n")
