"""`fraudstream simulate`: transactions with fraud among them, to Kafka or into files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.observed import observed
from fraudstream.cli.options import (
    AsJson,
    BootstrapServers,
    ConfigFile,
    LogFormat,
    MetricsPort,
    SetValues,
    settings_from,
)
from fraudstream.cli.traffic import (
    duration_ms,
    instant_ms,
    progress_line,
    stop_on_signals,
    summary_of,
    summary_text,
)
from fraudstream.define.pipeline import Format, Pipeline
from fraudstream.errors import UsageError
from fraudstream.settings import Settings

if TYPE_CHECKING:
    from fraudstream.simulate.delivery import Delivered, Pace
    from fraudstream.simulate.labels import LabelQueue
    from fraudstream.simulate.stream import Chunk, Traffic

DEFAULT_RATE_PER_S = 100.0
HIGHEST_RATE_PER_S = 50_000.0
DEFAULT_FILE_EVENTS = 100_000
DEFAULT_FILE_START = "2026-01-01"
LIVE_CHUNK_S = 0.25
DEFAULT_LIVE_INCIDENT_SPAN = "30s"


@dataclass(frozen=True)
class Extent:
    """How much is simulated and where in time: see `_extent`."""

    start_at_ms: int
    events: int | None
    duration_ms: int | None
    rate_per_s: float | None
    live: bool


@dataclass(frozen=True)
class Targets:
    """Where events go: a file, or else a topic; and where labels and the truth go, if anywhere.

    Attributes:
        written: Makes a topic's records of the events' JSON; None where they are JSON.
    """

    file: Path | None
    topic: str
    labels_topic: str | None
    truth: Path | None
    written: Callable[[Sequence[bytes]], Sequence[bytes]] | None = None


def command(
    name: Annotated[str, typer.Argument(help="The event form: the name of the pipeline that reads it.")],
    to: Annotated[str, typer.Option("--to", help="kafka, or a file FILE.jsonl or FILE.parquet.")] = "kafka",
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", envvar="TRANSACTIONS_PER_SECOND", help="Events per second of wall time, up to 50,000; Kafka: 100."
        ),
    ] = None,
    events: Annotated[int | None, typer.Option("--events", min=1, help="Stop after so many.")] = None,
    duration: Annotated[str | None, typer.Option("--duration", help="Stop after so long, e.g. 10m.")] = None,
    history: Annotated[
        str | None, typer.Option("--history", help="So much event time ending now, e.g. 30d, as fast as it goes.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="Where event time begins (UTC), e.g. 2026-01-31.")
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", help="Topic of the events.")] = None,
    labels_topic: Annotated[
        str | None, typer.Option("--labels-topic", help="Topic of the late labels; default: the pipeline's. none: off.")
    ] = None,
    label_delay: Annotated[str, typer.Option("--label-delay", help="Mean time until fraud is known.")] = "7d",
    label_all: Annotated[bool, typer.Option("--label-all", help="Also label what is legitimate.")] = False,
    fraud: Annotated[
        str | None,
        typer.Option("--fraud", metavar="PATTERN=SHARE,…", help="Fraud patterns and their shares; none: no fraud."),
    ] = None,
    incident_span: Annotated[
        str | None, typer.Option("--incident-span", help="The longest an incident of fraud takes; with --rate: 30s.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="FILE", help="Write the truth to a .jsonl or .parquet file.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same events.")] = 1,
    customers: Annotated[int, typer.Option("--customers", help="How many customers.")] = 50_000,
    terminals: Annotated[int, typer.Option("--terminals", help="How many terminals or merchants.")] = 10_000,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Generate transactions with fraud among them, live or as history.

    The truth is never in an event: it goes to --truth and, late, to the labels topic of a pipeline that reads one.

    Fraud patterns are high_amounts, micro_payments, round_amounts, bursts, location_mismatch, impossible_travel,
    new_device, terminal_compromise and mule_fan_in; which of them fit depends on the event form.
    """
    from fraudstream.pipelines import find_pipeline
    from fraudstream.simulate.delivery import Pace
    from fraudstream.simulate.forms.catalog import find_form
    from fraudstream.simulate.labels import LabelQueue
    from fraudstream.simulate.patterns.catalog import parse_shares
    from fraudstream.simulate.stream import Traffic

    form = find_form(name)
    shares = parse_shares(name, fraud)
    to_kafka = to == "kafka"
    lead_ms = 300 + customers // 200
    extent = _extent(to_kafka, rate, events, duration, history, start, lead_ms)
    delay_ms = duration_ms("--label-delay", label_delay)
    settings = (
        settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
        if to_kafka
        else None
    )
    if settings is not None:
        # The pipeline says where events and labels go; its file may name a topic by an environment variable.
        pipeline = find_pipeline(name, settings.pipelines_folder)
        topic = topic or pipeline.input.name
        if labels_topic is None and pipeline.labels is not None:
            labels_topic = pipeline.labels.name
    topic = topic or form.topic
    written = None if settings is None else _written(pipeline, topic, settings)
    labelled = to_kafka and form.id_column is not None and labels_topic not in (None, "none")
    if label_all and not labelled:
        raise _nothing_to_label(name, to_kafka=to_kafka, has_id=form.id_column is not None)
    if truth is not None and not to_kafka and truth.resolve() == Path(to).resolve():
        raise UsageError(f"--to and --truth both name {to}.", "Events and their truth are kept apart: give two files.")
    labels = LabelQueue(delay_ms, seed, "simulator", label_all=label_all) if labelled else None
    # A live chunk is made while the one before it is sent; short ones keep memory small and the start quick.
    chunk_events = max(1, int(extent.rate_per_s * LIVE_CHUNK_S)) if extent.rate_per_s else 50_000
    live_span = DEFAULT_LIVE_INCIDENT_SPAN if extent.rate_per_s else None
    span = incident_span or live_span
    traffic = Traffic(
        name, extent.start_at_ms, seed, customers, terminals, extent.events, extent.duration_ms, extent.rate_per_s,
        shares, None if span is None else duration_ms("--incident-span", span), chunk_events,
    )  # fmt: skip
    if extent.rate_per_s and extent.rate_per_s * 60 > customers:
        each = extent.rate_per_s * 60 / customers
        show_note(f"note: each customer makes {each:.1f} transactions a minute; more --customers make it fewer.")
    done, by_pattern = _send(
        traffic,
        Targets(None if to_kafka else Path(to), topic, labels_topic if labelled else None, truth, written),
        labels,
        settings,
        Pace(live=extent.live) if extent.rate_per_s else None,
    )
    if as_json:
        show_json(summary_of(done, to=topic if to_kafka else to, fraud_by_pattern=by_pattern))
        return
    print(summary_text(done, topic if to_kafka else to, labels_topic if labelled else None))
    print(f"fraud: {done.fraud:,} events" + "".join(f" · {n} {c:,}" for n, c in by_pattern.items()))
    if truth is None and not labelled and done.fraud:
        show_note("note: no labels are sent; --truth FILE writes which events are fraud.")


def _written(pipeline: Pipeline, topic: str, settings: Settings) -> Callable[[Sequence[bytes]], Sequence[bytes]] | None:
    """What makes the input's records of the events' JSON; None where they are that."""
    if pipeline.input.format is Format.JSON:
        return None
    from fraudstream.kafka.subjects import records_for

    return records_for(pipeline, pipeline.input.format, topic, settings)


def _nothing_to_label(name: str, *, to_kafka: bool, has_id: bool) -> UsageError:
    """Why `--label-all` cannot be had."""
    if not has_id:
        return UsageError(f"{name} events have no id, so there is nothing to label.", "Use --truth FILE.")
    if not to_kafka:
        return UsageError("Labels go to a topic, and the events to a file.", "Leave out --label-all; use --truth FILE.")
    return UsageError(f"There is no topic for the labels of {name}.", "Name one with --labels-topic.")


def _send(
    traffic: Traffic, targets: Targets, labels: LabelQueue | None, settings: Settings | None, pace: Pace | None
) -> tuple[Delivered, dict[str, int]]:
    """Simulates into the targets; returns what was sent, and the fraudulent events by pattern.

    Args:
        traffic: What to simulate.
        targets: Where to.
        labels: Where labels wait for their time; None without labels.
        settings: Which Kafka; None for files only.
        pace: How event time follows the clock; None for as fast as it goes.
    """
    from fraudstream.simulate.delivery import Delivery
    from fraudstream.simulate.outputs import TableFile, truth_of
    from fraudstream.simulate.patterns.catalog import NAMES
    from fraudstream.simulate.stream import stream

    patterns: Counter[int] = Counter()
    with ExitStack() as open_:
        producer = None
        if settings is not None:
            from fraudstream.kafka.producer import BulkProducer, require_topics

            require_topics(settings, filter(None, (targets.topic, targets.labels_topic)))
            producer = BulkProducer(settings)
        batches = stream(traffic)
        out = open_.enter_context(TableFile(targets.file)) if targets.file else None
        truth = open_.enter_context(TableFile(targets.truth)) if targets.truth else None

        def emit(chunk: Chunk, part: slice) -> None:
            if producer is not None:
                values = chunk.values[part] if targets.written is None else targets.written(chunk.values[part])
                producer.send(targets.topic, values, chunk.keys[part])
            if out is not None:
                out.add(chunk.frame[part], chunk.values[part])
            if truth is not None:
                truth.add(truth_of(chunk, part))
            patterns.update(chunk.pattern[part][chunk.is_fraud[part]].tolist())

        def emit_labels(label_values: list[bytes], keys: list[bytes]) -> None:
            if producer is not None and targets.labels_topic is not None:
                producer.send(targets.labels_topic, label_values, keys)

        stop = open_.enter_context(stop_on_signals())
        show = open_.enter_context(progress_line(traffic.events, f"{traffic.name} → {targets.file or targets.topic}"))
        delivery = Delivery(emit, emit_labels, labels, pace, stop, show)
        open_.enter_context(observed(settings, "simulate", topic=targets.topic))(delivery)
        done = delivery.run(batches)
        if producer is not None:
            producer.flush()
    return done, {NAMES[code]: count for code, count in sorted(patterns.items())}


def _extent(
    to_kafka: bool,
    rate: float | None,
    events: int | None,
    duration: str | None,
    history: str | None,
    start: str | None,
    lead_ms: int,
) -> Extent:
    """From the options to what is simulated.

    Raises:
        UsageError: Options contradict each other.
    """
    if rate is not None and not 0 < rate <= HIGHEST_RATE_PER_S:
        raise UsageError(f"--rate {rate:g} is not possible.", f"Use more than 0 and at most {HIGHEST_RATE_PER_S:,.0f}.")
    start_at_ms = None if start is None else instant_ms("--start", start)
    now_ms = time.time_ns() // 1_000_000
    if history is not None:
        if rate is not None or duration is not None:
            raise UsageError(
                "--history goes as fast as it can, --rate and --duration are for live traffic.",
                "Leave one of them out; --events sets how many events the history has.",
            )
        span_ms = duration_ms("--history", history)
        return Extent(now_ms - span_ms if start_at_ms is None else start_at_ms, events, span_ms, None, live=False)
    wall_ms = None if duration is None else duration_ms("--duration", duration)
    if to_kafka or rate is not None:
        rate = rate or DEFAULT_RATE_PER_S
        if not to_kafka and events is None and wall_ms is None:
            events = DEFAULT_FILE_EVENTS
        live = start_at_ms is None
        return Extent(now_ms + lead_ms if start_at_ms is None else start_at_ms, events, wall_ms, rate, live=live)
    if wall_ms is not None:
        raise UsageError(
            "--duration is wall time, and a file is written as fast as it goes.",
            "Give --history for event time, --events for a count, or --rate as well.",
        )
    if start_at_ms is None:
        start_at_ms = instant_ms("--start", DEFAULT_FILE_START)
    return Extent(start_at_ms, events or DEFAULT_FILE_EVENTS, None, None, live=False)
