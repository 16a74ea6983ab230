"""Starts scorers quickly: one process loads everything once and forks a scorer for every line it is given.

A fresh `fraudstream run` spends two seconds on imports, which are not what the faults are aimed at. Each child is a
process of its own with its own client library, started before any thread exists, and runs the real command.

    stdin:   {"arguments": […], "environment": {…}, "folder": "…", "log": "…", "clock": [MS, DRIFT]}
    stdout:  {"started": PID}   {"ended": PID, "code": EXIT CODE OR -SIGNAL}
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any


def set_clock(wrong_by_ms: int, drift: float) -> None:
    """Makes this process believe in another time of day; the monotonic clock, and so all waiting, stays as it is.

    What libfaketime would do to Python's part. The client library keeps the right time, which nothing is computed from.
    """
    real_ns, began_ns = time.time_ns, time.time_ns()

    def wrong_ns() -> int:
        now = real_ns()
        return now + wrong_by_ms * 1_000_000 + int((now - began_ns) * drift)

    time.time_ns = wrong_ns
    time.time = lambda: wrong_ns() / 1e9


def be_scorer(order: dict[str, Any]) -> None:
    """Runs the command in this process, which ends with it."""
    code = 1
    try:
        os.setsid()
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        faulthandler.register(signal.SIGUSR1, sys.stderr)  # where it stands, for a test that waits in vain
        set_clock(*order["clock"])
        sys.argv = ["fraudstream", *order["arguments"]]
        from fraudstream.cli.main import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)  # as Python ends: None is 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def load(pipeline: str) -> None:
    """Imports and compiles what a scorer needs, and starts no thread."""
    importlib.import_module("fraudstream.cli.run")
    importlib.import_module("fraudstream.runner.start")
    importlib.import_module("fraudstream.cli.main")
    from fraudstream.engine.decode import Decoder
    from fraudstream.engine.program import Program
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.warmup import warm_up

    plan = find_plan(pipeline)
    warm_up(Program(plan, None), Decoder(plan.pipeline.event))


def main() -> None:
    """Serves until its input ends."""
    for name in [name for name in os.environ if name.startswith("FRAUDSTREAM_")]:
        del os.environ[name]
    load(sys.argv[1])
    say = sys.stdout
    print(json.dumps({"ready": os.getpid()}), file=say, flush=True)
    children = 0
    while True:
        readable, _, _ = select.select([0], [], [], 0.01)
        if readable:
            line = sys.stdin.buffer.readline()
            if not line:
                return
            if (pid := os.fork()) == 0:
                be_scorer(json.loads(line))
            children += 1
            print(json.dumps({"started": pid}), file=say, flush=True)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            children -= 1
            print(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}), file=say, flush=True)


if __name__ == "__main__":
    main()
