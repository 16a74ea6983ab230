"""Dead letters hold the class, the reason, the coordinates and the original bytes."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from fraudstream.engine.deadletter import LARGEST_VALUE, Original, dead_letter, original_of
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.errors import SettingError
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret

REJECT = Reject(3, RejectClass.NOT_UTF8, "Byte 0 is \u201cwrong\u201d \ud800.")


def test_a_dead_letter_carries_the_bytes_and_where_they_came_from() -> None:
    letter = json.loads(dead_letter(REJECT, "payments", 2, 77, 1_700, b"\xff", b"\xfe\x00", "card-payments"))
    assert letter["class"] == "not_utf8"
    assert letter["reason"].startswith("Byte 0 is \u201cwrong\u201d")
    assert letter["input"] == {"topic": "payments", "partition": 2, "offset": 77}
    assert (letter["kafka_timestamp"], letter["pipeline"], letter["truncated"]) == (1_700, "card-payments", False)
    assert (base64.b64decode(letter["key_base64"]), base64.b64decode(letter["value_base64"])) == (b"\xff", b"\xfe\x00")
    assert letter["value_length"] == 2


def test_a_large_value_is_cut_but_hashed_whole() -> None:
    value = b"x" * 1_000_000
    letter = json.loads(dead_letter(REJECT, "payments", 2, 77, 1_700, None, value, "p"))
    assert base64.b64decode(letter["value_base64"]) == value[:LARGEST_VALUE]
    assert letter["value_sha256"] == hashlib.sha256(value).hexdigest()
    assert (letter["value_length"], letter["truncated"], letter["key_base64"]) == (1_000_000, True, None)


def test_a_tombstone_has_no_value() -> None:
    letter = json.loads(dead_letter(REJECT, "payments", 2, 77, 1_700, None, None, "p"))
    assert (letter["value_base64"], letter["value_length"], letter["value_sha256"]) == (None, None, None)


CARD = b"4111 1111 1111 1111"


def test_what_may_hold_a_card_number_is_sealed_and_opens_again(token_keys: TokenKeys) -> None:
    written = dead_letter(REJECT, "payments", 2, 77, 1_700, CARD, b"{" + CARD, "p", token_keys)
    letter = json.loads(written)
    assert (letter["sealed_with"], letter["value_length"], letter["truncated"]) == ("test", 20, False)
    assert "value_base64" not in letter and "value_sha256" not in letter
    assert not any(secret in written for secret in (CARD, base64.b64encode(CARD), base64.b64encode(b"{" + CARD)))
    assert original_of(letter) == Original(CARD, b"{" + CARD)
    assert written == dead_letter(REJECT, "payments", 2, 77, 1_700, CARD, b"{" + CARD, "p", token_keys)
    with pytest.raises(SettingError, match="not readable"):
        original_of({**letter, "input": {**letter["input"], "offset": 78}})


@pytest.mark.parametrize("keys", [None, TokenKeys("test", {"test": Secret.of(b"a secret that is none, for tests")})])
def test_the_original_of_a_dead_letter_is_the_record(keys: TokenKeys | None) -> None:
    for key, value in ((None, None), (b"", b""), (b"k", b"\xff" * (LARGEST_VALUE + 1))):
        letter = json.loads(dead_letter(REJECT, "payments", 2, 77, 1_700, key, value, "p", keys))
        assert original_of(letter) == Original(key, None if value is None else value[:LARGEST_VALUE])
    for wrong in (
        {},
        {"sealed_with": "test"},
        {"sealed_with": "test", "input": 1},
        {**letter, "key_sealed": 1, "key_base64": 1},
    ):
        with pytest.raises(ValueError, match="not a dead letter"):
            original_of(wrong)
