"""Places where a scorer can be made to die, so that tests can show what a death there leaves behind.

    FRAUDSTREAM_TEST_MODE=1 FRAUDSTREAM_FAILPOINT=after-offsets:3:20 fraudstream run …

kills the process (SIGKILL) the third time it comes by `after-offsets`, 20 ms later: meanwhile its other threads, and
with them the client library's, go on. Nothing is armed unless both variables are set; the first without the second is
refused, so that production cannot be made to die by a variable that was left behind. Off, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fraudstream.errors import SettingError

FAILPOINT = "FRAUDSTREAM_FAILPOINT"
TEST_MODE = "FRAUDSTREAM_TEST_MODE"
POINTS = (
    "init",
    "after-poll",
    "after-state",
    "after-begin",
    "after-first-produce",
    "before-offsets",
    "after-offsets",
    "after-commit",
    "mid-snapshot",
    "before-folder-sync",
    "restore",
    "replay",
    "revoke",
    "drain",
)
"""Every point, in the order in which a scorer's life first comes by; the last two when it ends."""


@dataclass(slots=True)
class _Armed:
    name: str
    left: int
    delay_s: float
    lock: threading.Lock = field(default_factory=threading.Lock)


_armed: _Armed | None = None


def arm(environ: Mapping[str, str] | None = None) -> None:
    """Arms the point that the environment names, if it names one.

    Raises:
        SettingError: A point is named outside test mode, or there is none of this name.
    """
    global _armed
    environ = os.environ if environ is None else environ
    text = environ.get(FAILPOINT, "")
    _armed = None
    if not text:
        return
    if environ.get(TEST_MODE) != "1":
        raise SettingError(
            f"The environment variable {FAILPOINT} is {text!r}: this process would kill itself.",
            f"It is for tests, which set {TEST_MODE}=1 as well. Unset it.",
        )
    name, *numbers = text.split(":")
    if name not in POINTS or len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise SettingError(
            f"The environment variable {FAILPOINT} is {text!r}.",
            f"Write NAME, NAME:HIT or NAME:HIT:MILLISECONDS; names are {', '.join(POINTS)}.",
        )
    hit_number, delay_ms = (*map(int, numbers), *(1, 0)[len(numbers) :])
    _armed = _Armed(name, hit_number, delay_ms / 1_000)


def hit(name: str) -> None:
    """Passes a point; does not return where that is the armed one's turn."""
    if _armed is None or _armed.name != name:
        return
    with _armed.lock:
        _armed.left -= 1
        if _armed.left != 0:
            return
    time.sleep(_armed.delay_s)
    os.kill(os.getpid(), signal.SIGKILL)
