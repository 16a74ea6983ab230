"""A scorer on events with sensitive fields: tokens everywhere behind the decoder, histories go on under another key."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudstream.define.decision import ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline
from fraudstream.engine.deadletter import dead_letter, original_of
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.pipelines import find_plan
from fraudstream.runner.redrive import Chosen, redrive
from fraudstream.runner.sealed import Sealed, sealed_naming
from fraudstream.settings import Settings
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keyfile import read_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret
from fraudstream.tokens.source import MADE_HERE

from .small import START_MS, event, label, pipeline, scorer
from .workbench import PROGRAM, Workbench

pytestmark = pytest.mark.kafka

CARD, PERSON = "4111111111111111", "378282246310005"
FIRST = {"k1": Secret.of(b"1" * 32)}


def guarded() -> Pipeline:
    """Card and event id are sensitive; a list of cards, and labels by id."""
    small = pipeline(shops=True, partitions=1)
    fields = tuple(msgspec.structs.replace(each, sensitive=each.name in ("card", "id")) for each in small.event.fields)
    listed = Feature(name="watched", kind=FeatureKind.IN_LIST, of="card", list="cards")
    return msgspec.structs.replace(
        small,
        event=msgspec.structs.replace(small.event, fields=fields),
        lists=(ValueList(name="cards", values=(CARD,)),),
        features=(*small.features, listed),
    )


def score_with(bench: Workbench, keys: TokenKeys) -> None:
    """Runs a scorer until it has caught up. It is told of its settings' keys first, as a command would be."""
    use_keys(lambda: keys)
    scorer(bench).run(until_caught_up=True)


def prove_here(bench: Workbench, event_id: str, keys: TokenKeys) -> dict[str, object]:
    """What `fraudstream prove` says of an event, called by its value."""
    path = bench.folder / "keys.toml"
    secrets = "\n".join(f'{name} = "{base64.b64encode(name[1:].encode() * 32).decode()}"' for name in keys.held)
    path.write_text(f'active = "{keys.active}"\n[keys]\n{secrets}\n')
    arguments = ["prove", event_id, "--pipeline", str(bench.file), "-b", bench.settings.bootstrap_servers, "--json"]
    done = subprocess.run(
        [str(PROGRAM), *arguments, "--set", f"token_keys_file={path}"], cwd=bench.folder, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    return {name: found[name] for name in ("proved", "event_id")}


def test_histories_lists_and_labels_go_on_under_a_new_key(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The state is rebuilt from the log; decisions made before stay as they are, and keep the old key's tokens."""
    old, new = TokenKeys("k1", FIRST), TokenKeys("k2", FIRST | {"k2": Secret.of(b"2" * 32)})
    use_keys(lambda: old)
    bench = Workbench(kafka_settings, guarded(), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    bench.produce(topic, [event(0, card=CARD), event(1, card="c2"), event(2, card=CARD), b'{"card":"' + CARD.encode()])
    score_with(bench, old)
    assert bench.pipeline.labels is not None
    bench.produce(bench.pipeline.labels.name, [label(2, True, START_MS + 2_500)])
    bench.produce(topic, [event(3, card=CARD), event(2, card=CARD)])
    with caplog.at_level(logging.WARNING):
        score_with(bench, new)
    assert "the token key is not that of" in caplog.text
    decided = bench.decisions()

    def seen(name: str) -> list[Any]:
        return [each["decision"]["features"][name] for each in decided]

    assert seen("card_count") == [1, 1, 2, 3, 2]
    assert seen("watched") == [True, False, True, True, True]
    assert seen("shop_frauds") == [0, 0, 0, 1, 0]
    assert decided[4]["decision"]["flags"] == ["duplicate"]
    under = [old, old, old, new, new]
    cards = [keys.token(card.encode()) for keys, card in zip(under, (CARD, "c2", CARD, CARD, CARD), strict=True)]
    assert [each["event"]["card"] for each in decided] == cards
    ids = [keys.token(f"e{n}".encode()) for keys, n in zip(under, (0, 1, 2, 3, 2), strict=True)]
    assert [each["event"]["id"] for each in decided] == [each["decision"]["event_id"] for each in decided] == ids
    written = bench.read(bench.scores)
    assert {message.key().decode() for message in written} == set(cards)
    (letter,) = bench.read(bench.pipeline.dead_letters.name)
    assert letter.key() is None and CARD.encode() not in letter.value()
    assert original_of(json.loads(letter.value())).value == b'{"card":"' + CARD.encode()
    assert not any(CARD.encode() in message.value() for message in written)
    for number in (0, 2, 3):
        assert prove_here(bench, f"e{number}", new) == {"proved": True, "event_id": ids[number]}


def test_sealed_letters_are_sent_again_under_another_key(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """As they came, with their keys; then decided under the new key."""
    old, new = TokenKeys("k1", FIRST), TokenKeys("k2", FIRST | {"k2": Secret.of(b"2" * 32)})
    use_keys(lambda: old)
    bench = Workbench(kafka_settings, guarded(), tmp_path, unique_id)
    came = event(1, card=CARD).replace(b'"card"', b'"pan"')
    bench.produce(bench.pipeline.input.name, [came], [CARD.encode()])
    score_with(bench, old)
    use_keys(lambda: new)
    own = bench.pipeline.event
    fields = (msgspec.structs.replace(each, aliases=("pan",) if each.name == "card" else ()) for each in own.fields)
    bench.change(event=msgspec.structs.replace(own, fields=tuple(fields)))
    assert redrive(find_plan(bench.file), bench.settings, Chosen(), send=True).sent == 1
    first, again = bench.read(bench.pipeline.input.name)
    assert (again.key(), again.value()) == (first.key(), first.value()) == (CARD.encode(), came)
    scorer(bench, rebuild=True).run(until_caught_up=True)
    (decided,) = bench.decisions()
    assert decided["event"]["pan"] == new.token(CARD.encode())  # type: ignore[index]


def test_a_scorer_on_this_machine_makes_its_own_key_and_tells_of_it(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    bench = Workbench(kafka_settings, guarded(), tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, [event(0, card=CARD)])
    bench.score_everything()
    path = tmp_path / ".fraudstream" / MADE_HERE
    log = (tmp_path / "scorer.log").read_text()
    assert str(path) in log and "in production name a key file" in log
    secret = path.read_text().split('"')[-2]
    assert secret not in log and CARD not in log
    (decided,) = bench.decisions()
    assert decided["event"]["card"] == read_keys(path, "the test").token(CARD.encode())  # type: ignore[index]


def test_decisions_and_letters_of_who_was_erased_are_told_from_wrong_ones(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """A scorer goes on from its snapshot, with a history that begins anew; other cards' histories go on."""
    bench = Workbench(kafka_settings, guarded(), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    bench.produce(topic, [event(0, card=PERSON), event(1, card="c2"), b'{"card":"' + PERSON.encode(), b'{"card":"c2"'])
    bench.score_everything()
    path = tmp_path / ".fraudstream" / MADE_HERE
    before = read_keys(path, "the test")
    program = partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True)
    broker = ("-b", bench.settings.bootstrap_servers)
    erased = program([str(PROGRAM), "erase", PERSON, "pipeline.yaml", "--json", *broker])
    said = json.loads(erased.stdout)
    assert said["forgotten"] == {"keys": before.held, "letters": 1}, erased.stderr
    assert (erased.returncode, said["unknown"], said["left"]) == (0, {"pipelines": [], "keys": [], "letters": 0}, {})

    bench.produce(topic, [event(2, card=PERSON), event(3, card="c2")])
    bench.score_everything()
    decided = bench.decisions()
    assert [each["decision"]["features"]["card_count"] for each in decided] == [1, 1, 1, 2]
    now = read_keys(path, "the test").token(PERSON.encode())
    assert [each["event"]["card"] for each in decided][::2] == [before.token(PERSON.encode()), now]

    use_keys(lambda: read_keys(path, "the test"))
    found = redrive(find_plan(bench.file), bench.settings, Chosen(), send=False)
    assert (sum(found.erased.values()), sum(found.ready.values())) == (1, 1)
    counted = program([str(PROGRAM), "redrive", "pipeline.yaml", *broker])
    assert "1 cannot be opened any more" in counted.stderr
    proved = program([str(PROGRAM), "prove", "e0", "--pipeline", "pipeline.yaml", *broker])
    assert (
        proved.returncode == 1 and "the token of event.card on record is not what its key makes now" in proved.stderr
    ), proved.stdout
    assert program([str(PROGRAM), "prove", "e3", "--pipeline", "pipeline.yaml", *broker]).returncode == 0


def test_letters_that_nobody_can_open_keep_no_person_from_being_erased(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, token_keys: TokenKeys
) -> None:
    """Of a lost key, changed, or written by no scorer: they are counted, and what names the person is found."""
    bench = Workbench(kafka_settings, guarded(), tmp_path, unique_id)
    name, topic = bench.pipeline.name, bench.pipeline.input.name
    reject = Reject(0, RejectClass.NOT_JSON, "It is none.")
    texts = (b'{"card":"' + PERSON.encode(), b"another", b'{"card":"3782\\u0038' + PERSON[5:].encode())
    letters = [dead_letter(reject, topic, 0, n, 0, None, text, name, token_keys) for n, text in enumerate(texts)]
    letters.append(dead_letter(reject, topic, 0, 9, 0, PERSON.encode(), None, name, token_keys))
    wrong = [
        json.loads(letters[0]) | more
        for more in ({"sealed_with": "lost"}, {"value_sealed": "AAAA"}, {"sealed_with": ["test"]}, {"key_sealed": 1})
    ]
    plain = dead_letter(reject, topic, 0, 10, 0, None, PERSON.encode(), name)
    forged = [*(json.dumps(each).encode() for each in wrong), plain, b"{", json.dumps({"pipeline": name}).encode()]
    bench.produce(bench.pipeline.dead_letters.name, [*forged, *letters, None])
    found = sealed_naming(bench.settings, find_plan(bench.file), PERSON, [])
    assert found == Sealed({"test": {f"{topic}/0/0", f"{topic}/0/2", f"{topic}/0/9"}}, len(wrong))
