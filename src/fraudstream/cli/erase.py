"""`fraudstream erase`: removes a person from store, lake and token keys, and looks whether anything was left."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudstream.cli.console import read_secretly, show_json, show_note
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import SettingError, UsageError

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.runner.sealed import Sealed
    from fraudstream.settings import Settings
    from fraudstream.sinks.lake_table import LakeTable
    from fraudstream.tokens.keys import TokenKeys

_LEAST_LETTERS = 4
"""Of a subject: it is searched for in texts, and a shorter one stands in those of anybody."""


def command(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="What names the person, such as a customer or card; - reads it from standard input."
        ),
    ],
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PIPELINE…",
            help="The pipelines whose lake and dead letters are searched; name all, else token keys forget nothing.",
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person's data: from the store, the lake of the pipelines named, and what token keys know.

    The person is searched for by name and by the tokens that stand for it. Decisions and alerts stay in the store,
    without what says whose they are. Then the key file forgets the tokens and how to open dead letters that name the
    person: what is left on topics and in backups is of nobody. Exit code 1 if rows still name the person, or nobody
    can tell. What was cut short is done by the same command again.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.runner.sealed import sealed_naming
    from fraudstream.store.erase import erase, other_keys, pattern_of, pipelines_in, traces
    from fraudstream.store.migrate import open_store
    from fraudstream.tokens.keyfile import check_changeable
    from fraudstream.tokens.source import key_file

    settings = settings_from(bootstrap_servers, config, values)
    plans = [find_plan(name, settings.pipelines_folder) for name in pipelines or ()]
    subject = _checked(read_secretly("Subject: ") if subject == "-" else subject)
    keys = _keys(settings, plans)
    held = [] if keys is None else keys.held
    tokens = [] if keys is None or keys.is_token(subject) else [keys.token(subject.encode(), each) for each in held]
    store, tables = open_store(settings), _lake_tables(settings, plans)  # what can fail does so before all else
    named = {plan.pipeline.name for plan in plans}
    unnamed = [name for name in pipelines_in(store) if name not in named] if tokens else []
    path = key_file(settings) if tokens and plans and not unnamed else None
    if path is not None:
        check_changeable(path)
    letters = [] if path is None else [sealed_naming(settings, plan, subject, tokens) for plan in plans]
    unknown = {
        "pipelines": unnamed,
        "keys": other_keys(store, held),
        "letters": sum(each.unknown for each in letters),
    }

    names = [subject, *tokens]
    erased = erase(store, names, _digest(subject, keys))
    left = traces(store, names)
    pattern = pattern_of(names)
    for place, table in tables.items():
        erased[place] = table.erase(pattern)
        count = table.traces(pattern)
        left |= {place: count} if count else {}
    # Last: until then the tokens are what the person is found by.
    forgotten = {"keys": [], "letters": 0} if path is None else _forget(path, subject, letters)
    if as_json:
        show_json({"erased": erased, "left": left, "forgotten": forgotten, "unknown": unknown})
    else:
        print("erased " + ", ".join(f"{place} {count:,}" for place, count in erased.items()))
        _say_what_keys_know(path, keys, tokens, forgotten)
        for plan in plans:
            show_note(f"note: topics of {plan.pipeline.name} hold what they have until it is too old: {_kept(plan)}")
        for place, count in left.items():
            show_note(f"left: {count:,} rows of {place} still name the subject")
        _say_what_is_unknown(unknown)
    if left or any(unknown.values()):
        raise typer.Exit(1)


def _checked(subject: str) -> str:
    if len(subject.strip()) < _LEAST_LETTERS:
        raise UsageError(
            f"The subject has {len(subject.strip())} letters; it would be found in texts about anybody.",
            f"Give what names one person alone, of {_LEAST_LETTERS} letters or more. Nothing was changed.",
        )
    return subject


def _keys(settings: Settings, plans: list[Plan]) -> TokenKeys | None:
    """The token keys, which have to be there where a pipeline has made tokens."""
    from fraudstream.tokens.source import key_file, keys_at_hand

    keys = keys_at_hand(settings)
    needing = [plan.pipeline.name for plan in plans if plan.pipeline.event.sensitive]
    if keys is None and needing:
        raise SettingError(
            f"The pipeline {needing[0]} has sensitive fields, and there is no key file {key_file(settings)}: what is "
            "kept of the subject cannot be found.",
            "Name the pipeline's own in token_keys_file (FRAUDSTREAM_TOKEN_KEYS_FILE), or take it from a copy.",
        )
    return keys


def _digest(subject: str, keys: TokenKeys | None) -> str:
    """What the audit chain calls the subject: whoever has a plain hash of a card number has the number."""
    if keys is None:
        return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"
    return f"hmac:{keys.active}:{keys.digest(subject.encode())}"


def _lake_tables(settings: Settings, plans: list[Plan]) -> dict[str, LakeTable]:
    """The lake tables there are of some pipelines, opened, by pipeline and name."""
    from fraudstream.sinks.lake import LakeTarget

    found = {}
    for plan in plans:
        for name, table in LakeTarget(settings, plan).tables.items():
            if table.exists():
                table.open(())
                found[f"{plan.pipeline.name}/{name}"] = table
    return found


def _forget(path: Path, subject: str, letters: list[Sealed]) -> dict[str, Any]:
    """Lets every key forget the subject's token and how to open what it sealed of these letters; returns what did."""
    from fraudstream.tokens.keyfile import change_keys
    from fraudstream.tokens.secret import Secret

    def without(key_id: str, secret: Secret) -> Secret:
        return secret.without(subject.encode(), {place for each in letters for place in each.places.get(key_id, ())})

    keys = change_keys(path, without)
    return {"keys": keys.held, "letters": sum(len(places) for each in letters for places in each.places.values())}


def _say_what_keys_know(
    path: Path | None, keys: TokenKeys | None, tokens: list[str], forgotten: dict[str, Any]
) -> None:
    if path is not None:
        letters = f"{forgotten['letters']:,} dead letters"
        show_note(f"note: {path} has forgotten the subject's tokens, and how to open {letters}")
        show_note("note: put it in the place of every other copy, and start scorers, sinks and notifications again")
    elif tokens:
        show_note("note: the token keys still know the subject; they forget it when all pipelines are named")
    elif keys is not None:
        show_note("note: the subject is a token; for the token keys to forget it, give the value that it stands for")


def _say_what_is_unknown(unknown: dict[str, Any]) -> None:
    if unknown["pipelines"]:
        names = ", ".join(unknown["pipelines"])
        show_note(f"unknown: what else there is of {names}: the store has decisions of it, and it was not named")
    for key in unknown["keys"]:
        show_note(f"unknown: the store has tokens of the key {key}, which is not held; some may be the subject's")
    if unknown["letters"]:
        show_note(
            f"unknown: {unknown['letters']:,} dead letters do not open with the keys held; some may name the subject"
        )


def _kept(plan: Plan) -> str:
    """How long the topics with what is about persons are kept."""
    declared = dict(plan.pipeline.retention.topics)
    quiet = {*plan.pipeline.compacted_topics()}
    names = [name for name, _ in plan.pipeline.topics_to_create() if name not in quiet]
    return ", ".join(f"{name} {declared.get(name, 'as the cluster says')}" for name in names)
