"""`fraudstream produce`: a file of past events onto a topic, in event-time order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
from fraudstream.cli.traffic import duration_ms, progress_line, stop_on_signals, summary_of, summary_text
from fraudstream.errors import DataError, UsageError
from fraudstream.settings import Settings

if TYPE_CHECKING:
    from fraudstream.define.pipeline import Pipeline

KINDS = (".parquet", ".csv", ".jsonl", ".ndjson")


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .parquet, .csv or .jsonl file.")],
    topic: Annotated[str, typer.Option("--topic", help="Where the events go.")],
    time: Annotated[str | None, typer.Option("--time", help="Column of event time; guessed; none: file order.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Column of the record key; guessed; none: no key.")] = None,
    speed_up: Annotated[
        float | None, typer.Option("--speed-up", help="Event seconds per second; default: as fast as it goes.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Leave a column out of the events; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many events.")] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="COLUMN", help="Truth column to send as late labels; dropped.")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Event id, needed for labels.")] = None,
    labels_topic: Annotated[str, typer.Option("--labels-topic", help="Topic of the labels.")] = "fraud-labels",
    label_delay: Annotated[str, typer.Option("--label-delay", help="Mean time until fraud is known.")] = "7d",
    label_all: Annotated[bool, typer.Option("--label-all", help="Also label what is legitimate.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the label delays.")] = 1,
    pipeline: Annotated[
        str | None,
        typer.Option(
            "--pipeline",
            metavar="FILE | NAME",
            help="Who reads them, and so what is their time and key; needed with --format.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="avro or protobuf, with the schema registered as TOPIC-value; default: JSON."),
    ] = None,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Send a history file to a topic, in event-time order, keyed, at a given speed or as fast as it goes."""
    from fraudstream.kafka.producer import BulkProducer, require_topics
    from fraudstream.pipelines import find_plan
    from fraudstream.simulate.delivery import Delivery, Pace
    from fraudstream.simulate.history import KEY_NAMES, TIME_NAMES, Columns, PastBatch, guess, require_columns
    from fraudstream.simulate.labels import LabelQueue
    from fraudstream.simulate.linehistory import LineHistory
    from fraudstream.simulate.tablehistory import TableHistory

    if speed_up is not None and speed_up <= 0:
        raise UsageError(f"--speed-up {speed_up:g} is not possible.", "Use a number above 0; 1 is real time.")
    if labels is not None and id_ is None:
        raise UsageError("--labels needs to know which event a label is about.", "Name the id's column with --id.")
    if file.suffix not in KINDS or not file.is_file():
        what = "is not a file of a known kind" if file.is_file() else "is a folder" if file.is_dir() else "is not there"
        raise DataError(f"{file} {what}.", f"Give a file that ends with {', '.join(KINDS)}.")
    delay_ms = duration_ms("--label-delay", label_delay)
    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    read_by = None if pipeline is None else find_plan(pipeline, settings.pipelines_folder).pipeline
    times, keys = _names_of_time_and_key(read_by)
    history = TableHistory(file) if file.suffix in (".parquet", ".csv") else LineHistory(file)
    columns = Columns(
        time=_choose(time, "--time", guess(history.names, [*times, *TIME_NAMES]), history.names, "event time"),
        key=_choose(key, "--key", guess(history.names, [*keys, *KEY_NAMES]), history.names, "the record key"),
        label=labels,
        id=id_,
        drop=tuple(dict.fromkeys([*(drop or ()), *([labels] if labels else [])])),
    )
    require_columns(file, history.names, columns.named())
    if columns.time is None and (speed_up is not None or labels is not None):
        raise UsageError(
            f"{file} has no time column that is known.", f"Name one with --time: {', '.join(history.names)}."
        )
    require_topics(settings, [topic, labels_topic] if labels else [topic])
    producer = BulkProducer(settings)

    written = _written(read_by, form, topic, settings)

    def emit(batch: PastBatch, part: slice) -> None:
        producer.send(topic, written(batch.values[part]), None if batch.keys is None else batch.keys[part])

    with ExitStack() as open_:
        stop = open_.enter_context(stop_on_signals())
        total = history.count() if limit is None else min(limit, history.count())
        delivery: Delivery[PastBatch] = Delivery(
            emit,
            lambda v, k: producer.send(labels_topic, v, k),
            LabelQueue(delay_ms, seed, "history", label_all=label_all) if labels else None,
            Pace(speed_up) if speed_up else None,
            stop,
            open_.enter_context(progress_line(total, f"{file.name} → {topic}")),
        )
        open_.enter_context(observed(settings, "produce", topic=topic))(delivery)
        done = delivery.run(history.batches(columns, limit))
        producer.flush()
    if columns.time is None:
        done.first_at_ms = done.last_at_ms = None
    if as_json:
        show_json(summary_of(done, to=topic, time=columns.time, key=columns.key))
    else:
        print(summary_text(done, topic, labels_topic if labels else None))


def _names_of_time_and_key(read_by: Pipeline | None) -> tuple[list[str], list[str]]:
    """What a pipeline calls event time and the record key, in lower case; nothing where it has none."""
    if read_by is None:
        return [], []
    event = read_by.event
    fields = [None if name is None else event.field(name) for name in (event.time, event.key)]
    times, keys = ([] if field is None else [path.lower() for path in field.paths] for field in fields)
    return times, keys


def _written(
    read_by: Pipeline | None, form: str | None, topic: str, settings: Settings
) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    """What makes the records of the events' JSON."""
    if form is None:
        return lambda values: values
    if read_by is None:
        raise UsageError("--format needs to know what an event is.", "Name the pipeline that reads it with --pipeline.")
    from fraudstream.cli.schema import chosen_format
    from fraudstream.kafka.subjects import records_for

    return records_for(read_by, chosen_format(form), topic, settings)


def _choose(asked: str | None, option: str, guessed: str | None, names: list[str], what: str) -> str | None:
    """The column asked for, or the guessed one with a note; `none` is no column."""
    if asked is not None:
        return None if asked == "none" and "none" not in names else asked
    if guessed is None:
        show_note(f"note: no column is known to be {what}; {option} names one.")
    else:
        show_note(f"note: {what} is taken from {guessed}; {option} names another column.")
    return guessed
