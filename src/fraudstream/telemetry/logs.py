"""Log lines on stderr: text for a person, or one JSON object a line for a machine.

What a line is about rides along as `extra`: its kind, and the coordinates of a record where there are any.

    LOGGER.warning("done again: %s", reason, extra={"kind": "rewind", "topic": "events", "partition": 0, "offset": 7})
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any

TEXT = "%(levelname)s %(name)s: %(message)s"
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object.

    Attributes:
        about: What every line says, such as the pipeline's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.about: dict[str, str] = {}

    def format(self, record: logging.LogRecord) -> str:
        """The line: when, how grave, by which part, what, and its fields."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self.about,
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


_json: JsonLines | None = None


def begin_json() -> None:
    """From now on all that is logged, warned of or raised by threads is a JSON object on a line of stderr."""
    global _json
    if _json is not None:
        return
    _json = JsonLines()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("fraudstream").setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended


def begin_text() -> None:
    """From now on warnings are lines of text, unless lines are JSON."""
    if _json is None:
        logging.basicConfig(level=logging.WARNING, format=TEXT)


def describe(**about: str) -> None:
    """What every JSON line says from now on."""
    if _json is not None:
        _json.about |= about


def is_json() -> bool:
    """Whether lines are JSON."""
    return _json is not None


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is not SystemExit and ended.exc_value is not None:
        name = "a thread" if ended.thread is None else f"the thread {ended.thread.name}"
        about = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        logging.getLogger("fraudstream").critical("%s ended: %r", name, ended.exc_value, exc_info=about)
