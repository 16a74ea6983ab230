"""`fraudstream erase`: removes a person from the store and the lake, and looks whether anything was left."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import read_secretly, show_json, show_note
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan


def command(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="What names the person, such as a customer or card; - reads it from standard input."
        ),
    ],
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(metavar="PIPELINE…", help="The pipelines whose tables in the lake are searched."),
    ] = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person's data from the store, and from the lake of the pipelines named; exit code 1 if some is left.

    The person is searched for by name and by the tokens that stand for it. Decisions and alerts stay in the store,
    without what says whose they are. What is on topics goes with their retention: nothing can be taken out of the
    middle of a topic.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.store.erase import erase, spellings, traces
    from fraudstream.store.migrate import open_store
    from fraudstream.tokens.source import keys_at_hand

    settings = settings_from(None, config, values)
    plans = [find_plan(name, settings.pipelines_folder) for name in pipelines or ()]
    store = open_store(settings)
    if subject == "-":
        subject = read_secretly("Subject: ")
    keys = keys_at_hand(settings)
    names, digest = [subject], f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"
    if keys is not None:
        # Whoever has a plain hash of a card number has the number.
        digest = f"hmac:{keys.active}:{keys.digest(subject.encode())}"
        names += [keys.token(subject.encode(), key_id) for key_id in keys.held]
    erased = erase(store, names, digest)
    left = traces(store, names)
    for plan in plans:
        from fraudstream.sinks.lake import LakeTarget

        for name, table in LakeTarget(settings, plan).tables.items():
            if table.exists():
                table.open(())
                place = f"{plan.pipeline.name}/{name}"
                texts = sorted(spellings(names))
                erased[place] = table.erase(texts)
                count = table.traces(texts)
                left |= {place: count} if count else {}
    if as_json:
        show_json({"erased": erased, "left": left})
    else:
        print("erased " + ", ".join(f"{place} {count:,}" for place, count in erased.items()))
        for plan in plans:
            show_note(f"note: topics of {plan.pipeline.name} hold what they have until it is too old: {_kept(plan)}")
        for place, count in left.items():
            show_note(f"left: {count:,} rows of {place} still name the subject")
    if left:
        raise typer.Exit(1)


def _kept(plan: Plan) -> str:
    """How long the topics with what is about persons are kept."""
    declared = dict(plan.pipeline.retention.topics)
    quiet = {*plan.pipeline.compacted_topics()}
    names = [name for name, _ in plan.pipeline.topics_to_create() if name not in quiet]
    return ", ".join(f"{name} {declared.get(name, 'as the cluster says')}" for name in names)
