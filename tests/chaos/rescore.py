"""I7: the log, scored anew in the recorded order by the same definitions, gives the same bytes apart from `decided_at`.

    python tests/chaos/rescore.py FACTS PIPELINE    prints what differs; exit code 1 where anything does

Other than the checker this runs the engine, on purpose: in one process that nothing happens to, in batches cut
elsewhere than the scorers cut theirs.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from invariants import Facts, coordinates, shown
from reading import Record, read_all

from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.program import Program
from fraudstream.plan.plan import Plan
from fraudstream.runner.outputs import Outputs
from fraudstream.state.ids import Labels
from fraudstream.state.state import State

INSTANT = re.compile(rb'"(decided_at|alert_at)":(?:\d+|"[^"]*")')
Place = tuple[int, int]


def timeless(value: bytes | None) -> bytes:
    """A record without the instant at which it was decided."""
    return INSTANT.sub(rb'"\1":0', value or b"")


def scored_anew(
    plan: Plan, inputs: dict[Place, Record], order: list[Place], seed: int = 0
) -> Iterator[dict[str, list[bytes]]]:
    """The records of all routes, topic by topic, of the events at these places in this order, batch after batch."""
    dice = random.Random(seed)
    program, decoder, outputs = Program(plan), Decoder(plan.pipeline.event), Outputs(plan)
    state = State(plan)
    at = 0
    while at < len(order):
        count = dice.choice((1, 7, 300, 4_096))
        places = order[at : at + count]
        at += count
        records = [inputs[place] for place in places]
        decoded = decoder.decode([record.value for record in records], np.array([r.at_ms for r in records], np.int64))
        if not decoded.ok.all():
            raise ValueError(f"a decision was made of what is no event, among {places[:3]} …")
        partitions, offsets = (np.array(column, np.int64) for column in zip(*places, strict=True))
        batch = Batch.of(decoded, records[0].topic, partitions.astype(np.int32), offsets)
        batch = batch.take(np.arange(len(records), dtype=np.int64))
        made = outputs.of(program.decide(state, batch, Labels.none(), 0), [])
        yield {each.topic: each.values for each in made}


def differences(plan: Plan, facts: Facts, read: Callable[[str], list[Record]]) -> list[str]:
    """What the replay gives otherwise than was committed."""
    inputs = {(record.partition, record.offset): record for record in read(facts.input)}
    scores = {json.loads(each.value or b"")["decision"]["sequence"]: each.value for each in read(facts.scores)}
    alerts = {place_of(each.value): each.value for each in read(facts.alerts)}
    numbers = sorted(scores)
    order = [place_of(scores[number]) for number in numbers]
    wrong, told, at = [], 0, 0
    try:
        for topics in scored_anew(plan, inputs, order):
            for value in topics.get(facts.scores, []):
                if timeless(value) != timeless(scores[numbers[at]]):
                    wrong.append(f"{order[at]}: another decision")
                at += 1
            for value in topics.get(facts.alerts, []):
                told += 1
                if timeless(value) != timeless(alerts.get(place_of(value))):
                    wrong.append(f"{place_of(value)}: another alert")
    except ValueError as error:
        wrong.append(str(error))
    if (at, told) != (len(scores), len(alerts)):
        wrong.append(f"{at} decisions and {told} alerts came, not {len(scores)} and {len(alerts)}")
    return shown("I7", wrong)


def place_of(value: bytes | None) -> Place:
    """Partition and offset that an alert, or a decision, names."""
    document: dict[str, Any] = json.loads(value or b"")
    return coordinates((document.get("decision") or document)["input"])


def main() -> int:
    """The program."""
    from fraudstream.pipelines import find_plan

    facts = Facts(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    plan = find_plan(sys.argv[2])
    wrong = differences(plan, facts, lambda topic: read_all(facts.bootstrap, topic))
    print(json.dumps(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
