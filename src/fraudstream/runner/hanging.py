"""A transaction that hangs on the group's offsets: closed where that cannot repeat anything, else left to a person.

Kafka 4.3 and 4.4 can lose the marker that ends a transaction on a partition which has no leader at that moment
(KAFKA-20734). The offsets of the group then cannot be read, for good. Where the transaction was committed and only the
offsets' marker was lost, its decisions are visible already: aborting it would have them made a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from fraudstream.errors import StateError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.alternating import AlternatingProducer
from fraudstream.plan.plan import Plan
from fraudstream.runner.covered import SET_THEM, newest_shown
from fraudstream.runner.inputs import input_topics
from fraudstream.settings import Settings

LOGGER = logging.getLogger("fraudstream.runner")


def closer(
    settings: Settings, plan: Plan, producer: AlternatingProducer, group: str, outputs: Mapping[str, int]
) -> Callable[[], None]:
    """What to call when the group's offsets cannot be read.

    Args:
        settings: Which cluster.
        plan: Whose inputs the offsets are of.
        producer: Under whose transactional ids it hangs.
        group: Whose offsets they are.
        outputs: The topics written to, and their partitions.

    Returns:
        A function that closes what hangs, or raises StateError where decisions of it are visible.
    """

    def close() -> None:
        newest = list(newest_shown(settings, plan, outputs))
        # Asked afterwards: what another scorer of the group commits meanwhile is covered.
        stable = KafkaAdmin(settings).committed_offsets(group, input_topics(plan))
        for topic, place, offset in newest:
            if offset >= (stable[place].offset if place in stable else 0):
                raise StateError(
                    f"The offsets of the group {group} cannot be read: a transaction hangs on them. Yet {topic} "
                    f"shows a record for offset {offset} of {place[0]}, partition {place[1]}, which these offsets do "
                    f"not cover: the transaction was committed, and the broker lost a marker of it (KAFKA-20734). "
                    "Nothing is decided until this is repaired, since it would be decided twice.",
                    f"Find it with Kafka's `kafka-transactions.sh find-hanging`. {SET_THEM} See docs/delivery.md for "
                    "Kafkas with the fault.",
                )
        LOGGER.warning("nothing of the transaction that hangs can be seen: it is aborted")
        producer.close_hanging(outputs, group, plan.pipeline.input.name)

    return close
