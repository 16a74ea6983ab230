"""Dead letters hold the class, the reason, the coordinates and the original bytes."""

from __future__ import annotations

import base64
import hashlib
import json

from fraudstream.engine.deadletter import LARGEST_VALUE, dead_letter
from fraudstream.engine.reject import Reject, RejectClass

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
