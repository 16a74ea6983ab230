"""Past events and labels as the operational store keeps them (`fraudstream sink store`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from sqlalchemy import Text, cast, select

from fraudstream.errors import DataError
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.store.migrate import open_store
from fraudstream.store.tables import decisions, labels
from fraudstream.training.files import Lines
from fraudstream.training.truth import Truth, truth_of_ids

_ROWS_AT_ONCE = 50_000


class StoreSource(Lines):
    """The events of a pipeline that the store has decisions of, ordered as a topic's: by offset, then by partition.

    Args:
        settings: Which store.
        plan: Whose events.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or is not ready.
        DataError: Nothing is kept there.
    """

    def __init__(self, settings: Settings, plan: Plan) -> None:
        store, pipeline = open_store(settings), plan.pipeline
        wanted = (
            select(
                cast(decisions.c.event, Text),
                decisions.c.event_at,
                decisions.c.input_offset,
                decisions.c.input_partition,
            )
            .where(decisions.c.pipeline == pipeline.name, decisions.c.input_topic == pipeline.input.name)
            .order_by(decisions.c.input_offset, decisions.c.input_partition, decisions.c.decided_at)
        )
        lines: list[bytes] = []
        at_ms: list[int] = []
        before = None
        with store.begin(read_only=True) as connection:
            rows = connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE).execute(wanted)
            for event, event_at_ms, *place in rows:
                if place != before:  # a decision made again is about the same event
                    lines.append(event.encode())
                    at_ms.append(-1 if event_at_ms is None else event_at_ms)
                before = place
        if not lines:
            raise DataError(
                f"{store.name} has no decisions of {pipeline.name} on {pipeline.input.name}.",
                "Fill it with `fraudstream sink store`.",
            )
        super().__init__(f"store of {pipeline.name}", lines, np.array(at_ms, np.int64))


def truth_of_store(settings: Settings, plan: Plan) -> Truth:
    """The truth as the labels in the store tell it.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or is not ready.
        DataError: Events have no id, or there are no labels.
    """
    if plan.pipeline.event.id is None:
        raise DataError("Labels name events by their id, and events of this pipeline have none.", "Use --label COLUMN.")
    store = open_store(settings)
    wanted = select(labels.c.event_id, labels.c.label, labels.c.labelled_at).where(
        labels.c.pipeline == plan.pipeline.name
    )
    with store.begin(read_only=True) as connection:
        rows = connection.execute(wanted).all()
    if not rows:
        raise DataError(f"{store.name} has no labels of {plan.pipeline.name}.", "Use --label COLUMN, or --truth.")
    ids, words, at_ms = zip(*rows, strict=True)
    fraud = np.array([word == "fraud" for word in words], np.bool_)
    source = f"the labels in {store.name}"
    series = pl.Series(ids, dtype=pl.String)
    found = truth_of_ids(series, fraud, np.array(at_ms, np.int64), plan.pipeline.event, source)
    return replace(found, still_coming=True)
