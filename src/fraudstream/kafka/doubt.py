"""The guard of KAFKA-17754: what makes a transaction doubtful although the library says that all is well.

librdkafka retries EndTxn silently after a disconnect or a request timeout. The first EndTxn, delayed on its way, may
then end the *next* transaction of the same producer epoch. A new producer gets a new epoch, which fences what is late:
so after any trouble seen during a transaction the producer is rebuilt, even where its commit was answered with success.

Four witnesses, because none sees everything: the client's log (at once: a lost connection to the coordinator is told
nowhere else before its EndTxn has been retried), the error callback (at once; both leave out an error equal to the last
one for 30 s), the counters of timeouts and disconnects (once a second), and the clock (a request that timed out without
any report takes `socket.timeout.ms`, longer than `slow_commit_ms`). tests/chaos/test_late_end.py shows what happens
without them.
"""

from __future__ import annotations

import msgspec

from fraudstream.kafka.client import LOGGER
from fraudstream.kafka.clientstats import ClientStatistics

_TROUBLES = {"FAIL", "REQTMOUT"}
"""What librdkafka's log lines on lost connections and timed-out requests are marked with."""
STATISTICS_INTERVAL_MS = 1_000


class _Broker(msgspec.Struct):
    req_timeouts: int = 0
    disconnects: int = 0
    source: str = ""  # "configured" is the bootstrap connection, which carries no transaction


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker] = {}


class DoubtWatch:
    """Collects the signs of trouble of one producer; `reason` is None while there are none.

    Args:
        passed_on: Takes the client's statistics, too.
    """

    def __init__(self, passed_on: ClientStatistics | None = None) -> None:
        self._passed_on = passed_on
        self.reason: str | None = None
        self._decoder = msgspec.json.Decoder(_Statistics)
        self._troubles_before: int | None = None

    def log(self, level: int, form: str, *arguments: object) -> None:
        """Stands in as the client's logger: takes note of trouble and passes everything on."""
        if arguments and arguments[0] in _TROUBLES:
            self.reason = self.reason or str(arguments[-1])
        LOGGER.log(level, form, *arguments)

    def on_error(self, error: object) -> None:
        """The client's error callback: disconnects, timeouts, brokers down."""
        self.reason = self.reason or str(error)

    def on_statistics(self, document: str | bytes) -> None:
        """The client's statistics callback: request timeouts and disconnects must not move."""
        brokers = self._decoder.decode(document).brokers.values()
        troubles = sum(b.req_timeouts + b.disconnects for b in brokers if b.source != "configured")
        if self._troubles_before is not None and troubles > self._troubles_before:
            self.reason = self.reason or "a request timed out or a connection was lost"
        self._troubles_before = troubles
        if self._passed_on is not None:
            self._passed_on.take(document)

    def forget(self) -> str | None:
        """Hands out the reason and begins anew; for what happened before the first transaction of a producer."""
        reason, self.reason = self.reason, None
        return reason
