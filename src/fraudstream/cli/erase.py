"""`fraudstream erase`: removes a person from store, lake and token keys, and looks whether anything was left."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import read_secretly, show_json, show_note
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.settings import Settings


def command(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="What names the person, such as a customer or card; - reads it from standard input."
        ),
    ],
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(metavar="PIPELINE…", help="The pipelines whose lake and dead letters are searched."),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person's data: from the store, the lake of the pipelines named, and what token keys know.

    The person is searched for by name and by the tokens that stand for it. Decisions and alerts stay in the store,
    without what says whose they are. Then the key file forgets the tokens and how to open dead letters that name the
    person: what is left on topics and in backups is of nobody. Exit code 1 if rows still name the person.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.store.erase import erase, spellings, traces
    from fraudstream.store.migrate import open_store
    from fraudstream.tokens.keyfile import check_changeable
    from fraudstream.tokens.source import key_file, keys_at_hand

    settings = settings_from(bootstrap_servers, config, values)
    plans = [find_plan(name, settings.pipelines_folder) for name in pipelines or ()]
    store = open_store(settings)
    if subject == "-":
        subject = read_secretly("Subject: ")
    keys = keys_at_hand(settings)
    names, digest, letters = [subject], f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}", []
    if keys is not None:
        check_changeable(key_file(settings))
        # Whoever has a plain hash of a card number has the number.
        digest = f"hmac:{keys.active}:{keys.digest(subject.encode())}"
        names += [keys.token(subject.encode(), key_id) for key_id in keys.held]
        letters = _sealed_letters(settings, plans, spellings(names))
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
    if keys is not None:  # last: until then the tokens are what the person is found by
        _forget(key_file(settings), subject, letters)
    if as_json:
        forgotten = {"keys": [] if keys is None else keys.held, "sealed": len(letters)}
        show_json({"erased": erased, "left": left, "forgotten": forgotten})
    else:
        print("erased " + ", ".join(f"{place} {count:,}" for place, count in erased.items()))
        _say_what_stays(plans, None if keys is None else key_file(settings), len(letters))
        for place, count in left.items():
            show_note(f"left: {count:,} rows of {place} still name the subject")
    if left:
        raise typer.Exit(1)


def _sealed_letters(settings: Settings, plans: list[Plan], names: set[str]) -> list[tuple[str, bytes]]:
    """What is sealed in dead letters and names the subject, with the ids of its keys."""
    from fraudstream.runner.letters import sealed_parts_naming

    found = [each for plan in plans for each in sealed_parts_naming(settings, plan, names)]
    return [(key_id, base64.b64decode(sealed)) for key_id, sealed in found]


def _forget(path: Path, subject: str, letters: list[tuple[str, bytes]]) -> None:
    """Lets every key forget the subject's token, and how to open what it sealed of these letters."""
    from fraudstream.tokens.keyfile import change_keys
    from fraudstream.tokens.secret import Secret

    def without(key_id: str, secret: Secret) -> Secret:
        return secret.without(subject.encode(), [sealed for sealed_with, sealed in letters if sealed_with == key_id])

    change_keys(path, without)


def _say_what_stays(plans: list[Plan], keys: Path | None, letters: int) -> None:
    if keys is not None:
        show_note(f"note: {keys} has forgotten the subject's tokens, and how to open {letters:,} parts of dead letters")
        show_note("note: put it in the place of every other copy, and start scorers, sinks and notifications again")
    for plan in plans:
        show_note(f"note: topics of {plan.pipeline.name} hold what they have until it is too old: {_kept(plan)}")


def _kept(plan: Plan) -> str:
    """How long the topics with what is about persons are kept."""
    declared = dict(plan.pipeline.retention.topics)
    quiet = {*plan.pipeline.compacted_topics()}
    names = [name for name, _ in plan.pipeline.topics_to_create() if name not in quiet]
    return ", ".join(f"{name} {declared.get(name, 'as the cluster says')}" for name in names)
