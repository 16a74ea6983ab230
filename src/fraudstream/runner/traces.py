"""Traces through a scorer: a record's `traceparent` goes on in a span of its decision, and in what is written of it.

Only records whose trace is sampled have any part in this. A portion that holds some gets a span, linked to them; each
of them gets one of its own, a child of the span that sent it, from the moment it is decided to its commit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fraudstream.define.decision import Outcome
from fraudstream.engine.decisions import Decisions
from fraudstream.kafka.headers import Headers
from fraudstream.runner.intake import Place, Portion
from fraudstream.runner.outputs import Coordinates
from fraudstream.telemetry.tracing import Tracing

_PROPAGATOR = TraceContextTextMapPropagator()
_NAMES = {"traceparent", "tracestate"}
_MOST_LINKS = 128
_OUTCOMES = [outcome.value for outcome in Outcome]


@dataclass(slots=True)
class Traced:
    """The spans of a portion: its own, and those of its sampled records."""

    portion: Portion
    whole: Span
    events: dict[Coordinates, Span]


class Traces:
    """Follows sampled records from where they are fetched to their commit.

    Args:
        tracing: Where spans go.
        group: The consumer group.
    """

    def __init__(self, tracing: Tracing, group: str) -> None:
        self._tracing = tracing
        self._group = group
        self._fetched: dict[Place, dict[int, Context]] = {}
        self._open: dict[int, Traced] = {}

    def note(self, messages: Sequence[Any]) -> None:
        """Takes note of the sampled ones among fetched records."""
        for message in messages:
            headers = message.headers()
            if headers:
                context = _sampled(headers)
                if context is not None:
                    place = message.topic(), message.partition()
                    self._fetched.setdefault(place, {})[message.offset()] = context

    def forget(self, next_offsets: Mapping[Place, int]) -> None:
        """Records before these offsets are not decided here: they were before."""
        self._taken(next_offsets)

    def begin_anew(self) -> None:
        """Everything is fetched again; what was decided and not committed is done again, as far as is known."""
        self._fetched.clear()
        for traced in self._open.values():
            for span in (*traced.events.values(), traced.whole):
                span.set_status(Status(StatusCode.ERROR, "the transaction was aborted or in doubt: done again"))
                span.end()
        self._open.clear()

    def begin(self, portion: Portion) -> Mapping[Coordinates, Headers]:
        """The portion is about to be decided; returns what the records written of its sampled ones are to carry."""
        contexts = self._taken(portion.next_offsets)
        if not contexts:
            return {}
        tracer, now_ns = self._tracing.tracer, time.time_ns()
        links = [
            Link(trace.get_current_span(each).get_span_context()) for each in list(contexts.values())[:_MOST_LINKS]
        ]
        about = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "decide",
            "messaging.consumer.group.name": self._group,
        }
        whole = tracer.start_span(
            "decide portion", Context(), SpanKind.CONSUMER, links=links, start_time=now_ns,
            attributes=about | {"messaging.batch.message_count": portion.n_records},
        )  # fmt: skip
        events: dict[Coordinates, Span] = {}
        headers: dict[Coordinates, Headers] = {}
        for (topic, partition, offset), context in contexts.items():
            span = tracer.start_span(
                f"decide {topic}", context, SpanKind.CONSUMER,
                links=[Link(whole.get_span_context())], start_time=now_ns,
                attributes=about | {
                    "messaging.destination.name": topic,
                    "messaging.destination.partition.id": str(partition),
                    "messaging.kafka.offset": offset,
                },
            )  # fmt: skip
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, context))
            events[topic, partition, offset] = span
            headers[topic, partition, offset] = [(name, value.encode()) for name, value in carrier.items()]
        self._open[id(portion)] = Traced(portion, whole, events)
        return headers

    def committed(self, portion: Portion, decisions: Decisions, at_ms: int) -> None:
        """The portion's transaction was answered."""
        traced = self._open.pop(id(portion), None)
        if traced is None:
            return
        batch = decisions.batch
        places = zip(batch.partition.tolist(), batch.offset.tolist(), strict=True)
        for row, (partition, offset) in enumerate(places):
            span = traced.events.get((batch.topic, partition, offset))
            if span is not None:
                span.set_attribute("fraudstream.outcome", _OUTCOMES[decisions.outcome[row]])
                span.set_attribute("fraudstream.sequence", int(decisions.sequence[row]))
        for span in (*traced.events.values(), traced.whole):
            span.end(at_ms * 1_000_000)

    def close(self) -> None:
        """Sends what waits."""
        self._tracing.close()

    def _taken(self, next_offsets: Mapping[Place, int]) -> dict[Coordinates, Context]:
        """The contexts of records before these offsets, which are known no more."""
        taken: dict[Coordinates, Context] = {}
        for place, end in next_offsets.items():
            noted = self._fetched.get(place)
            for offset in [offset for offset in noted or () if offset < end]:
                assert noted is not None
                taken[(*place, offset)] = noted.pop(offset)
        return taken


def _sampled(headers: Sequence[tuple[str, bytes | None]]) -> Context | None:
    """The context that headers carry, if there is a valid one and its trace is sampled."""
    carrier = {name: (value or b"").decode("ascii", "replace") for name, value in headers if name in _NAMES}
    if "traceparent" not in carrier:
        return None
    context = _PROPAGATOR.extract(carrier, Context())
    about = trace.get_current_span(context).get_span_context()
    return context if about.is_valid and about.trace_flags.sampled else None
