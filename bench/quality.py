"""How good the decisions are, on third-party data, by the product's own commands.

    python -m bench.quality DATA_FOLDER

`evaluate` of `terminal-payments` on the transactions of the Fraud Detection Handbook, with labels that take seven days
and with labels that take one, by the Handbook's protocol: four test weeks, known compromised cards left out. `train` of
`card-payments` on a sample of the card data of the Université Libre de Bruxelles, split by time, and of the reference
model on the whole Handbook month. Writes bench/quality.json and the table of README.md.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULT = Path(__file__).with_name("quality.json")
README = Path(__file__).resolve().parents[1] / "README.md"
HANDBOOK, ULB = "handbook_transactions.parquet", "ulb_creditcard_sample.parquet"
EVALUATIONS = {
    "delay_7d": ("7d", "7d", "2018-08-08"),
    "delay_1d": ("7d", "1d", "2018-08-08"),
    "delay_1d_stopped": ("1d", "1d", "2018-08-02"),
}
"""How long until a card is stopped, until a label reaches the features, and the first test day.

The first two are of the same payments, so that they tell what faster labels are worth; in the third the cards of known
frauds are left out after a day, too, which takes the easy frauds from the test. Training ends on the same days.
"""
_MARKED = re.compile(r"(<!-- quality -->\n).*?(<!-- end of quality -->)", re.DOTALL)
MEASURES = {"ap": "ap", "auc": "auc", "cp100": "cp"}
CEILING = "The most that can be had: a filter that knows how the data were made"
OTHERS = {
    "delay_7d": {
        "A random forest on the Handbook's 15 features": (0.672, 0.870, 0.299),
        "The best XGBoost the Handbook publishes": (0.694, 0.871, 0.304),
        CEILING: (0.765, 0.885, 0.310),
    },
    "delay_1d": {CEILING: (0.931, 0.973, 0.391)},
}
"""AP, AUC and CP@100 on the same payments: by Le Borgne et al., and of a Bayes filter that knows the generator."""
NAMES = {
    "delay_7d": "7 days",
    "delay_1d": "1 day, the same payments",
    "delay_1d_stopped": "1 day, without cards known by then",
}


def run(folder: Path, *arguments: str) -> tuple[dict[str, Any], float]:
    """What a command printed as JSON, and its wall clock in seconds."""
    started = time.monotonic()
    command = [sys.executable, "-m", "fraudstream", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout), time.monotonic() - started


def peak_mb() -> int:
    """The most memory that any command so far has had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def judged(folder: Path, data: Path, stopped_after: str, labels_after: str, first_day: str) -> dict[str, Any]:
    """The measures of one evaluation: means over the four weeks, and their spreads."""
    found, seconds = run(
        folder, "evaluate", "terminal-payments", "--data", str(data / HANDBOOK), "--label", "TX_FRAUD",
        "--label-delay", stopped_after, "--feature-delay", labels_after, "--test-from", first_day,
    )  # fmt: skip
    measures = found["measures"]
    result: dict[str, Any] = {}
    for name, key in MEASURES.items():
        result[name] = round(measures[key]["mean"], 4)
        result[f"{name}_spread"] = round(measures[key]["spread"], 4)
    return result | {"seconds": round(seconds, 1), "weeks": found["folds"]}


def card_payments(folder: Path, data: Path) -> dict[str, Any]:
    """The model of `card-payments` on real V features: the first 70 % of events train, the rest test."""
    missing = [word for name in ("transaction_id", "card_hash", "merchant_category") for word in ("--without", name)]
    found, seconds = run(
        folder, "train", "card-payments", "--data", str(data / ULB), "--label", "Class", "--test-share", "0.3",
        "--column", "amount=Amount", "--column", "timestamp=Time", *missing,
    )  # fmt: skip
    metrics = found["metrics"]
    return {
        "ap": round(metrics["average_precision"], 4), "auc": round(metrics["auc_roc"], 4), "seconds": round(seconds, 1),
    }  # fmt: skip


def reference_model(folder: Path, data: Path) -> dict[str, Any]:
    """How long it takes to make the model that `terminal-payments` ships the definition of."""
    found, seconds = run(
        folder, "train", "terminal-payments", "--data", str(data / HANDBOOK), "--label", "TX_FRAUD",
        "--train-span", "28d",
    )  # fmt: skip
    return {"seconds": round(seconds, 1), "events": found["rows"], "trained_on": found["trained_on"]}


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| labels come after | model | AP | AUC | CP@100 |", "|---|---|---|---|---|"]
    for name, after in NAMES.items():
        for title, figures in OTHERS.get(name, {}).items():
            lines.append(f"| {after} | {title} | " + " | ".join(f"{each:.3f}" for each in figures) + " |")
        each = result[name]
        cells = (f"{each[m]:.3f} ± {each[f'{m}_spread']:.3f}" for m in MEASURES)
        lines.append(f"| {after} | **`terminal-payments`** | {' | '.join(cells)} |")
    cards, model = result["card_payments"], result["reference_model"]
    said = (
        f"`card-payments` on real card data, the last 30 % of it: AP {cards['ap']:.3f}, AUC {cards['auc']:.3f}. "
        f"The whole evaluation at 7 days takes {result['delay_7d']['seconds']:.0f} s, training the model from "
        f"{model['events']:,} events {model['seconds']:.0f} s, and at most {result['peak_memory_mb']:,} MB."
    )
    return "\n".join(lines) + f"\n\n{said}\n"


def filled(readme: str, result: dict[str, Any]) -> str:
    """The README with the figures of the result."""
    return _MARKED.sub(lambda found: found[1] + table(result) + found[2], readme)


def main() -> None:
    """The program."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / HANDBOOK).is_file():
        sys.exit(f"usage: python -m bench.quality DATA_FOLDER, which holds {HANDBOOK} and {ULB}")
    data = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        result: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": "make quality",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        for name, how in EVALUATIONS.items():
            result[name] = judged(folder, data, *how)
        result["card_payments"] = card_payments(folder, data)
        result["reference_model"] = reference_model(folder, data)
        result["peak_memory_mb"] = peak_mb()
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    README.write_text(filled(README.read_text(encoding="utf-8"), result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
