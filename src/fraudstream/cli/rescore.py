"""`fraudstream rescore`: score what was decided without the model, now that it is back."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json
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
from fraudstream.errors import UsageError


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Score the decisions a pipeline made without its model. The results go to its shadow topic, once for each event.

    A running scorer does so by itself when its model is back; this is for what was decided before it was started.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.rescore import Progress, rescore
    from fraudstream.runner.serving import load_scorer

    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    plan = find_plan(pipeline, settings.pipelines_folder)
    serving = load_scorer(plan, settings)
    if serving is None:
        raise UsageError(f"No model of {plan.pipeline.name} that can score is here.", "Train one first.")
    progress = Progress()
    with observed(settings, "rescore", pipeline=plan.pipeline.name) as watch:
        watch(progress)
        done = rescore(plan, settings, serving.model, progress=progress)
    if as_json:
        show_json(done._asdict())
    else:
        print(
            f"{done.scored:,} decisions scored by {serving.version}, {done.before:,} were before; "
            f"{done.stricter:,} would have been stricter, see {plan.pipeline.shadow.name}"
        )
