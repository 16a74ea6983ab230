"""What a snapshot keeps of each card's events, read from the file's bytes alone; part of the checker.

    magic · length of the header · header (JSON) · arrays · BLAKE2b of all before

A key's events are consecutive rows of a pool, in time order: the time, and the running sum of amounts, of which the
row before the first event holds the beginning. How the keys are named is of no interest here.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from array import array
from pathlib import Path
from typing import Any, NamedTuple

MAGIC, DIGEST_BYTES = b"fsstate2", 16
OFFSET, HEAD, LENGTH = 0, 2, 3
History = tuple[tuple[int, int], ...]
"""Times and amounts (minor units) of one key's events, rising."""


class Kept(NamedTuple):
    """A snapshot's content.

    Attributes:
        offsets: The next offset to process, by partition of the input.
        histories: One for each card, in no order that means anything.
    """

    offsets: dict[int, int]
    histories: list[History]


def read_kept(path: Path, topic: str) -> Kept:
    """Reads a snapshot; raises ValueError where it is not what its checksum says."""
    content = path.read_bytes()
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{path.name} is no snapshot")
    if hashlib.blake2b(content[:-DIGEST_BYTES], digest_size=DIGEST_BYTES).digest() != content[-DIGEST_BYTES:]:
        raise ValueError(f"the checksum of {path.name} is wrong")
    (length,) = struct.unpack_from("<Q", content, len(MAGIC))
    at = len(MAGIC) + 8
    header = json.loads(content[at : at + length])
    at += length
    arrays: dict[str, tuple[list[int], memoryview]] = {}
    for each in header["arrays"]:
        size = math.prod(each["shape"]) * int(each["dtype"][2:])
        arrays[each["name"]] = each["shape"], memoryview(content)[at : at + size]
        at += size
    offsets = {
        int(place.rpartition("/")[2]): offset
        for place, offset in header["offsets"].items()
        if place.rpartition("/")[0] == topic
    }
    return Kept(offsets, histories_of(arrays))


def histories_of(arrays: dict[str, Any]) -> list[History]:
    """The histories of the first log, whose rows are times and running sums."""
    (_, width), pool_bytes = arrays["0.events.pool"]
    (keys, block_width), block_bytes = arrays["0.events.blocks"]
    pool, blocks = array("q", bytes(pool_bytes)), array("q", bytes(block_bytes))
    found = []
    for key in range(keys):
        block = blocks[key * block_width : (key + 1) * block_width]
        first = block[OFFSET] + block[HEAD]
        rows = range(first, first + block[LENGTH])
        amounts = [(pool[row * width], pool[row * width + 1] - pool[(row - 1) * width + 1]) for row in rows]
        found.append(tuple(sorted(amounts)))
    return found


def digest_of(histories: list[History]) -> str:
    """A hash of histories, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(histories)).encode()).hexdigest()
