"""All lines of a pipeline, asked at once and shown within seconds, whatever is away."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from fraudstream.kafka.inspect import KafkaInspector
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.status.kept import lake, outbox, sinks, work
from fraudstream.status.line import Line, Seen
from fraudstream.status.model import Drift, model, state
from fraudstream.status.scoring import ASK_S, Scoring, Today, switches

LIMIT_S = 5.0


class Overview(NamedTuple):
    """How a pipeline stands.

    Attributes:
        pipeline: Its name.
        lines: By what they are about.
    """

    pipeline: str
    lines: dict[str, Seen]


class PipelineStatus:
    """The lines of one pipeline; looking again costs less than the first time.

    Args:
        settings: The surroundings.
        plan: The pipeline.
        group: The consumer group of its scorers; `fraudstream-NAME` unless said.
    """

    def __init__(self, settings: Settings, plan: Plan, group: str | None = None) -> None:
        group = group or group_of(plan.pipeline.name)
        self._name = plan.pipeline.name
        self._lines = [
            Line("scoring", Scoring(settings, plan, group)),
            Line("decisions", Today(settings, plan)),
            Line("model", partial(model, settings, plan)),
            Line("switches", partial(switches, settings, plan)),
            Line("state", partial(state, settings, plan, group)),
            Line("sinks", partial(sinks, settings, plan)),
            Line("lake", partial(lake, settings, plan)),
            Line("outbox", partial(outbox, settings)),
            Line("cases", partial(work, settings, plan)),
            Line("drift", Drift(settings, plan)),
        ]

    def ask(self) -> None:
        """Asks every line that has answered."""
        for line in self._lines:
            line.ask()

    def read(self, by_s: float) -> Overview:
        """What the lines say; one that says nothing by then is shown so."""
        return Overview(self._name, {line.name: line.read(by_s) for line in self._lines})


def look(pipelines: Iterable[PipelineStatus], limit_s: float = LIMIT_S) -> list[Overview]:
    """How the pipelines stand, within so many seconds for all of them."""
    each = list(pipelines)
    by_s = time.monotonic() + limit_s
    for status in each:
        status.ask()
    return [status.read(by_s) for status in each]


def group_of(pipeline: str) -> str:
    """The consumer group of a pipeline's scorers."""
    return f"fraudstream-{pipeline}"


def that_have_run(settings: Settings, names: Iterable[str]) -> list[str]:
    """Of these pipelines those whose group Kafka knows.

    Raises:
        BrokerUnreachable: It does not answer.
    """
    inspector = KafkaInspector(settings, timeout_s=ASK_S)
    return [name for name in names if inspector.group(group_of(name)).state != "none"]
