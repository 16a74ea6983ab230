"""A backlog worked off as fast as a row can: events a second, and events a processor second that was really used.

What counts is the stretch from the middle of the output to its end, so that start and warm-up (compilers, caches) are
nobody's burden.
"""

from __future__ import annotations

import time
from typing import Any

from bench.peers.field import BACKLOG, Field, Progress
from bench.peers.processes import Tree, cpu_s_of
from bench.peers.rows import Row, Run

SAMPLE_S = 0.1
STARTS_WITHIN_S = 60
STANDS_STILL_S = 30
AT_MOST_S = 75


class Failed(Exception):
    """A row could not be measured; its text says why."""


def drain(field: Field, row: Row, number: int, events: int) -> dict[str, Any]:
    """One round of a row.

    Raises:
        Failed: It wrote nothing, stopped on the way or was too slow to be measured.
    """
    target, group = f"out-{row.name.replace('_', '-')}", f"{row.name.replace('_', '-')}-drain-{number}"
    field.fresh(target, *(f"{group}{each}" for each in row.topics))
    command = row.command(Run(field.folder, field.bootstrap, BACKLOG, target, group))
    progress = Progress(field, target)
    broker, tree = field.broker_pid, Tree(command, field.folder, f"{group}.log")
    try:
        samples = _watched(tree, progress, broker, events)
    finally:
        tree.end()
        progress.close()
        field.tidy(group)
    last = samples[-1]
    first = next(sample for sample in samples if sample[1] >= last[1] / 2)
    done, wall_s, cpu_s, broker_s = (last[place] - first[place] for place in (1, 0, 2, 3))
    if done <= 0 or wall_s <= 0 or cpu_s <= 0:
        raise Failed(f"all was done between two looks, {SAMPLE_S} s apart: too few events")
    return {
        "events": last[1],
        "counted": done,
        "events_per_s": done / wall_s,
        "events_per_cpu_s": done / cpu_s,
        "broker_cpu_us_per_event": broker_s / done * 1e6,
        "cores_used": cpu_s / wall_s,
        "cpu_s_with_start": last[2],
        "wall_s_with_start": last[0] - samples[0][0],
        "peak_memory_mb": tree.peak_memory_mb,
    }


def _watched(tree: Tree, progress: Progress, broker: int, events: int) -> list[tuple[float, int, float, float]]:
    """Instant, output offset, processor seconds of the row and of the broker, every tenth of a second to the end."""
    samples: list[tuple[float, int, float, float]] = []
    began = moved = time.monotonic()
    while True:
        now, offset = time.monotonic(), progress()
        if samples and offset > samples[-1][1]:
            moved = now
        samples.append((now, offset, tree.cpu_s(), cpu_s_of(broker)))
        if offset >= events:
            return samples
        if tree.ended:
            raise Failed(f"it ended by itself after {offset:,} events: {tree.last_words()}")
        if offset == 0 and now - began > STARTS_WITHIN_S:
            raise Failed(f"it wrote nothing in {STARTS_WITHIN_S} s: {tree.last_words()}")
        if offset and now - moved > STANDS_STILL_S:
            raise Failed(f"it stood still after {offset:,} events: {tree.last_words()}")
        if now - began > AT_MOST_S:
            if offset < events / 5:
                raise Failed(f"it wrote {offset:,} of {events:,} events in {AT_MOST_S} s: {tree.last_words()}")
            return samples
        time.sleep(SAMPLE_S)
