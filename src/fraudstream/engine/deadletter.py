"""Dead letters: records that cannot become a decision, with why, and enough to send them again."""

from __future__ import annotations

import base64
import hashlib
import json

from fraudstream.engine.reject import Reject

LARGEST_VALUE = 65_536
"""How many of a record's bytes a dead letter carries."""


def dead_letter(
    reject: Reject,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    pipeline: str,
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
    """
    members = {
        "class": reject.kind.value,
        "reason": reject.reason,
        "pipeline": pipeline,
        "input": {"topic": topic, "partition": partition, "offset": offset},
        "kafka_timestamp": timestamp_ms,
        "key_base64": _base64(None if key is None else key[:LARGEST_VALUE]),
        "value_base64": _base64(None if value is None else value[:LARGEST_VALUE]),
        "value_length": None if value is None else len(value),
        "value_sha256": None if value is None else hashlib.sha256(value).hexdigest(),
        "truncated": value is not None and len(value) > LARGEST_VALUE,
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
