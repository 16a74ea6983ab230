"""`fraudstream topics`: create what a pipeline needs, list what is there."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError
from fraudstream.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Create and list topics.")


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
    """Create the topics of a pipeline, or the topics named. Those that are there already stay as they are."""
    settings = settings_from(bootstrap_servers, config, values)
    compacted: list[str] = []
    if partitions is not None:
        wanted = dict.fromkeys(names, partitions)
    elif len(names) == 1:
        wanted, compacted = _topics_of_pipeline(names[0], settings)
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
        wanted, {n: v for n, _, v in pairs}, replicas=replicas, compacted=compacted
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


def _topics_of_pipeline(name: str, settings: Settings) -> tuple[dict[str, int], list[str]]:
    """Partitions by topic of a pipeline, found by name or file, and which of them are compacted."""
    from fraudstream.pipelines import find_pipeline

    pipeline = find_pipeline(name)
    return dict(pipeline.topics_to_create()), pipeline.compacted_topics()
