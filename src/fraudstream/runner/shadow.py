"""The shadow: challengers are asked about committed decisions, on a thread, as far as there is time.

Nothing here can change a live decision or hold it up: decisions come after their commit, through a queue that turns
away what it has no room for, and records leave by a producer of their own, outside of any transaction. A crash loses
the few that were waiting; none is written twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, Full, Queue

from fraudstream.engine.decide import Decider
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.encode_shadow import Decided, Why, shadow_records
from fraudstream.errors import FraudstreamError
from fraudstream.kafka.producer import BulkProducer
from fraudstream.models.scorer import OnnxScorer
from fraudstream.plan.plan import Plan
from fraudstream.runner.tally import SCORE_EDGES
from fraudstream.settings import Settings
from fraudstream.telemetry.histogram import Histogram

LOGGER = logging.getLogger("fraudstream.runner")

MOST_WAITING = 4
"""Portions that wait to be shadowed; further ones are passed over, and counted."""
ENDS_WITHIN_S = 2.0


class Shadow:
    """Asks challengers.

    Args:
        plan: The pipeline's plan.
        settings: Which cluster.
        challengers: Gives those there are now.

    Attributes:
        written, skipped: Records written, and decisions that nobody was asked about.
        scores: How the scores of each version are distributed.
    """

    def __init__(self, plan: Plan, settings: Settings, challengers: Callable[[], tuple[OnnxScorer, ...]]) -> None:
        self._settings = settings
        self._topic = plan.pipeline.shadow.name
        self._decider = Decider(plan)
        self._challengers = challengers
        self._waiting: Queue[Decisions | None] = Queue(MOST_WAITING)
        self._producer: BulkProducer | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self.written = 0
        self.skipped = 0
        self.scores: dict[str, Histogram] = {}

    def offer(self, decisions: Decisions) -> None:
        """Takes committed decisions, if there is somebody to ask about them and room."""
        if not self._challengers() or not len(decisions.batch):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="shadow", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(decisions)
        except Full:
            self.skipped += len(decisions.batch)

    def close(self) -> None:
        """Ends the thread, once what waits is done or after two seconds."""
        if self._thread is None:
            return
        self._closing = True
        self._thread.join(ENDS_WITHIN_S)

    def _serve(self) -> None:
        while True:
            try:
                decisions = self._waiting.get(timeout=0.1)
            except Empty:
                if self._closing:
                    break
                continue
            assert decisions is not None
            for challenger in self._challengers():
                self._ask(challenger, decisions)
        if self._producer is not None:
            try:
                self._producer.flush(ENDS_WITHIN_S)
            except FraudstreamError as error:
                LOGGER.warning("the last shadow records are lost: %s", error)

    def _ask(self, challenger: OnnxScorer, decisions: Decisions) -> None:
        decided = Decided.of(decisions)
        try:
            scores = challenger.score(decided.inputs)
            self.scores.setdefault(challenger.version, Histogram(SCORE_EDGES)).add(scores)
            records = shadow_records(
                decided,
                scores,
                self._decider,
                why=Why.CHALLENGER,
                model=challenger.manifest.name,
                version=challenger.version,
            )
            if self._producer is None:
                self._producer = BulkProducer(self._settings)
            self._producer.send(self._topic, records)
            self.written += len(records)
        except FraudstreamError as error:
            LOGGER.warning("shadow records are lost: %s", error)
            self._producer = None
            self.skipped += len(decisions.batch)
        except Exception as error:  # ONNX Runtime has no common base for its errors
            LOGGER.warning("the challenger %s failed: %r", challenger.version, error)
            self.skipped += len(decisions.batch)
