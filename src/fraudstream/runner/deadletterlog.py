"""What became dead letters, in the log: a line for each class now and then, however many there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from fraudstream.runner.intake import Rejected

LOGGER = logging.getLogger("fraudstream.runner")

EVERY_S = 10.0


class DeadLetterLog:
    """Tells of dead letters by class, with the place of one of them; the values stay in the topic."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, Rejected] = {}
        self._told_at_s = -EVERY_S

    def add(self, rejected: Sequence[Rejected]) -> None:
        """Takes what was committed as dead letters."""
        for each in rejected:
            kind = each.reject.kind.value
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._first.setdefault(kind, each)

    def tell(self, *, at_once: bool = False) -> None:
        """Logs what has come since the last time, at most once in ten seconds unless `at_once`."""
        now_s = time.monotonic()
        if not self._counts or (now_s - self._told_at_s < EVERY_S and not at_once):
            return
        self._told_at_s = now_s
        for kind, count in sorted(self._counts.items()):
            first = self._first[kind]
            LOGGER.warning(
                "%d dead letter%s of the class %s, the first for offset %d of %s, partition %d",
                count, "s" * (count > 1), kind, first.offset, first.topic, first.partition,
                extra={
                    "kind": "dead_letters", "class": kind, "count": count,
                    "topic": first.topic, "partition": first.partition, "offset": first.offset,
                },
            )  # fmt: skip
        self._counts.clear()
        self._first.clear()
