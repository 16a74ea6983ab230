"""From a pipeline's topics into somebody else's system: batches, retries, and a place that is kept in the store.

A batch is delivered first and the offsets after it are written then, so what is killed in between is delivered again:
at least once. A system that knows a document by its id has it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fraudstream.define.pipeline import Pipeline
from fraudstream.engine.alerts import Document, NotAnAlert, input_topic_of, read_alert
from fraudstream.errors import FraudstreamError, StoreUnreachable
from fraudstream.kafka.tail import Record
from fraudstream.sinks.delivery import Refused, Sink, SinkUnavailable
from fraudstream.sinks.loop import next_offsets
from fraudstream.store import offsets
from fraudstream.store.engine import Store
from fraudstream.telemetry.series import Series, counter


class AlertTarget:
    """A sink as the target of one pipeline's alerts, or of all its decisions.

    Args:
        sink: Where to.
        store: Where its place is kept.
        pipeline: Whose alerts.
        name: The sink's name; the place is known by it and by the pipeline's.
        refusals: The file in which what the system refuses is noted, by its coordinates.

    Attributes:
        delivered: How many were delivered.
        refused: How many the system refused for good.
        others: Records that no scorer wrote.
    """

    unavailable: tuple[type[FraudstreamError], ...] = (SinkUnavailable, StoreUnreachable)

    def __init__(self, sink: Sink, store: Store, pipeline: Pipeline, name: str, refusals: Path) -> None:
        self._sink = sink
        self._store = store
        self._pipeline = pipeline
        self._name = f"{name}-{pipeline.name}"
        self._refusals = refusals
        self._believed: Mapping[offsets.Place, int] = {}
        self.delivered = 0
        self.refused = 0
        self.others = 0

    def positions(self) -> Mapping[offsets.Place, int]:
        """Up to where everything has been delivered.

        Raises:
            StoreUnreachable: The store does not answer.
        """
        with self._store.begin(read_only=True) as connection:
            self._believed = offsets.next_offsets(connection, self._name)
        return self._believed

    def write(self, records: Sequence[Record]) -> None:
        """Delivers, then writes the offsets.

        Raises:
            SinkUnavailable: Not everything was delivered, or noted as refused; all of it will be read again.
            StoreUnreachable: The store went away.
            FencedError: Another process is the same sink.
        """
        alerts, others = self._read(records)
        refused: list[Refused] = []
        for first in range(0, len(alerts), self._sink.most_alerts):
            refused += self._sink.deliver(alerts[first : first + self._sink.most_alerts])
        if refused:
            self._note(refused)
        after = next_offsets(records)
        with self._store.begin() as connection:
            offsets.move_on(connection, self._name, self._believed, after)
        self._believed = {**self._believed, **after}
        self.delivered += len(alerts) - len(refused)
        self.refused += len(refused)
        self.others += others

    def series(self) -> Iterable[Series]:
        """What became of the alerts."""
        counts = {"delivered": self.delivered, "refused": self.refused, "foreign": self.others}
        yield counter("sink_alerts_total", "Alerts by what became of them.", counts, "result")

    def _read(self, records: Sequence[Record]) -> tuple[list[Document], int]:
        alerts: list[Document] = []
        others = 0
        for record in records:
            value = record.value or b""
            try:
                if input_topic_of(value) == self._pipeline.input.name:
                    alerts.append(read_alert(self._pipeline, value, record.key))
            except NotAnAlert:
                others += 1
        return alerts, others

    def _note(self, refused: Sequence[Refused]) -> None:
        """Coordinates and reason of each, one JSON object a line; what they hold stays on the topic."""
        noted = (
            {"pipeline": self._pipeline.name, "alert_id": each["alert_id"], "reason": why} for each, why in refused
        )
        try:
            self._refusals.parent.mkdir(parents=True, exist_ok=True)
            with self._refusals.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line) + "\n" for line in noted))
        except OSError as failed:  # what was refused may not be passed over unseen
            raise SinkUnavailable(
                f"{len(refused)} alerts were refused, and {self._refusals} cannot be written: "
                f"{failed.strerror or type(failed).__name__}."
            ) from None
