"""Snapshots: the state at known offsets, in one file that is either whole and right, or rejected.

    magic · length of the header · header (JSON) · arrays · BLAKE2b of all before

A snapshot is written beside its place, flushed to disk, moved there, and its folder flushed: a crash at any moment
leaves the older snapshots and at most an unused draft. It may be newer than what was committed; whoever restores
chooses the newest one whose offsets are not beyond the committed offsets, and replays the log from there.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fraudstream import failpoints
from fraudstream.errors import StateError
from fraudstream.plan.plan import Plan
from fraudstream.state.kernels import log_rows as kernel
from fraudstream.state.log import Log
from fraudstream.state.state import State

MAGIC = b"fsstate2"
_DIGEST_BYTES = 16
_KEPT = 3
_CHUNK_BYTES = 1 << 22
_ALIGNMENT = 64

Arrays = dict[str, npt.NDArray[Any]]


class _Array(msgspec.Struct, frozen=True):
    name: str
    dtype: str
    shape: tuple[int, ...]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says about itself.

    Attributes:
        identity: The plan's state identity.
        description: What decides what is stored, as `describe_state` gives it, to say what changed.
        log: The ids of the cluster and the topics that the offsets are of.
        offsets: The next offset to process, by `topic/partition`.
        sequence: How many events had been decided.
        pipeline: Whose state it is; empty in snapshots of older versions.
        arrays: The arrays that follow, in order.
    """

    identity: str
    description: dict[str, Any]
    log: dict[str, str]
    offsets: dict[str, int]
    sequence: int
    pipeline: str = ""
    arrays: tuple[_Array, ...] = ()


class CaptureMemory:
    """The memory that states are copied to, kept from snapshot to snapshot.

    The system takes ten times as long to hand out fresh memory as copying takes, and the stream stands still while
    its state is copied: so the memory is made beforehand, by another thread.
    """

    def __init__(self) -> None:
        self._bytes = np.zeros(0, np.uint8)

    @property
    def n_bytes(self) -> int:
        """How much there is."""
        return len(self._bytes)

    def make_room(self, n_bytes: int) -> None:
        """Makes room for so much, and for a quarter more: state grows."""
        self._bytes = np.empty(0, np.uint8)
        self._bytes = np.full(n_bytes + n_bytes // 4, 0, np.uint8)

    def copies(self, arrays: Arrays) -> Arrays:
        """Copies of the arrays, some 10 ms for each 100 MB; the next call overwrites them."""
        if bytes_of(arrays) > self.n_bytes:
            self.make_room(bytes_of(arrays))
        copies: Arrays = {}
        start = 0
        for name, array in arrays.items():
            copies[name] = self._bytes[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            np.copyto(copies[name], array)
            start += _aligned(array.nbytes)
        return copies


def bytes_of(arrays: Arrays) -> int:
    """How much memory copies of the arrays take."""
    return sum(_aligned(array.nbytes) for array in arrays.values())


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


def arrays_of(state: State) -> Arrays:
    """The state's arrays themselves, without their unused room."""
    arrays: Arrays = {}
    for index, keyed in enumerate(state.logs):
        keys = keyed.keys
        arrays |= {f"{index}.{part}": array for part, array in keys.arrays().items()}
        log = keyed.events
        arrays[f"{index}.events.pool"] = log.pool[: log.counters[kernel.USED]]
        arrays[f"{index}.events.blocks"] = log.blocks[: min(keys.n_keys, len(log.blocks))]
        arrays[f"{index}.events.counters"] = log.counters
    if state.ids is not None:
        arrays |= {"ids.table": state.ids.table, "ids.counters": state.ids.counters}
    return arrays


def restore(plan: Plan, header: Header, arrays: Arrays) -> State:
    """The state a snapshot was taken of."""
    state = State(plan)
    state.sequence = header.sequence
    failpoints.hit("restore")
    for index, keyed in enumerate(state.logs):
        keyed.keys.restore({part: arrays[f"{index}.{part}"] for part in keyed.keys.arrays()})
        _restore_log(keyed.events, arrays, f"{index}.events")
    if state.ids is not None:
        state.ids.table, state.ids.counters = arrays["ids.table"], arrays["ids.counters"]
    return state


def _restore_log(log: Log, arrays: Arrays, prefix: str) -> None:
    log.counters = arrays[f"{prefix}.counters"]
    pool, blocks = arrays[f"{prefix}.pool"], arrays[f"{prefix}.blocks"]
    log.pool = np.zeros((max(len(pool), len(log.pool)), pool.shape[1]), np.int64)
    log.pool[: len(pool)] = pool
    if len(blocks) > len(log.blocks):
        log.blocks = blocks
    else:
        log.blocks[: len(blocks)] = blocks


def write_snapshot(folder: Path, header: Header, arrays: Arrays) -> Path:
    """Writes a snapshot and removes all but the newest few; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    header = msgspec.structs.replace(
        header, arrays=tuple(_Array(name, array.dtype.str, array.shape) for name, array in arrays.items())
    )
    encoded = msgspec.json.encode(header)
    target = folder / f"{header.sequence:020d}.snapshot"
    draft = target.with_suffix(".draft")
    for abandoned in folder.glob("*.draft"):
        abandoned.unlink(missing_ok=True)
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with draft.open("wb") as file:
        for piece in (MAGIC, struct.pack("<Q", len(encoded)), encoded):
            digest.update(piece)
            file.write(piece)
        for array in arrays.values():
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            for at in range(0, len(raw), _CHUNK_BYTES):
                digest.update(raw[at : at + _CHUNK_BYTES])
                file.write(raw[at : at + _CHUNK_BYTES])
            failpoints.hit("mid-snapshot")
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, target)
    failpoints.hit("before-folder-sync")
    _flush_folder(folder)
    # The last ones written, not those with the highest sequence: snapshots of a topic that was made anew since then
    # may have higher ones, and would push out every new snapshot.
    written = sorted(snapshots_in(folder), key=lambda path: (path == target, path.stat().st_mtime_ns), reverse=True)
    for old in written[_KEPT:]:
        old.unlink(missing_ok=True)
    return target


def snapshots_in(folder: Path) -> list[Path]:
    """The snapshots of a folder, newest first."""
    return sorted(folder.glob("*.snapshot"), reverse=True)


def read_header(path: Path) -> Header:
    """What a snapshot says about itself, unverified.

    Raises:
        StateError: It is not a snapshot, or does not begin as one.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(MAGIC) + 8)
            if len(begin) < len(MAGIC) + 8 or begin[: len(MAGIC)] != MAGIC:
                raise StateError(f"{path} is not a snapshot, or only the beginning of one.")
            (length,) = struct.unpack("<Q", begin[len(MAGIC) :])
            return msgspec.json.decode(file.read(min(length, path.stat().st_size)), type=Header)
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(f"The snapshot {path} cannot be read: {error}.") from error


def read_snapshot(path: Path) -> tuple[Header, Arrays]:
    """Reads and verifies a snapshot.

    Raises:
        StateError: It is torn, altered, or not a snapshot.
    """
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        raise StateError(f"The snapshot {path} cannot be read: {error}.") from error
    body = raw[:-_DIGEST_BYTES]
    if len(raw) < len(MAGIC) + 8 + _DIGEST_BYTES or bytes(raw[: len(MAGIC)]) != MAGIC:
        raise StateError(f"{path} is not a snapshot, or only the beginning of one.")
    if hashlib.blake2b(body.data, digest_size=_DIGEST_BYTES).digest() != bytes(raw[-_DIGEST_BYTES:]):
        raise StateError(f"The snapshot {path} is damaged: its checksum does not match.")
    at = len(MAGIC) + 8
    (length,) = struct.unpack("<Q", bytes(raw[len(MAGIC) : at]))
    header = msgspec.json.decode(bytes(raw[at : at + length]), type=Header)
    at += length
    arrays: Arrays = {}
    for each in header.arrays:
        size = int(np.prod(each.shape)) * np.dtype(each.dtype).itemsize
        # A copy of its own: the arrays grow independently, and alignment is not the file's concern.
        arrays[each.name] = np.frombuffer(bytes(body[at : at + size]), each.dtype).reshape(each.shape).copy()
        at += size
    return header, arrays


def _flush_folder(folder: Path) -> None:
    """Makes the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
