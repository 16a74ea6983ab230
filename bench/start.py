"""How long a command takes to begin: `import fraudstream` and `fraudstream --help`, beside an empty Python.

python -m bench.start
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

ROUNDS = 15
COMMANDS = {
    "empty_python": ["-c", "pass"],
    "import_fraudstream": ["-c", "import fraudstream"],
    "help": ["-m", "fraudstream", "--help"],
}


def run() -> dict[str, dict[str, float]]:
    """Wall milliseconds, in turn round after round; the first round, which fills caches, does not count."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            if number:
                taken[name].append((time.perf_counter() - started) * 1_000)
    return {name: {"median": median(each), "least": min(each), "most": max(each)} for name, each in taken.items()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
