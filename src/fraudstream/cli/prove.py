"""`fraudstream prove`: one decision, computed again from the log and compared byte for byte."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import TopicError, UsageError
from fraudstream.units import format_instant

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.replay.past import Past, PastLabels
    from fraudstream.replay.prove import Proof
    from fraudstream.replay.recorded import Decision, Ledger, Outputs
    from fraudstream.settings import Settings

_LONGEST_SHOWN = 60


def command(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="An event's id, or topic/partition/offset.")],
    pipeline: Annotated[
        str | None,
        typer.Option(
            "--pipeline", metavar="FILE | NAME", help="The pipeline that decided, as it was then; default: it is found."
        ),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option("--decisions", metavar="FILE", help="Output records, one a line, in place of the topics."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FILE", help="With --decisions: the history before them, if they do not hold it."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="With --decisions: label records, one a line.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Compute one decision again, from the log and with the versions it names, and compare every byte.

    The events before it are read in their recorded order, then the engine decides. What differs is shown field by
    field, and the exit code is 1. Nothing is written, no offsets are committed.
    """
    from fraudstream.replay.prove import prove, recorded_scorer
    from fraudstream.replay.recorded import find
    from fraudstream.tokens.held import held_keys, use_keys

    if decisions is None and (data is not None or labels is not None):
        raise UsageError("--data and --labels go with --decisions.", "Without it everything is read from the topics.")
    settings = settings_from(bootstrap_servers, config, values)
    candidates = _candidates(pipeline, settings.pipelines_folder)
    outputs, source = _outputs(settings, candidates, decisions)
    inputs = {each.pipeline.input.name for each in candidates}
    found, about, ledger = find(outputs, decision, source, inputs, _tokens(candidates, decision))
    if any(each.pipeline.event.sensitive for each in candidates):
        keys = held_keys().used_in(about[0].value)
        use_keys(lambda: keys)
        candidates = _candidates(pipeline, settings.pipelines_folder)  # a list's version is one of tokens
    plan = _decided_by(candidates, found)
    past, known = _past(plan, settings, found, ledger, outputs, decisions, data, labels)
    scorer = recorded_scorer(plan, found, settings.models_folder)
    proof = prove(plan, scorer, found, about, past, known)
    if as_json:
        show_json(_document(found, past, proof) | {"event_id": str(found.event_id)})
    else:
        _print(str(found.event_id), found, past, proof)
    if not proof.holds:
        raise typer.Exit(1)


def _tokens(candidates: list[Plan], event_id: str) -> list[str]:
    """What an event's id may be in its decision where ids are sensitive: its token under each key."""
    from fraudstream.tokens.held import held_keys

    if not any(plan.pipeline.event.id in plan.pipeline.event.sensitive for plan in candidates):
        return []
    keys = held_keys()
    return [keys.token(event_id.encode(), key_id) for key_id in keys.held]


def _candidates(pipeline: str | None, folder: Path) -> list[Plan]:
    """The plan of the named pipeline, or of all that are known and have no problem."""
    from fraudstream.errors import DefinitionError
    from fraudstream.pipelines import find_plan, names

    if pipeline is not None:
        return [find_plan(pipeline, folder)]
    found = []
    known: list[str | Path] = [*sorted(folder.glob("*.yaml")), *names()]
    for each in known:
        try:
            found.append(find_plan(each, folder))
        except DefinitionError:
            continue  # what cannot run has decided nothing in this form
    return found


def _outputs(settings: Settings, candidates: list[Plan], decisions: Path | None) -> tuple[Outputs, str]:
    """What reads the output records, and its name for people."""
    from fraudstream.kafka.admin import KafkaAdmin
    from fraudstream.kafka.client import check_reachable
    from fraudstream.replay.recorded import outputs_in_file, outputs_in_topics

    if decisions is not None:
        return partial(outputs_in_file, decisions), decisions.name
    check_reachable(settings)
    there = KafkaAdmin(settings).topics()
    named = dict.fromkeys(route.topic for plan in candidates for route in plan.pipeline.json_routes)
    topics = [topic for topic in named if topic in there]
    if not topics:
        raise TopicError(
            f"None of the topics of decisions exists on {settings.bootstrap_servers}: {', '.join(named)}.",
            "Name the pipeline that decided with --pipeline, or its records with --decisions.",
        )
    return partial(outputs_in_topics, settings, topics), ", ".join(topics)


def _decided_by(candidates: list[Plan], decision: Decision) -> Plan:
    """The plan with the version the decision names, else one that reads its topic: what differs is said later."""
    same = [plan for plan in candidates if plan.versions.pipeline == decision.versions.get("pipeline")]
    reading = [plan for plan in candidates if plan.pipeline.input.name == decision.input.topic]
    found = [*same, *reading, *(candidates if len(candidates) == 1 else [])]
    if not found:
        raise UsageError(
            f"No known pipeline reads {decision.input.topic}, where the event of the decision is from.",
            f"Give the file of version {decision.versions.get('pipeline')} with --pipeline.",
        )
    return found[0]


def _past(
    plan: Plan,
    settings: Settings,
    decision: Decision,
    ledger: Ledger,
    outputs: Outputs,
    decisions: Path | None,
    data: Path | None,
    labels: Path | None,
) -> tuple[Past, PastLabels | None]:
    """All that came before the decision, events and labels."""
    from fraudstream.replay.past import labels_in_file, labels_in_topic, past_in_file, past_in_topic, with_history

    if decisions is None:
        return past_in_topic(settings, plan, decision, ledger, outputs), labels_in_topic(settings, plan)
    past = past_in_file(plan, decision, ledger, outputs)
    if data is not None:
        from fraudstream.training.history import History

        past = with_history(plan, past, History(data, plan.pipeline.event))
    if labels is None and plan.label_retention_ms:
        show_note("note: features of this pipeline read labels, and no --labels are given.")
    return past, None if labels is None else labels_in_file(plan, labels)


def _document(decision: Decision, past: Past, proof: Proof) -> dict[str, object]:
    return {
        "input": str(decision.place),
        "sequence": decision.sequence,
        "versions": decision.versions,
        "events_before": proof.events,
        "labels_before": proof.labels,
        "order_of_labels": proof.order_of_labels,
        "notes": past.notes,
        "proved": proof.holds,
        "records": proof.compared,
    }


def _print(event_id: str, decision: Decision, past: Past, proof: Proof) -> None:
    print(f"{event_id}: {decision.outcome}, decided at {format_instant(decision.decided_at)}")
    print(f"  input     {decision.place}, the decision number {decision.sequence:,}")
    print(f"  versions  {', '.join(f'{name} {version}' for name, version in decision.versions.items())}")
    print(f"  history   {proof.events:,} events before it")
    if proof.order_of_labels is not None:
        print(f"            {proof.labels:,} labels before it, {proof.order_of_labels}")
    for note in past.notes:
        print(f"  note      {note}")
    for record in proof.compared:
        differing = len(record.differences)
        how = "equal" if record.equal else f"differs in {differing} fields" if differing else "is written otherwise"
        print(f"  record    {record.source}, {record.form}, {record.size_bytes:,} bytes: {how}")
        for each in record.differences:
            print(f"              {each.path}: recorded {_shown(each.recorded)}, computed {_shown(each.computed)}")
    print("proved: every byte is the same" if proof.holds else "not proved: computed again it is another record")
    for path in _other_tokens(proof):
        show_note(
            f"note: the token of {path} on record is not what its key makes now: whom it stands for was erased since, "
            "or the record was changed"
        )


def _other_tokens(proof: Proof) -> list[str]:
    """Where another token stands under the same key, as where the key has forgotten a value since."""
    from fraudstream.tokens.keys import key_of

    return [
        each.path
        for record in proof.compared[:1]
        for each in record.differences
        if key_of(each.recorded) is not None and key_of(each.recorded) == key_of(each.computed)
    ]


def _shown(value: object) -> str:
    import orjson

    text = orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
