"""A line of the status: a question that is asked again and again, and that nobody waits for longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from fraudstream.errors import FraudstreamError
from fraudstream.in_time import Asked


class Seen(NamedTuple):
    """What a line shows.

    Attributes:
        text: For people.
        figures: The same for machines.
    """

    text: str
    figures: dict[str, Any]


class Line:
    """One line.

    A question that has not been answered yet is not asked a second time beside itself: it is waited for further.

    Args:
        name: What it is about.
        look: The question.
    """

    def __init__(self, name: str, look: Callable[[], Seen]) -> None:
        self.name = name
        self._look = look
        self._asked: Asked[Seen] | None = None
        self._since_s = 0.0

    def ask(self) -> None:
        """Asks, unless the last question is still being answered."""
        if self._asked is None:
            self._asked, self._since_s = Asked(self._look), time.monotonic()

    def read(self, by_s: float) -> Seen:
        """The answer, or what is in its way; `by_s` as of `time.monotonic`."""
        assert self._asked is not None, "asked before"
        try:
            seen = self._asked.answer(by_s)
        except TimeoutError:
            return _trouble(f"no answer for {time.monotonic() - self._since_s:.0f} s")
        except FraudstreamError as failed:
            seen = _trouble(failed.found or str(failed))
        except Exception as failed:  # a line that fails is no reason not to show the others
            seen = _trouble(f"{type(failed).__name__}: {failed}")
        self._asked = None
        return seen


def _trouble(what: str) -> Seen:
    return Seen(f"? {what}", {"trouble": what})
