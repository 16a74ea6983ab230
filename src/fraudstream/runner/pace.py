"""How far behind the scorer is, and what follows from it: which lanes are read, and how strictly they are merged."""

from __future__ import annotations

import time

from fraudstream.kafka.consumer import InputConsumer
from fraudstream.kafka.partition import TopicPartition
from fraudstream.runner.intake import Intake, Place

LANE_ROWS = 49_152
"""A lane with so many records waiting is paused, so that the others catch up."""
BUSY_ROWS = 2_048
"""From this many waiting records on, the next portion is computed while a commit is on its way."""
CATCHING_UP = 20_000
"""With more records than this to come, the merge by event time is strict."""
CAUGHT_UP = 1_000
"""With fewer than this it is so no more: waiting would cost latency."""
LAG_S = 0.1


class Pace:
    """Keeps watch over lags and lanes.

    Args:
        consumer: Of the input and label topics.
        intake: Holds what was fetched.
    """

    def __init__(self, consumer: InputConsumer, intake: Intake) -> None:
        self._consumer = consumer
        self._intake = intake
        self.lags: dict[Place, int | None] = {}
        self._paused: set[Place] = set()
        self._strict = True
        self._looked_at = time.monotonic()

    def begin(self) -> None:
        """Partitions were assigned or reading began anew: nothing is known, every lane is read."""
        self.lags = {}
        self._strict = True
        if self._paused:
            self._consumer.resume([TopicPartition(*place) for place in self._paused])
            self._paused = set()

    def refresh(self) -> None:
        """Asks how much is still to come."""
        self.lags = self._consumer.lag()
        self._looked_at = time.monotonic()

    def watch(self) -> None:
        """Now and then: how far behind, and whether the merge has to be strict."""
        if time.monotonic() - self._looked_at <= LAG_S:
            return
        self.refresh()
        behind = self.behind()
        if behind is not None:
            self._strict = behind > (CAUGHT_UP if self._strict else CATCHING_UP)

    def frontier(self) -> int | None:
        """How far the merge by event time may go: without limit once caught up."""
        if not self._strict:
            return None
        self.refresh()
        return self._intake.frontier([place for place, lag in self.lags.items() if lag is None or lag > 0])

    def waiting(self) -> dict[Place, int]:
        """How many fetched records of each lane wait."""
        return self._intake.waiting()

    def behind(self) -> int | None:
        """Records not yet decided; None while unknown."""
        if not self.lags or None in self.lags.values():
            return None
        return sum(lag or 0 for lag in self.lags.values()) + self._intake.held

    def is_at_end(self) -> bool:
        """Whether nothing waits, and nothing is to come, at this moment."""
        if self._intake.held or not self._intake.waiting():
            return False
        self.refresh()
        return bool(self.lags) and all(lag == 0 for lag in self.lags.values())

    def has_enough(self, most_rows: int) -> bool:
        """Whether what waits will do for the next portion of at most so many rows.

        Fetching more would fill the lanes until they are paused, and the client throws away what it has fetched ahead
        for a lane that is paused: with one partition that cost half of the speed.
        """
        if self._intake.held < 2 * most_rows:
            return False
        waiting = self._intake.waiting().items()
        return all(rows >= BUSY_ROWS or self.lags.get(place) == 0 for place, rows in waiting)

    def balance(self) -> None:
        """Pauses lanes that are far ahead of the merge, and resumes them when they are not."""
        waiting = self._intake.waiting()
        ahead = {place for place, rows in waiting.items() if rows > LANE_ROWS} - self._paused
        back = {place for place in self._paused if waiting.get(place, 0) < LANE_ROWS // 4}
        if ahead:
            self._consumer.pause([TopicPartition(*place) for place in ahead])
        if back:
            self._consumer.resume([TopicPartition(*place) for place in back])
        self._paused = (self._paused | ahead) - back
