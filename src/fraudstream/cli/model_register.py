"""`fraudstream model register`: a model that was made elsewhere becomes a version of a pipeline's model."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.history import (
    Columns,
    LabelColumn,
    TimeColumn,
    TruthSource,
    Without,
    duration,
    note_rejected,
    open_history,
    progress,
    truth_for,
)
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import ModelError, UsageError


def register(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="The model.")],
    features: Annotated[
        str | None,
        typer.Option(
            "--features", metavar="NAME,…", help="Its inputs in order; must be the pipeline's `model.features`."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="NAME", help="Its output that is the score, where it has several.")
    ] = None,
    log_odds: Annotated[
        bool, typer.Option("--log-odds", help="It gives log-odds: make probabilities of them.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", metavar="FILE | TOPIC", help="A history it has not seen, to test it on.")
    ] = None,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    label_delay: Annotated[str, typer.Option("--label-delay", help="How long after an event its label comes.")] = "7d",
    test_share: Annotated[float, typer.Option("--test-share", help="Share of events, the latest, for the test.")] = 0.3,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Take a model in ONNX form that was made elsewhere, check that it fits, and keep it as a version.

    With --data it is tested as a trained one is: the threshold and probabilities come from the part before the test,
    and it gets metrics, a card and a reference for drift. Without, its scores are taken as they are.
    """
    from fraudstream.models.registry import Registry
    from fraudstream.pipelines import find_plan
    from fraudstream.training.elsewhere import GivenModel
    from fraudstream.training.train import Options, register_given
    from fraudstream.training.trainers import require_onnx

    settings = settings_from(bootstrap_servers, config, values)
    declared = find_plan(pipeline, settings.pipelines_folder)
    model = declared.pipeline.model
    if model is None:
        raise UsageError(f"{declared.pipeline.name} declares no model: nothing would use it.", "Declare one.")
    _check_features(features, model.features)
    if not 0 < test_share < 1:
        raise UsageError(f"--test-share {test_share:g} is not possible.", "Give a share between 0 and 1.")
    delay_ms = duration("--label-delay", label_delay)
    require_onnx()
    try:
        raw = onnx.read_bytes()
    except OSError as failed:
        raise ModelError(f"{onnx} cannot be read: {failed.strerror}.", "Give an ONNX file.") from None
    given = GivenModel(raw, model.features, output, log_odds=log_odds)
    if data is None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        name = model.name or declared.pipeline.name
        manifest = given.manifest(name, model.features, model.missing, now, f"made elsewhere, from {onnx.name}")
        folder = Registry(settings.models_folder, name).add(manifest, given.to_onnx(), by="fraudstream model register")
    else:
        plan, history = open_history(declared, data, column, without, time_column, settings)
        known = truth_for(history, plan, label, truth, settings)
        if known is None:
            raise UsageError("Nothing says which events were fraud.", "Name the truth with --label or --truth.")
        with progress() as show:
            options = Options(test_share, delay_ms)
            done = register_given(plan, settings.models_folder, history, known, options, given, show)
        note_rejected(history)
        manifest, folder = done.manifest, done.folder
    roles = Registry(settings.models_folder, manifest.name).roles()
    is_champion = roles.champion == manifest.version
    if as_json:
        document: dict[str, Any] = {"model": manifest.name, "version": manifest.version, "folder": folder}
        show_json(document | {"champion": is_champion, "metrics": manifest.metrics})
        return
    print(f"{manifest.name}: registered {manifest.version} in {folder}")
    if "average_precision" in manifest.metrics:
        found = manifest.metrics
        print(f"  AUC ROC {found['auc_roc']:.3f}   average precision {found['average_precision']:.3f}")
    if is_champion:
        print(f"  it is the champion: `fraudstream run {declared.pipeline.name}` scores with it")
    else:
        print(f"  a challenger: `fraudstream model promote {pipeline} {manifest.version}` makes it the champion")


def _check_features(given: str | None, declared: tuple[str, ...]) -> None:
    """The inputs of the model are the pipeline's, in the same order: a network knows them by their place only."""
    if given is None:
        return
    names = tuple(name.strip() for name in given.split(","))
    if names == declared:
        return
    differing = sorted(set(names) ^ set(declared))
    what = f"they differ in {', '.join(differing)}" if differing else "their order differs"
    raise UsageError(
        f"The model's inputs are not the pipeline's `model.features`: {what}.",
        f"The pipeline gives: {', '.join(declared)}. Correct the pipeline, or export the model for these.",
    )
