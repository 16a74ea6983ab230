"""Dead letters: records that cannot become a decision, with why, and enough to send them again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fraudstream.engine.reject import Reject
from fraudstream.tokens.held import held_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.record import RecordKey

LARGEST_VALUE = 65_536
"""How many of a record's bytes a dead letter carries."""
NOTE = b'{"redriven":'
"""What a note begins with that stands among dead letters, and says of one that it was sent through again."""


def dead_letter(
    reject: Reject,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    pipeline: str,
    keys: TokenKeys | None = None,
) -> bytes:
    """A dead letter as JSON.

    Args:
        reject: Why the record is one.
        topic: Where the record came from.
        partition: Where the record came from.
        offset: Where the record came from.
        timestamp_ms: Its Kafka timestamp.
        key: Its key; kept up to `LARGEST_VALUE` bytes.
        value: Its value; kept up to `LARGEST_VALUE` bytes, hashed whole.
        pipeline: The pipeline that refused it.
        keys: What seals its key and value, where events have sensitive fields: a record that cannot be read may hold
            them anywhere. A hash of it would tell the value to whoever tries all card numbers, so that is keyed, too.
    """
    own = None if keys is None else keys.record_key(f"{topic}/{partition}/{offset}")
    kept = {
        "key": None if key is None else key[:LARGEST_VALUE],
        "value": None if value is None else value[:LARGEST_VALUE],
    }
    members = {
        "class": reject.kind.value,
        "reason": reject.reason,
        "pipeline": pipeline,
        "input": {"topic": topic, "partition": partition, "offset": offset},
        "kafka_timestamp": timestamp_ms,
        **({} if keys is None else {"sealed_with": keys.active}),
        **_kept(kept, own),
        "value_length": None if value is None else len(value),
        **_hash(value, own),
        "truncated": value is not None and len(value) > LARGEST_VALUE,
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


class Original(NamedTuple):
    """What a dead letter was, up to `LARGEST_VALUE` bytes of each."""

    key: bytes | None
    value: bytes | None


def original_of(letter: Mapping[str, Any]) -> Original | None:
    """The key and value of the record that became a dead letter, opened with this process's token keys where sealed.

    None where the keys have forgotten how to open it: it named a person who was erased.

    Args:
        letter: The members of the dead letter's JSON.

    Raises:
        ValueError: It is no dead letter.
        SettingError: It was sealed with a key that is not held.
    """
    try:
        if "sealed_with" not in letter:
            return Original(*(_decoded(letter[f"{name}_base64"]) for name in Original._fields))
        own = held_keys().record_key(place_of(letter), letter["sealed_with"])
        sealed = {name: letter[f"{name}_sealed"] for name in Original._fields}
        opened = {name: own.unseal(name, text) for name, text in sealed.items() if text is not None}
        return None if None in opened.values() else Original(opened.get("key"), opened.get("value"))
    except (KeyError, TypeError, AttributeError) as wrong:
        raise ValueError("not a dead letter") from wrong


def place_of(letter: Mapping[str, Any]) -> str:
    """Where the record stands that became a dead letter: what it is sealed for."""
    came = letter["input"]
    return f"{came['topic']}/{came['partition']}/{came['offset']}"


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _kept(parts: Mapping[str, bytes | None], own: RecordKey | None) -> dict[str, str | None]:
    """Key and value as base64, or sealed with the record's own key."""
    if own is None:
        return {
            f"{name}_base64": None if part is None else base64.b64encode(part).decode() for name, part in parts.items()
        }
    return {f"{name}_sealed": None if part is None else own.seal(name, part) for name, part in parts.items()}


def _hash(value: bytes | None, own: RecordKey | None) -> dict[str, str | None]:
    if own is None:
        return {"value_sha256": None if value is None else hashlib.sha256(value).hexdigest()}
    return {"value_hmac": None if value is None else own.hash(value)}
