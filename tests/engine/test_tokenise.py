"""Tokens take the place of sensitive values in columns and bytes, and nothing else of an event changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest
from decoding import now, values_of
from hypothesis import given
from hypothesis import strategies as st

from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.decode import Decoded, Decoder
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.tokenise import Tokeniser
from fraudstream.errors import UsageError
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keys import TokenKeys

EVENT = Event(
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="card", type=FieldType.STRING, sensitive=True),
        Field(name="account", type=FieldType.INTEGER, path="who.account", sensitive=True, required=False),
        Field(name="email", type=FieldType.STRING, path="who.email", sensitive=True, required=False),
        Field(name="note", type=FieldType.STRING, path="note", required=False),
    ),
    id="id",
    max_bytes=2_000,
)
DECODER = Decoder(EVENT)


def written(decoded: Decoded, row: int) -> bytes:
    start = int(decoded.start[row])
    return decoded.buffer[start : start + int(decoded.length[row])].tobytes()


def test_a_token_stands_where_the_value_stood_and_all_else_is_as_it_was(token_keys: TokenKeys) -> None:
    record = (
        b'{ "note":"a\\u0062c", "who": {"email" : "a@b.c","x":[1, 2], "account":4111111111111111 },'
        b'"card":"5500"  ,"id":"7"}'
    )
    decoded = DECODER.decode([record], now(1))
    tokens = [token_keys.token(value) for value in (b"a@b.c", b"4111111111111111", b"5500")]
    expected = record
    for value, token in zip((b'"a@b.c"', b"4111111111111111", b'"5500"'), tokens, strict=True):
        expected = expected.replace(value, b'"' + token.encode() + b'"')
    assert (written(decoded, 0), decoded.slow_rows) == (expected, 0)
    assert [values_of(decoded, name) for name in ("email", "account", "card", "note", "id")] == [
        *([token] for token in tokens), ["abc"], ["7"],
    ]  # fmt: skip


texts = st.text('4aé"\\\n\0😀 ', max_size=5)
members = st.dictionaries(
    st.sampled_from(["card", "id", "note", "who", "more"]),
    st.one_of(
        texts,
        st.none(),
        st.fixed_dictionaries({}, optional={"email": texts, "account": st.integers(-5, 2**63), "more": texts}),
    ),
)


@given(st.lists(st.tuples(members, st.booleans(), st.sampled_from([b"", b"  "])), max_size=12), st.integers(0, 12))
def test_any_events_are_as_if_each_value_had_been_its_token(
    found: list[tuple[dict[str, Any], bool, bytes]], cut: int
) -> None:
    """Escapes, spaces, absent and null values, bad records among good ones, and batches that were gathered."""
    keys = DECODER._tokeniser.keys  # type: ignore[union-attr]
    events = [{"id": "1", "card": "4111", **event} for event, _, _ in found]
    records = [space + json.dumps(event, ensure_ascii=escaped).encode("utf-8", "replace") + space
               for event, (_, escaped, space) in zip(events, found, strict=True)]  # fmt: skip
    decoded = DECODER.decode([*records], now(len(records)))
    zeros = np.zeros(len(records), np.int32)
    whole = Batch.of(decoded, "t", zeros, np.arange(len(records)))
    rows = np.flatnonzero(decoded.ok)
    batch = gather([(whole, rows[:cut]), (whole, rows[cut:])])
    for place, row in enumerate(rows.tolist()):
        expected = json.loads(records[row])
        if expected["card"] is not None:
            expected["card"] = keys.token(expected["card"].encode())
        who = expected.get("who")
        for name in ("email", "account"):
            if who is not None and who.get(name) is not None:
                who[name] = keys.token(str(who[name]).encode())
        start = int(batch.start[place])
        assert json.loads(batch.buffer[start : start + int(batch.length[place])].tobytes()) == expected
        told = {"id": expected["id"], "card": expected["card"], "note": expected.get("note"),
                "email": (who or {}).get("email"), "account": (who or {}).get("account")}  # fmt: skip
        for name, value in told.items():
            column = batch.columns[name]
            valid = column.valid is None or bool(column.valid[place])
            assert valid == (value is not None), name
            if valid:
                assert column.start is not None and column.length is not None and column.high is not None
                at = int(column.start[place])
                text = batch.buffer[at : at + int(column.length[place])].tobytes()
                assert text == value.encode(), name
                assert (int(column.values[place]), int(column.high[place])) == fingerprint(text)


def test_no_value_stays_at_a_name_that_a_field_had_before(token_keys: TokenKeys) -> None:
    """Where both stand there one is read, and neither goes on."""
    card = msgspec.structs.replace(EVENT.fields[1], aliases=("old.pan", "pan"))
    decoder = Decoder(msgspec.structs.replace(EVENT, fields=(EVENT.fields[0], card)))
    records: list[bytes | None] = [
        b'{"id":"1","card":"41","pan":4242424242424242}', b'{"id":"2","old":{"pan":"42"},"card":null}',
        b'{"id":"3","pan":"43","card":"41","old":7}', b'{"id":"4","old":{"pan":"44","x":[4]}, "pan":"45"}',
    ]  # fmt: skip
    decoded = decoder.decode(records, now(4))
    tokens = [token_keys.token(value) for value in (b"41", b"42", b"43", b"44", b"45", b"4242424242424242")]
    assert values_of(decoded, "card") == [tokens[0], tokens[1], tokens[0], tokens[3]]
    assert [json.loads(written(decoded, row)) for row in range(4)] == [
        {"id": "1", "card": tokens[0], "pan": tokens[5]},
        {"id": "2", "old": {"pan": tokens[1]}, "card": None},
        {"id": "3", "pan": tokens[2], "card": tokens[0], "old": 7},
        {"id": "4", "old": {"pan": tokens[3], "x": [4]}, "pan": tokens[4]},
    ]


def test_an_event_that_has_tokens_already_keeps_them() -> None:
    once = DECODER.decode([b'{"id":"1","card":"4111","who":{"account":12}}'], now(1))
    twice = DECODER.decode([written(once, 0)], now(1))
    assert written(twice, 0) == written(once, 0)
    assert [values_of(twice, name) for name in ("card", "account")] == [
        values_of(once, name) for name in ("card", "account")
    ]


def test_no_raw_value_stays_in_a_record_that_is_refused() -> None:
    card = b"4111111111111111"
    bad = [
        b'{"id":"1","card":' + card + b"}", b'{"id":"1","card":"' + card + b'",' , b'{"id":' + card + b',"card":"1"}',
        b'{"id":"1","card":"5","note":' + card + b"}", b'{"' + card + b'":1,"' + card + b'":2}',
    ]  # fmt: skip
    decoded = DECODER.decode([*bad], now(len(bad)))
    assert len(decoded.rejects) == len(bad)
    assert not any(card.decode() in reject.reason for reject in decoded.rejects)
    assert not any(written(decoded, row) for row in range(len(bad)))


def test_values_are_forgotten_when_there_are_many_and_their_tokens_stay_the_same(
    monkeypatch: pytest.MonkeyPatch, token_keys: TokenKeys
) -> None:
    decoder = Decoder(EVENT)
    decoder._tokeniser = Tokeniser(token_keys, most=3_000)
    made = []
    monkeypatch.setattr(TokenKeys, "stands_for", lambda keys, value: made.append(value) or keys.token(value.encode()))
    for cards in (range(2_500), range(2_000, 5_000), range(2_500)):
        records: list[bytes | None] = [b'{"id":"1","card":"%d"}' % card for card in cards]
        decoded = decoder.decode(records, now(len(records)))
        assert values_of(decoded, "card") == [token_keys.token(b"%d" % card) for card in cards]
    assert len(made) == 2_500 + 2_500 + 2_500


def test_two_threads_may_decode_at_once(token_keys: TokenKeys) -> None:
    decoder = Decoder(EVENT)
    records: list[bytes | None] = [b'{"id":"1","card":"%d"}' % card for card in range(3_000)]

    def cards(begin: int) -> list[str]:
        return values_of(decoder.decode(records[begin : begin + 1_000], now(1_000)), "card")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(cards, [0, 500, 1_000, 1_500, 2_000] * 4))
    assert (
        found
        == [[token_keys.token(b"%d" % card) for card in range(b, b + 1_000)] for b in [0, 500, 1_000, 1_500, 2_000]] * 4
    )


def test_without_keys_nothing_is_decoded() -> None:
    use_keys(None)
    with pytest.raises(UsageError, match="token keys"):
        Decoder(EVENT)
