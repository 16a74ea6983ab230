"""`fraudstream model`: the versions of a pipeline's model, and which of them serves."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.history import duration
from fraudstream.cli.model_register import register
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import DamagedModel, UsageError

if TYPE_CHECKING:
    from fraudstream.models.artifact import Manifest
    from fraudstream.models.registry import Entry, Registry
    from fraudstream.monitoring.comparison import Comparison, Quality
    from fraudstream.settings import Settings

app = typer.Typer(no_args_is_help=True, help="List, promote and roll back the versions of a pipeline's model.")

PipelineName = Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version, or its first characters.")]
LabelDelay = Annotated[
    str, typer.Option("--label-delay", help="Events this old that nobody labelled count as legitimate.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
_SHOWN = ("average_precision", "auc_roc", "precision", "recall")


app.command("register")(register)


@app.command("list")
def list_versions(
    pipeline: PipelineName, config: ConfigFile = None, values: SetValues = None, as_json: AsJson = False
) -> None:
    """List the versions of a pipeline's model with their parts and metrics, the last one saved first."""
    registry, _ = _registry(pipeline, config, values)
    roles = registry.roles()
    rows = []
    for version in registry.versions():
        challenges = version in roles.challengers
        part = "champion" if version == roles.champion else "challenger" if challenges else ""
        rows.append({"version": version, "part": part} | _described(registry, version))
    if as_json:
        show_json(rows)
    elif rows:
        columns = ("VERSION", "PART", "TRAINER", "TRAINED AT", "AP", "AUC", "PRECISION", "RECALL")
        cells = [
            (row["version"], row["part"], row["trainer"], row["trained_at"], *_metrics(row["metrics"])) for row in rows
        ]
        show_table(columns, cells, right=columns[4:])
    else:
        show_note(f"There is no model {registry.name} in {registry.folder} yet; `fraudstream train` makes one.")


@app.command()
def show(
    pipeline: PipelineName,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the champion.")] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Show a version's manifest, and what was done to the model's versions by whom."""
    registry, _ = _registry(pipeline, config, values)
    chosen = registry.find(version) if version else registry.roles().champion
    if chosen is None:
        raise UsageError(f"The model {registry.name} has no champion.", "Name a version, or train one.")
    manifest, history = registry.manifest(chosen), registry.history()
    if as_json:
        show_json({"manifest": manifest, "history": history})
        return
    for name, value in _lines_of(manifest):
        print(f"{name:<12} {value}")
    print("history")
    for entry in history:
        print(f"  {_sentence(entry)}")


@app.command()
def promote(
    pipeline: PipelineName,
    version: Version,
    reason: Reason = "",
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, max=1, help="By how much its average precision may be lower.")
    ] = 0.01,
    force: Annotated[
        str | None, typer.Option("--force", metavar="REASON", help="Promote it against the gate, for this reason.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Go by the live events that both scored, not by the manifests.")
    ] = False,
    label_delay: LabelDelay = "7d",
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, if it is not worse on the same test. Running scorers take it within two seconds."""
    registry, features = _registry(pipeline, config, values)
    chosen, evidence = registry.find(version), None
    if live:
        from fraudstream.monitoring.comparison import evidence_of

        settings = settings_from(bootstrap_servers, config, values)
        evidence = evidence_of(_compared(pipeline, settings, registry, [chosen], label_delay)[0])
    entry = registry.promote(
        chosen,
        features,
        by=getpass.getuser(),
        evidence=evidence,
        reason=reason if force is None else force,
        tolerance=tolerance,
        force=force is not None,
    )
    _show_entry(entry, as_json)


@app.command()
def compare(
    pipeline: PipelineName,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: every challenger.")] = None,
    label_delay: LabelDelay = "7d",
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Compare challengers with the champion on live events that both scored: agreement, alerts, quality by labels."""
    registry, _ = _registry(pipeline, config, values)
    versions = list(registry.roles().challengers) if version is None else [registry.find(version)]
    if not versions:
        raise UsageError(f"The model {registry.name} has no challengers.", "Name a version, or train another one.")
    settings = settings_from(bootstrap_servers, config, values)
    found = _compared(pipeline, settings, registry, versions, label_delay)
    if as_json:
        show_json(found)
        return
    columns = ("VERSION", "EVENTS", "SAME", "MORE ALERTS", "FEWER", "FRAUDS", "AP", "PRECISION", "RECALL", "CAUGHT")
    rows: list[tuple[object, ...]] = []
    for each in found:
        rows.append((f"{each.live} (live)", each.events, "", "", "", each.frauds, *_worth(each.champion)))
        changed = (f"{each.same_outcome:.2%}", each.more_alerts, each.fewer_alerts)
        rows.append((each.version, each.events, *changed, each.frauds, *_worth(each.challenger)))
    show_table(columns, rows, right=columns[1:])


@app.command()
def rollback(
    pipeline: PipelineName,
    reason: Reason = "",
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Make the champion before the present one the champion again; a second time goes back further."""
    registry, features = _registry(pipeline, config, values)
    _show_entry(registry.rollback(features, by=getpass.getuser(), reason=reason), as_json)


@app.command()
def challenge(
    pipeline: PipelineName,
    version: Version,
    reason: Reason = "",
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Have a version scored in the shadow, beside live decisions, which it does not change."""
    registry, features = _registry(pipeline, config, values)
    entry = registry.challenge(registry.find(version), features, by=getpass.getuser(), reason=reason)
    _show_entry(entry, as_json)


@app.command()
def retire(
    pipeline: PipelineName,
    version: Version,
    reason: Reason = "",
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Have a challenger scored no longer. Its files stay."""
    registry, _ = _registry(pipeline, config, values)
    _show_entry(registry.retire(registry.find(version), by=getpass.getuser(), reason=reason), as_json)


def _registry(pipeline: str, config: Any, values: Any) -> tuple[Registry, tuple[str, ...]]:
    """The versions of a pipeline's model, and the features the pipeline declares for it."""
    from fraudstream.models.registry import Registry
    from fraudstream.pipelines import find_pipeline

    settings = settings_from(None, config, values)
    found = find_pipeline(pipeline, settings.pipelines_folder)
    if found.model is None:
        raise UsageError(f"{found.name} declares no model: there are no versions.", "It runs as it is.")
    return Registry(settings.models_folder, found.model.name or found.name), found.model.features


def _compared(
    pipeline: str, settings: Settings, registry: Registry, versions: list[str], label_delay: str
) -> list[Comparison]:
    from fraudstream.monitoring.comparison import compare as compare_live
    from fraudstream.pipelines import find_plan

    champion = registry.roles().champion
    if champion is None:
        raise UsageError(f"The model {registry.name} has no champion.", "Train one first.")
    plan = find_plan(pipeline, settings.pipelines_folder)
    return compare_live(plan, settings, versions, champion, duration("--label-delay", label_delay))


def _worth(found: Quality | None) -> list[str]:
    if found is None:
        return ["–"] * 4
    precision = "–" if found.precision is None else f"{found.precision:.3f}"
    caught = "–" if found.caught is None else f"{found.caught:,.2f}"
    return [f"{found.average_precision:.3f}", precision, f"{found.recall:.3f}", caught]


def _described(registry: Registry, version: str) -> dict[str, Any]:
    try:
        manifest = registry.manifest(version)
    except DamagedModel:
        return {"trainer": "damaged", "trained_at": "", "metrics": {}}
    return {"trainer": manifest.trainer, "trained_at": manifest.trained_at, "metrics": manifest.metrics}


def _metrics(found: dict[str, float]) -> list[str]:
    return ["–" if found.get(name) is None else f"{found[name]:.3f}" for name in _SHOWN]


def _lines_of(manifest: Manifest) -> list[tuple[str, str]]:
    plain = msgspec.to_builtins(manifest)
    metrics = plain.pop("metrics")
    plain |= {"features": ", ".join(manifest.features), "quantiles": f"{len(manifest.quantiles)} points"}
    lines = [(name, str(value)) for name, value in plain.items() if isinstance(value, str | int | float) and value]
    return lines + [(f"  {name}", f"{value:g}") for name, value in metrics.items()]


def _sentence(entry: Entry) -> str:
    """A line of the history as a person reads it."""
    words = [entry.at, entry.by, entry.change, entry.version]
    if entry.champion != entry.before:
        words.append(f"in place of {entry.before or 'none'}")
    if entry.evidence is not None:
        found = entry.evidence
        words.append(f"({found.metric} {found.challenger:.4f} against {found.champion:.4f} on {found.test})")
    words += ["by force"] * entry.forced + [f"because: {entry.reason}"] * bool(entry.reason)
    return " ".join(words)


def _show_entry(entry: Entry, as_json: bool) -> None:
    if as_json:
        show_json(entry)
    else:
        print(_sentence(entry))
