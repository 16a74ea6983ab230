"""Questions asked at once, each with a limit of time: what hangs holds up neither the others nor the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Asked(Generic[Answer]):
    """A question on a thread of its own, which ends with the process at the latest.

    Args:
        question: What to ask.
    """

    def __init__(self, question: Callable[[], Answer]) -> None:
        self._question = question
        self._answer: list[Answer] = []
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def answer(self, by_s: float) -> Answer:
        """The answer; what the question raised is raised here.

        Args:
            by_s: Until when to wait, by `time.monotonic`.

        Raises:
            TimeoutError: There is none yet.
        """
        self._thread.join(max(0.0, by_s - time.monotonic()))
        if self._failed is not None:
            raise self._failed
        if not self._answer:
            raise TimeoutError
        return self._answer[0]

    def _ask(self) -> None:
        try:
            self._answer.append(self._question())
        except Exception as failed:
            self._failed = failed


def ask_all(questions: Mapping[str, Callable[[], Answer]], limit_s: float) -> dict[str, Answer | Exception]:
    """The answers by name; in place of one that failed its exception, of one that is late a TimeoutError."""
    by_s = time.monotonic() + limit_s
    asked = {name: Asked(question) for name, question in questions.items()}
    found: dict[str, Answer | Exception] = {}
    for name, each in asked.items():
        try:
            found[name] = each.answer(by_s)
        except Exception as failed:
            found[name] = failed
    return found
