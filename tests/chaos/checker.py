"""Whether what lies in the topics is what delivery promises; a program that knows nothing of the scorer.

    python tests/chaos/checker.py watch FACTS    reads the outputs until SIGTERM and then to their end (for I4)
    python tests/chaos/checker.py check FACTS    prints a verdict; exit code 1 where an invariant does not hold

FACTS is a JSON file with the members of `invariants.Facts`.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import invariants
from invariants import Facts, Found
from reading import committed_offsets, consumer_of, ends, partitions_of, read_all, record_of


def check(facts: Facts) -> dict[str, Any]:
    """The verdict: counts, what was observed, and a list of violations."""
    committed = committed_offsets(facts.bootstrap, facts.group, facts.input)
    fresh = {topic: read_all(facts.bootstrap, topic) for topic in facts.outputs}
    inputs = read_all(facts.bootstrap, facts.input)
    found = Found.of(committed, inputs, *(fresh[topic] for topic in facts.outputs))
    aborted = sum(len(read_all(facts.bootstrap, topic, committed=False)) - len(fresh[topic]) for topic in facts.outputs)
    records = sum(map(len, fresh.values()))
    observed = dict(facts.observed or {}) | {"records": records, "aborted_records": aborted}
    violations = (
        invariants.i1_exactly_once(found) + invariants.i2_order(found, facts) + invariants.i3_state(found, facts)
    )
    violations += invariants.i3_snapshot(found, facts)
    latency_ms: dict[str, Any] = {}
    if facts.seen is not None:
        seen = seen_in(Path(facts.seen))
        violations += invariants.i4_no_aborted_reads(
            [each[:4] for each in seen], [record for records in fresh.values() for record in records]
        )
        latency_ms, unknown = invariants.i10_service(found, seen, facts)
        violations += unknown
    violations += invariants.i5_atomic(found)
    input_ends = {place[1]: end for place, end in ends(facts.bootstrap, [facts.input], stable=True).items()}
    stable, high = (ends(facts.bootstrap, facts.outputs, stable=stable) for stable in (True, False))
    violations += invariants.i6_live(committed, input_ends, stable, high)
    violations += invariants.i9_dead_letters(found, facts)
    violations += invariants.i13_not_vacuous(observed, facts.at_least or {})
    counts = {
        "inputs": len(inputs),
        "decisions": len(found.decisions),
        "alerts": len(found.alerts),
        "dead_letters": len(found.letters),
    }
    return {"counts": counts, "observed": observed, "latency_ms": latency_ms, "violations": violations}


def watch(facts: Facts) -> None:
    """Writes a line for every record of the outputs as it comes, until told to end; then goes on to their end."""
    assert facts.seen is not None, "watching needs a file to write to"
    ending: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(time.monotonic()))
    consumer = consumer_of(facts.bootstrap, f"watcher-{time.time_ns()}")
    places = partitions_of(consumer, facts.outputs)
    consumer.assign(places)
    at_end: set[tuple[str, int]] = set()
    with Path(facts.seen).open("w", encoding="utf-8") as file:
        while not (ending and len(at_end) == len(places) and time.monotonic() > ending[0] + 2):
            first = consumer.poll(0.1)
            for message in [first, *consumer.consume(5_000, 0)] if first is not None else []:
                place = (message.topic(), message.partition())
                if message.error() is None:
                    at_end.discard(place)
                    file.write(json.dumps([*record_of(message).fingerprint, time.time_ns() // 1_000_000]) + "\n")
                elif message.error().name() == "_PARTITION_EOF":
                    at_end.add(place)
            file.flush()
            if ending and time.monotonic() > ending[0] + 60:
                break  # what it did not see fails I4
    consumer.close()


def seen_in(path: Path) -> list[tuple[str, int, int, str, int]]:
    """What a watcher wrote: fingerprints, and when each was seen (epoch milliseconds)."""
    with path.open(encoding="utf-8") as file:
        return [tuple(json.loads(line)) for line in file if line.endswith("\n")]


def main() -> int:
    """The program."""
    what, path = sys.argv[1:]
    facts = Facts(**json.loads(Path(path).read_text(encoding="utf-8")))
    if what == "watch":
        watch(facts)
        return 0
    verdict = check(facts)
    print(json.dumps(verdict, indent=2))
    return 1 if verdict["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
