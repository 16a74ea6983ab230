"""State-only replay: from a snapshot's offsets to the committed ones, deciding nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from fraudstream.runner.intake import Intake, Place

LOGGER = logging.getLogger("fraudstream.runner")


class Replay:
    """How far a recovery has come.

    Args:
        start: The next offset to process of each place the state has read from.
        committed: The offsets to reach.
        places: All places assigned; those without a committed offset have nothing to replay.
    """

    def __init__(self, start: Mapping[Place, int], committed: Mapping[Place, int], places: Iterable[Place]) -> None:
        self.stop_at = {place: committed.get(place, 0) for place in places}
        self._start = {place: start.get(place, 0) for place in self.stop_at}
        self._fetched = dict(self._start)

    def fetched(self, next_offsets: Mapping[Place, int]) -> None:
        """Takes note of what has come in."""
        for place, offset in next_offsets.items():
            if place in self._fetched:
                self._fetched[place] = max(self._fetched[place], offset)

    def behind(self, lags: Mapping[Place, int | None]) -> list[Place]:
        """The places from which records below their target may still come."""
        return [
            place for place, offset in self._fetched.items() if offset < self.stop_at[place] and lags.get(place) != 0
        ]

    def done(self, intake: Intake, lags: Mapping[Place, int | None]) -> bool:
        """Whether everything below the committed offsets has been processed."""
        return not self.behind(lags) and not intake.waiting_below(self.stop_at)

    def warn_of_gone(self, beginnings: Mapping[Place, int]) -> None:
        """Says where the log begins later by now than the replay had to, if it does anywhere."""
        gone = [
            f"{topic} {partition} begins at offset {beginnings[topic, partition]}, the state is rebuilt from {start} on"
            for (topic, partition), start in sorted(self._start.items())
            if start < min(beginnings.get((topic, partition), 0), self.stop_at[topic, partition])
        ]
        if gone:
            LOGGER.warning(
                "events that were decided are no longer in the log, and features that look back to them are short: %s",
                "; ".join(gone),
                extra={"kind": "short"},
            )
