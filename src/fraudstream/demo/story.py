"""The demo: Kafka, history, training, live traffic, scoring, and the proof; each step is a command anyone can run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.panel import Panel

from fraudstream.demo.proof import Proof, Quality, judge, prove
from fraudstream.demo.screen import live_screen
from fraudstream.demo.watch import Watch
from fraudstream.errors import ToolError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.producer import BulkProducer
from fraudstream.settings import load_settings

PIPELINE = "card-payments"
CUSTOMERS = 500_000
"""So many that nobody pays twice a minute, as nobody does: bursts stand out from the traffic."""
HISTORY_EVENTS = 180_000
HISTORY = "3m"
"""As many events a second as live traffic has: the model learns the tempo it will meet."""
RATE_PER_S = 1_000
LIVE_S = 45
PATIENCE_S = 120
POISON = (
    b'{"transaction_id": "cut off", "amo',
    b"",
    b'["not", "an", "object"]',
    b'{"transaction_id": 7, "amount": NaN}',
)
"""Sent once a second among the live traffic: each must end as a dead letter."""


class Figures(NamedTuple):
    """What the demo found out."""

    proof: Proof
    quality: Quality
    catch_up_per_s: float
    live_per_s: float
    seconds: float


class Demo:
    """Runs the story in a folder of its own, with its own Kafka.

    Args:
        folder: Emptied at the start; the data of the last run stays in it.
        console: Where it is shown.
        live_s: How long live traffic lasts.
    """

    def __init__(self, folder: Path, console: Console, live_s: int = LIVE_S) -> None:
        self._folder = folder
        self._console = console
        self._live_s = live_s
        self._processes: list[subprocess.Popen[str]] = []

    def run(self) -> Figures:
        """The whole story.

        Raises:
            ToolError: A step failed; the error names its command and shows its last words.
        """
        began = time.monotonic()
        self._clean()
        try:
            self._command("kafka", "start")
            traffic = ("--customers", str(CUSTOMERS), "--seed", "7", "--incident-span", "30s")
            self._command(
                *("simulate", PIPELINE, "--history", HISTORY, "--events", str(HISTORY_EVENTS), *traffic),
                *("--to", "history.parquet", "--truth", "truth.parquet"),
            )
            self._command("train", PIPELINE, "--data", "history.parquet", "--truth", "truth.parquet")
            self._command("topics", "create", PIPELINE)
            self._command("produce", "history.parquet", "--topic", "transactions", "--key", "card_hash")
            scorer = self._background("run", PIPELINE, "--json")
            catch_up, live, live_from_ms, watch = self._score(scorer, traffic)
            self._end(scorer)
            watch.close()
            settings = load_settings(folder=self._folder)
            proof = prove(settings, "transactions", "fraud-dead-letters", watch.seen, live_from_ms)
            quality = judge(self._folder / "live.jsonl", watch.seen)
            return Figures(proof, quality, catch_up, live, time.monotonic() - began)
        finally:
            for process in self._processes:
                if process.poll() is None:
                    process.terminate()
                    process.wait(10)
            self._quietly("kafka", "stop")

    def _score(self, scorer: subprocess.Popen[str], traffic: tuple[str, ...]) -> tuple[float, float, int, Watch]:
        """Catches up with history, then follows live traffic; returns both rates and when live traffic began."""
        settings = load_settings(folder=self._folder)
        history = sum(KafkaAdmin(settings).end_offsets(["transactions"]).values())
        watch = Watch(settings, "fraud-scores", "fraud-alerts")
        with Live(console=self._console, refresh_per_second=8, transient=False) as screen:
            first_at: float | None = None
            began = time.monotonic()
            while len(watch.seen) < history:
                if watch.seen and first_at is None:
                    first_at = time.monotonic()
                self._show(screen, watch, scorer, "catching up with history", began)
            catch_up = len(watch.seen) / (time.monotonic() - (first_at or began))
            live_from_ms = time.time_ns() // 1_000_000
            generator = self._background(
                *("simulate", PIPELINE, "--rate", str(RATE_PER_S), "--duration", f"{self._live_s}s", *traffic),
                *("--labels-topic", "none", "--truth", "live.jsonl", "--json"),
            )
            poison = BulkProducer(settings)
            poisoned_at = began = time.monotonic()
            before = len(watch.seen)
            while generator.poll() is None:
                if time.monotonic() - poisoned_at > 1:
                    poisoned_at = time.monotonic()
                    poison.send("transactions", POISON, [b"poison"] * len(POISON))
                self._show(screen, watch, scorer, f"of live traffic, {RATE_PER_S:,}/s and poison", began)
            poison.flush()
            while self._last_statistics(scorer).get("lag") != 0 or len(watch.seen) - before < self._sent():
                self._show(screen, watch, scorer, "of live traffic, done", began)
            live = (len(watch.seen) - before) / (time.monotonic() - began)
        return catch_up, live, live_from_ms, watch

    def _sent(self) -> int:
        """How many live events the generator has reported, 0 until it has."""
        lines = self._log("simulate").read_text(encoding="utf-8").splitlines()
        for line in reversed(lines):
            if line.startswith("{"):
                return int(json.loads(line)["events"])
        return 0

    def _show(self, screen: Live, watch: Watch, scorer: subprocess.Popen[str], doing: str, began: float) -> None:
        if scorer.poll() is not None:
            raise self._failure("run", self._log("run").read_text(encoding="utf-8"))
        if time.monotonic() - began > PATIENCE_S + self._live_s:
            raise ToolError(f"The demo waited for {PATIENCE_S} s in vain while {doing}.", f"See {self._folder}.")
        now = self._last_statistics(scorer)
        p50, p99 = now.get("latency_ms_p50"), now.get("latency_ms_p99")
        latency = "–" if p50 is None else f"{p50:.0f} / {p99:.0f}"
        screen.update(live_screen(watch, doing, time.monotonic() - began, now.get("lag"), latency))
        time.sleep(0.1)

    def _last_statistics(self, scorer: subprocess.Popen[str]) -> dict[str, Any]:
        """The newest line of statistics the scorer has written."""
        lines = self._log("run").read_text(encoding="utf-8").splitlines()
        for line in reversed(lines):
            if line.startswith("{") and line.endswith("}"):
                found: dict[str, Any] = json.loads(line)
                return found
        return {}

    def _end(self, scorer: subprocess.Popen[str]) -> None:
        """SIGTERM: the scorer finishes what is in hand, takes a snapshot and exits with 0."""
        scorer.terminate()
        code = scorer.wait(15)
        if code != 0:
            raise self._failure("run", self._log("run").read_text(encoding="utf-8"))

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────────

    def _clean(self) -> None:
        if self._folder.exists():
            self._quietly("kafka", "clean", "--force")
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)

    def _command(self, *arguments: str) -> None:
        """Runs a step and shows it as one would type it, with what it said."""
        self._console.print(f"[bold blue]$[/] [bold]fraudstream {' '.join(arguments)}[/]", highlight=False)
        done = subprocess.run([*_PROGRAM, *arguments], cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise self._failure(arguments[0], done.stderr or done.stdout)
        here = f"{self._folder.resolve()}/"
        for line in done.stdout.splitlines():
            self._console.print(f"  {line.replace(here, '')}", highlight=False, markup=False, style="dim")

    def _background(self, *arguments: str) -> subprocess.Popen[str]:
        self._console.print(f"[bold blue]$[/] [bold]fraudstream {' '.join(arguments)} &[/]", highlight=False)
        with self._log(arguments[0]).open("w", encoding="utf-8") as log:
            process = subprocess.Popen([*_PROGRAM, *arguments], cwd=self._folder, stdout=log, stderr=log, text=True)
        self._processes.append(process)
        return process

    def _quietly(self, *arguments: str) -> None:
        subprocess.run([*_PROGRAM, *arguments], cwd=self._folder, capture_output=True, check=False)

    def _log(self, command: str) -> Path:
        return self._folder / f"{command}.log"

    def _failure(self, command: str, said: str) -> ToolError:
        last = " ".join(line.strip() for line in said.strip().splitlines()[-3:])
        return ToolError(f"`fraudstream {command}` failed in the demo: {last}", f"Its files are in {self._folder}.")


_PROGRAM = (sys.executable, "-m", "fraudstream")


def summary(figures: Figures) -> Panel:
    """The figures as the demo's last word."""
    proof, quality = figures.proof, figures.quality
    verdict = "[bold green]exactly once[/]" if proof.holds else "[bold red]NOT exactly once[/]"
    text = (
        f"{verdict}   {proof.line()}\n"
        f"throughput     {figures.catch_up_per_s:,.0f} events/s catching up, {figures.live_per_s:,.0f} live\n"
        f"latency        p50 {proof.latency_ms_p50:.0f} ms, p99 {proof.latency_ms_p99:.0f} ms, "
        "from produce to a read_committed consumer, live\n"
        f"alerts         precision {quality.precision:.0%}, recall {quality.recall:.0%} against the simulator's truth "
        f"({quality.frauds} frauds, live)\n"
        f"took           {figures.seconds:.0f} s"
    )
    return Panel(text, title="summary", title_align="left", border_style="green" if proof.holds else "red")
