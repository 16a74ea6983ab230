"""I12: card numbers and addresses planted everywhere in the input are in no topic, log, table or file afterwards."""

from __future__ import annotations

import base64
import gzip
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from fraudstream.define.decision import ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline
from fraudstream.engine.deadletter import original_of
from fraudstream.schema.event import Field, FieldType
from fraudstream.settings import Settings
from fraudstream.testing.luhn import card_numbers, contents_of, passes_luhn, spellings
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keyfile import read_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.source import MADE_HERE
from servers import receiver, syslog

from .small import START_MS, pipeline
from .workbench import Workbench, read_committed

pytestmark = pytest.mark.kafka
Run = Callable[..., subprocess.CompletedProcess[str]]

CARDS = ["4111111111111111", "378282246310005", "5555555555554444", "6011000990139424", "4222222222222"]
"""In the field `card`; one with an escape, so that the plain decoder reads it."""
ACCOUNT, ID, LISTED, BAD, LABEL, KEY = (
    *("3530111333300000", "30569309025904", "5105105105105100", "4012888888881881", "2223003122003222"),
    "6304000000000000",
)
SPACED = "4000 1234-5678 9017"
EMAIL = "ada.lovelace@example.org"
PLANTED = [*CARDS, ACCOUNT, ID, LISTED, BAD, LABEL, KEY, SPACED, EMAIL]


def guarded() -> Pipeline:
    """Id, card, account and email are sensitive; cards are looked up in a list, and a rule hits each event."""
    small = pipeline(shops=True, partitions=1)
    fields = tuple(msgspec.structs.replace(each, sensitive=each.name in ("card", "id")) for each in small.event.fields)
    more = (
        Field(name="account", type=FieldType.INTEGER, required=False, sensitive=True),
        Field(name="email", type=FieldType.STRING, path="who.email", required=False, sensitive=True, aliases=("mail",)),
    )
    listed = Feature(name="watched", kind=FeatureKind.IN_LIST, of="card", list="cards")
    return msgspec.structs.replace(
        small,
        event=msgspec.structs.replace(small.event, fields=(*fields, *more)),
        lists=(ValueList(name="cards", values=(LISTED,), file="cards.txt"),),
        features=(*small.features, listed),
    )


def payment(number: int, card: str, **more: object) -> bytes:
    known = {"id": f"{ID}-{number}", "at": START_MS + number, "card": card, "shop": "s", "amount": 950}
    return json.dumps(known | more).encode()


def inputs() -> tuple[list[bytes], list[bytes], int]:
    """Events with all that is planted, what is no event, and how many are."""
    good = [payment(number, card, account=int(ACCOUNT)) for number, card in enumerate(CARDS)]
    good[2] = good[2].replace(b'"5', b'"\\u0035', 1)
    good += [payment(10, SPACED, who={"email": EMAIL}, mail=f"old.{EMAIL}"), payment(11, "1", mail=EMAIL)]
    good += [payment(12, LISTED), payment(12, LISTED)]
    wrong = [
        payment(20, BAD)[:-1],
        payment(21, BAD, amount=f"{BAD} EUR"),
        payment(22, BAD, at=BAD),
        payment(23, BAD, shop=int(BAD)),
        payment(24, BAD, id=None),
        payment(25, BAD)[:-1] + f',"{BAD}":1,"{BAD}":2}}'.encode(),
        payment(26, BAD) + b"\xff",
        payment(27, BAD, account=f"{BAD}"),
        BAD.encode(),
        payment(28, CARDS[1])[:-1],
    ]
    return good, wrong, len(good)


def everything(bench: Workbench, logs: Iterable[str], sent: Iterable[bytes]) -> dict[str, bytes]:
    """All that is left behind, by where: topics but those of the input, files, tables, logs, what was sent on."""
    declared = bench.pipeline
    assert declared.labels is not None
    read_only = {declared.input.name, declared.labels.name}
    found: dict[str, bytes] = {}
    for name in (each for each in bench.admin.topics() if each.startswith(declared.name) and each not in read_only):
        records = read_committed(bench.settings, name)
        found[name] = b"\n".join(
            part for each in records for part in (each.key() or b"", each.value() or b"", str(each.headers()).encode())
        )
    own = {bench.file, bench.folder / "cards.txt"}  # what a person wrote
    for path in (each for each in bench.folder.rglob("*") if each.is_file() and each not in own):
        found[str(path.relative_to(bench.folder))] = b"\n".join(contents_of(path))
        if path.suffix == ".db":
            found[f"tables of {path.name}"] = "\n".join(sqlite3.connect(path).iterdump()).encode()
    return found | {"logs": "\n".join(logs).encode(), "sent on": b"\n".join(sent)}


def planted_in(data: bytes) -> set[str]:
    return {each for each in PLANTED if any(spelling in data for spelling in spellings(each))}


def run_everything(bench: Workbench, command: Run) -> tuple[list[str], list[bytes]]:
    """Scores what is planted, and keeps and tells of it in every way; returns what was logged, and what was sent on."""
    folder, broker = bench.folder, ("-b", bench.settings.bootstrap_servers)
    good, wrong, decided = inputs()
    bench.produce(bench.pipeline.input.name, [*good, *wrong], [KEY.encode()] * (len(good) + len(wrong)))
    assert bench.pipeline.labels is not None
    labels = [
        {"event_id": f"{ID}-1", "label": "fraud", "labelled_at": START_MS},
        {"event_id": LABEL, "label": BAD, "labelled_at": 1},
    ]
    bench.produce(bench.pipeline.labels.name, [*(json.dumps(each).encode() for each in labels), LABEL.encode()])
    bench.score_everything()
    logs = [(folder / "scorer.log").read_text()]
    with receiver() as hook, syslog() as siem:
        (folder / "notify.yaml").write_text(
            "channels: {cases: {kind: webhook, url: '${HOOK}', secret: '${SECRET}', allow_private: true}}\n"
        )
        (folder / "sinks.yaml").write_text(f"sinks: {{siem: {{kind: cef, url: 'tcp://127.0.0.1:{siem.port}'}}}}\n")
        environ = {"HOOK": f"http://127.0.0.1:{hook.port}/", "SECRET": "x" * 32}
        until = "--until-caught-up"
        for arguments in (
            ("sink", "store", "pipeline.yaml", until), ("sink", "lake", "pipeline.yaml", until),
            ("sink", "to", "siem", "pipeline.yaml", until), ("notify", "pipeline.yaml", "--from-beginning", until),
            ("alerts", "pipeline.yaml", "--from-beginning", "--limit", str(decided - 1)),
        ):  # fmt: skip
            done = command(*arguments, *broker, env=environ)
            assert done.returncode == 0, done.stderr
            logs += [done.stdout, done.stderr]
        return logs, [*(each.body for each in hook.requests), *(line.encode() for line in siem.lines)]


def assert_held_tokens(found: dict[str, bytes], keys: TokenKeys) -> None:
    """What was looked at held the events: all of it knows them by their tokens."""
    holding = " ".join(sorted(name for name, data in found.items() if keys.token(CARDS[0].encode()).encode() in data))
    for where in ("fraud-scores", "fraud-alerts", "tables of store.db", "lake/", "sent on", "logs"):
        assert where in holding, where
    assert any(name.endswith(".snapshot") for name in found)
    assert any(keys.token(EMAIL.encode()).encode() in data for data in found.values())


def assert_would_be_seen(bench: Workbench, keys: TokenKeys) -> None:
    """The input has all of it, and dead letters give it back to whoever has the key."""
    _, wrong, decided = inputs()
    topic = bench.pipeline.input.name
    came = b"\n".join(each.value() for each in read_committed(bench.settings, topic))
    seen = {each.replace(" ", "").replace("-", "") for each in PLANTED if each not in (EMAIL, LABEL, KEY, CARDS[2])}
    assert seen <= card_numbers(came.replace(b'"', b" "))
    assert len(bench.decisions()) == decided
    use_keys(lambda: keys)
    letters = bench.dead_letters()
    assert [original_of(each).value for each in letters if each["input"]["topic"] == topic] == wrong
    assert len(letters) == len(wrong) + 2
    assert all(original_of(letter).key in (KEY.encode(), None) for letter in letters)


def assert_shredded(bench: Workbench, kept: dict[str, bytes], keys: TokenKeys) -> None:
    """With the key file as it is now, no token on topics is the erased card's, and no dead letter with it opens."""
    now = keys.token(CARDS[1].encode()).encode()
    assert not any(now in data for data in kept.values())
    assert keys.token(CARDS[0].encode()).encode() in kept[bench.scores]
    _, wrong, _ = inputs()
    use_keys(lambda: keys)
    letters = [each for each in bench.dead_letters() if each["input"]["topic"] == bench.pipeline.input.name]
    named = [CARDS[1].encode() in record for record in wrong]
    assert any(named) and not all(named)
    assert [original_of(letter) is None for letter in letters] == named


def test_no_planted_number_or_address_is_left_anywhere(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, command: Run
) -> None:
    (tmp_path / "cards.txt").write_text(f"{CARDS[0]}\n")
    bench = Workbench(kafka_settings, guarded(), tmp_path, unique_id)
    found = everything(bench, *run_everything(bench, command))
    assert {name: planted for name, data in found.items() if (planted := planted_in(data))} == {}
    assert {name: numbers for name, data in found.items() if (numbers := card_numbers(data))} == {}
    keys = read_keys(tmp_path / ".fraudstream" / MADE_HERE, "the test")
    assert_held_tokens(found, keys)

    # One of them is erased: not even its token is left where something can be erased; on topics nobody knows it again.
    person = keys.token(CARDS[1].encode())
    assert sum(person.encode() in data for data in found.values()) > 4
    erased = command("erase", CARDS[1], "pipeline.yaml", "-b", bench.settings.bootstrap_servers)
    assert erased.returncode == 0 and "decisions 1" in erased.stdout, erased.stdout + erased.stderr
    kept = everything(bench, [], [])
    names = spellings(CARDS[1]) | spellings(person)
    still = {name for name, data in kept.items() if any(spelling in data for spelling in names)}
    assert still and still <= bench.admin.topics().keys()
    assert keys.token(CARDS[0].encode()).encode() in kept["tables of store.db"]
    assert_would_be_seen(bench, keys)
    assert_shredded(bench, kept, read_keys(tmp_path / ".fraudstream" / MADE_HERE, "the test"))


def test_a_scan_finds_numbers_however_they_are_written(tmp_path: Path) -> None:
    assert all(passes_luhn(each) for each in (*CARDS, ACCOUNT, ID, LISTED, BAD, LABEL, KEY))
    assert card_numbers(b'{"a":"4111 1111-1111 1111",b:378282246310005}') == {"4111111111111111", "378282246310005"}
    for none in (b"4111111111111112", b"0.4111111111111111", b"f4111111111111111a", b"1795784090599", b"41111111"):
        assert card_numbers(none) == set()
    assert card_numbers(b"4111111111111111-12 of 2026-11-27") == {"4111111111111111"}
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"card 4111111111111111"))
    assert card_numbers(b"\n".join(contents_of(path))) == {"4111111111111111"}
    for padding in range(3):
        hidden = base64.b64encode(b"x" * padding + b"4111111111111111" + os.urandom(3))
        assert any(spelling in hidden for spelling in spellings("4111111111111111"))
