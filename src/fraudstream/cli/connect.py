"""`fraudstream connect`: the configuration of a Kafka Connect connector for a pipeline's decisions."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fraudstream.cli.options import ConfigFile, settings_from


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    to: Annotated[str, typer.Option("--to", metavar="SINK", help="jdbc, s3, elasticsearch or hdfs.")],
    topic: Annotated[
        str | None, typer.Option("--topic", help="The topic of another route than that of all decisions.")
    ] = None,
    quoted_decimals: Annotated[
        bool, typer.Option("--quoted-decimals", help="The amounts of events stand in quotes; keep them as text.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Print the configuration of a Kafka Connect connector that keeps a pipeline's decisions, as a worker takes it."""
    from fraudstream.pipelines import find_plan
    from fraudstream.sinks.connect import connect_configuration

    plan = find_plan(pipeline, settings_from(config=config).pipelines_folder)
    print(json.dumps(connect_configuration(plan, to, topic, quoted_decimals=quoted_decimals), indent=2))
