"""What the scan reads and writes, as the addresses it gets: see `memory.Address` for why not arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudstream.engine.kernels.memory import Address

STRING, INTEGER, DECIMAL, FLOAT, BOOLEAN, ISO, EPOCH_MS, EPOCH_S, SENSITIVE_STRING, SENSITIVE_INTEGER = range(10)
"""How a column is read. Of the sensitive ones it is noted where the value stands; an integer is read as a text."""
LEAF, INNER, LOCATION, UNCLEAR = range(4)
"""What may stand at a node: a value, an object, a location's name or object; UNCLEAR goes to the reference decoder."""
DEEPEST = 64
"""How many levels of objects and arrays a record may have."""
LONGEST_TEXT = 1_024
"""How many UTF-8 bytes a wanted string may have."""
KEY_SLOTS = 1_024
"""The size of the table of a record's unknown keys."""
MOST_KEYS = 512
"""The reference decoder looks at records with more unknown keys."""


class Paths(NamedTuple):
    """The wanted paths, a tree whose node 0 is the record's object, and how to read what stands at them.

    Attributes:
        nodes: How many nodes.
        slot_mask: How many slots, minus 1; they are a power of two.
        required_count: How many columns are required.
        location_count: How many locations are required.
        keys: uint8: the text of all nodes' last keys, with spare bytes.
        key_start: int64[nodes]: where in `keys` a node's key starts.
        key_length: int64[nodes].
        parent: int64[nodes].
        mode: int64[nodes]: LEAF, INNER, LOCATION or UNCLEAR.
        first: int64[nodes + 1]: a node's columns are `columns[first[node]:first[node + 1]]`.
        columns: int64: indexes of columns.
        slots: int64[slots]: hash table from a node's parent and key to the node.
        kind: int64[columns]: STRING, INTEGER, ….
        scale: int64[columns]: decimals' digits after the point.
        bound: float64[columns]: floats' largest absolute value.
        text: int64[columns]: a text column's index among those.
        sensitive: int64[columns]: a sensitive column's index among those.
        required: int64[required_count]: the columns that must have a value.
        locations: int64[location_count, 3]: name, latitude and longitude columns of required locations.
    """

    nodes: int
    slot_mask: int
    required_count: int
    location_count: int
    keys: Address
    key_start: Address
    key_length: Address
    parent: Address
    mode: Address
    first: Address
    columns: Address
    slots: Address
    kind: Address
    scale: Address
    bound: Address
    text: Address
    sensitive: Address
    required: Address
    locations: Address


class Cells(NamedTuple):
    """Where the values go. All but `side` are matrices of one row a column and `stride` cells a row.

    Attributes:
        stride: How many cells a row of the matrices has.
        side_at: What an unescaped text's place in `side` is added to: the buffer's size, as `side` is appended to it.
        side_size: How many bytes `side` has.
        numbers: int64[columns, stride]: integers, minor units, epoch ms, 0 and 1, a float's bits, or the low half of a
            text's fingerprint.
        valid: bool[columns, stride]: all False before the scan.
        high: uint64[texts, stride]: high halves of fingerprints.
        start: int64[texts, stride]: where a text stands in the buffer.
        length: int64[texts, stride].
        value_start: int64[sensitive, stride]: where a sensitive value stands in the buffer, its quote included.
        value_length: int64[sensitive, stride].
        side: uint8[side_size]: texts that had escapes, without them.
    """

    stride: int
    side_at: int
    side_size: int
    numbers: Address
    valid: Address
    high: Address
    start: Address
    length: Address
    value_start: Address
    value_length: Address
    side: Address


class Scratch(NamedTuple):
    """What the scan remembers between and within records.

    Attributes:
        used: int64[2]: bytes of `side` used; unknown keys in the record.
        node: int64[DEEPEST]: the node of each open object or array.
        previous: int64[DEEPEST]: which entry of `follow` the next key belongs to.
        number: int64[DEEPEST]: which of the record's objects each open one is, from 1 on; 0 for an array.
        seen: int64[nodes]: the row in which a node was last seen, plus 1.
        key_hash: uint64[KEY_SLOTS]: the unknown keys of a record's objects; one that comes again is a duplicate.
        key_row: int64[KEY_SLOTS]: which row a slot belongs to, plus 1.
        follow: int64[2 · nodes]: which of an object's keys came behind which the last time, a guess that is nearly
            always right: [node] a sibling of the node, [nodes + node] a child of it, the object's first key.
    """

    used: Address
    node: Address
    previous: Address
    number: Address
    seen: Address
    key_hash: Address
    key_row: Address
    follow: Address


def address(array: np.ndarray) -> Address:
    """The address of an array's first element. Whoever passes it on keeps the array alive."""
    return int(array.__array_interface__["data"][0])


def scratch_of(work: np.ndarray, follow: np.ndarray, nodes: int) -> Scratch:
    """Scratch within one array of zeros, int64[scratch_size(nodes)]."""
    sizes = (2, DEEPEST, DEEPEST, DEEPEST, nodes, KEY_SLOTS, KEY_SLOTS)
    base = address(work)
    starts = [base + 8 * sum(sizes[:place]) for place in range(len(sizes))]
    return Scratch._make([*starts, address(follow)])


def scratch_size(nodes: int) -> int:
    """How many int64 `scratch_of` needs."""
    return 2 + 3 * DEEPEST + nodes + 2 * KEY_SLOTS
