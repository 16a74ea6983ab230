"""`fraudstream topics`: create what a pipeline needs, list what is there, say how long it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError
from fraudstream.settings import Settings
from fraudstream.units import format_duration, parse_duration

if TYPE_CHECKING:
    from fraudstream.define.pipeline import Pipeline

app = typer.Typer(no_args_is_help=True, help="Create and list topics, and say how long they keep records.")


@app.command()
def create(
    names: Annotated[
        list[str],
        typer.Argument(metavar="PIPELINE | TOPIC…", help="A pipeline's name or file; or topics, with --partitions."),
    ],
    partitions: Annotated[
        int | None, typer.Option("--partitions", "-p", min=1, help="The names are topics, with so many partitions.")
    ] = None,
    replicas: Annotated[
        int, typer.Option("--replicas", help="Copies of each partition; -1: the cluster's default.")
    ] = -1,
    properties: Annotated[
        list[str] | None, typer.Option("--property", metavar="NAME=VALUE", help="Topic property, e.g. retention.ms=-1.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics of a pipeline, or the topics named. Those that are there already stay as they are.

    What the pipeline's `retention` says of topics is set; where one that is there keeps its records for another time,
    `fraudstream topics retain` changes that.
    """
    from fraudstream.pipelines import find_pipeline

    settings = settings_from(bootstrap_servers, config, values)
    compacted: list[str] = []
    keep_ms: dict[str, int] = {}
    if partitions is not None:
        wanted = dict.fromkeys(names, partitions)
    elif len(names) == 1:
        found = find_pipeline(names[0], settings.pipelines_folder)
        wanted, compacted, keep_ms = dict(found.topics_to_create()), found.compacted_topics(), _kept(found)
    else:
        raise UsageError(
            f"{len(names)} names are given without --partitions.",
            "Give one pipeline, or several topics and their --partitions.",
        )
    pairs = [pair.partition("=") for pair in properties or ()]
    if not all(separator for _, separator, _ in pairs):
        raise UsageError("A --property is not understood.", "Write --property NAME=VALUE.")

    from fraudstream.kafka.admin import KafkaAdmin
    from fraudstream.kafka.client import check_reachable

    check_reachable(settings)
    done = KafkaAdmin(settings).create_topics(
        wanted, {n: v for n, _, v in pairs}, replicas=replicas, compacted=compacted, keep_ms=keep_ms
    )
    others = _otherwise(settings, {name: ms for name, ms in keep_ms.items() if name in done.existing})
    for name, (kept_ms, declared_ms) in others.items():
        show_note(
            f"{name} keeps its records for {_shown(kept_ms)}, and the pipeline says {_shown(declared_ms)}: "
            f"`fraudstream topics retain {names[0]}` changes it."
        )
    if as_json:
        show_json({"created": done.made, "existing": done.existing})
        return
    for name in wanted:
        what = "created" if name in done.made else "is there already"
        print(f"{name}: {what} ({wanted[name]} partition{'s' if wanted[name] != 1 else ''})")


@app.command("list")
def list_topics(
    internal: Annotated[bool, typer.Option("--internal", help="Also Kafka's own topics.")] = False,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """List the topics with their partitions and how far they reach."""
    settings = settings_from(bootstrap_servers, config, values)

    from fraudstream.kafka.admin import KafkaAdmin
    from fraudstream.kafka.client import check_reachable

    check_reachable(settings)
    admin = KafkaAdmin(settings)
    found = admin.topics(internal=internal)
    ends, begins = admin.end_offsets(found), admin.beginning_offsets(found)
    rows = [(topic, sum(ends[key] - begins[key] for key in ends if key[0] == topic.name)) for topic in found.values()]
    if as_json:
        show_json([{**topic._asdict(), "offsets": offsets} for topic, offsets in rows])
    elif rows:
        columns = ("TOPIC", "PARTITIONS", "REPLICAS", "OFFSETS")
        show_table(columns, [(t.name, t.partitions, t.replicas, offsets) for t, offsets in rows], right=columns[1:])
    else:
        show_note(f"There are no topics at {settings.bootstrap_servers} yet.")


@app.command()
def retain(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline's name or file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Let topics keep their records for as long as the pipeline's `retention` says; older ones are deleted by Kafka."""
    from fraudstream.kafka.admin import KafkaAdmin
    from fraudstream.kafka.client import check_reachable
    from fraudstream.pipelines import find_pipeline

    settings = settings_from(bootstrap_servers, config, values)
    declared = _kept(find_pipeline(pipeline, settings.pipelines_folder))
    check_reachable(settings)
    changes = _otherwise(settings, declared)
    if changes and not dry_run:
        KafkaAdmin(settings).keep({name: declared_ms for name, (_, declared_ms) in changes.items()})
    if as_json:
        shown = {name: {"kept_ms": kept_ms, "declared_ms": ms} for name, (kept_ms, ms) in changes.items()}
        show_json({"changed": shown, "dry_run": dry_run})
        return
    for name, (kept_ms, declared_ms) in changes.items():
        print(f"{name}: {_shown(kept_ms)} → {_shown(declared_ms)}{' (not changed: --dry-run)' if dry_run else ''}")
    if not changes:
        print("every topic keeps its records as declared" if declared else "the pipeline declares nothing of topics")


def _kept(pipeline: Pipeline) -> dict[str, int]:
    """How long topics keep their records, as a pipeline declares it."""
    return {name: parse_duration(text) for name, text in pipeline.retention.topics}


def _otherwise(settings: Settings, declared: dict[str, int]) -> dict[str, tuple[int, int]]:
    """The topics that keep their records for another time than declared: what it is, and what was declared."""
    from fraudstream.kafka.admin import RETENTION
    from fraudstream.kafka.inspect import KafkaInspector

    if not declared:
        return {}
    found = KafkaInspector(settings).topic_settings(declared)
    kept = {name: int(found[name][RETENTION]) for name in declared}
    return {name: (kept[name], ms) for name, ms in declared.items() if kept[name] != ms}


def _shown(keep_ms: int) -> str:
    return "ever" if keep_ms < 0 else format_duration(keep_ms)
