"""The random mix: from a seed, decks of faults without end, each followed by a calm a third as long.

A deck holds every failpoint once, deaths at any moment, lost and late replies, a damaged snapshot and three of the
rarer faults. What is drawn one or a few at a time comes from shuffled cycles, so that all of it has its turn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import damage
import faults
from field import Field
from proxy import ADD_OFFSETS, ADD_PARTITIONS, END_TXN, HEARTBEAT, NAMES, PRODUCE, TXN_OFFSET_COMMIT, Act

T = TypeVar("T")
KINDS = (PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, TXN_OFFSET_COMMIT, END_TXN, HEARTBEAT)
REPLIES = [(api, act) for api in KINDS for act in (Act.WITHHOLD, Act.DROP, Act.DELAY)] + [(END_TXN, Act.HOLD)]
ONLY_FIRST = (*faults.AT_THE_END, "restore", "replay", "init")
"""Points that a life passes once, or few times."""
ANY_MOMENT, REPLIES_A_DECK, RARE_A_DECK = 10, 3, 3


class Step(NamedTuple):
    """One fault to come."""

    name: str
    do: Callable[[Field], Any]


def rare() -> list[Step]:
    """The faults that take long, as often as each should come in a cycle."""
    return [
        Step("broker killed", faults.broker_killed),
        Step("broker killed", faults.broker_killed),
        Step("broker paused", partial(faults.broker_paused, seconds=5)),
        Step("zombie", partial(faults.zombie, seconds=11)),
        Step("sleeper", partial(faults.sleeper, seconds=12)),
        Step("partition", partial(faults.partition, seconds=8)),
        Step("partition", partial(faults.partition, seconds=14)),
        Step("latency", partial(faults.poor_network, seconds=8, latency_s=0.05)),
        Step("loss", partial(faults.poor_network, seconds=8, loss=0.02)),
    ]


def cycle(dice: random.Random, items: list[T]) -> Iterator[T]:
    """All of the items in random order, again and again."""
    while True:
        yield from dice.sample(items, len(items))


def decks(seed: int, damages: dict[str, damage.Damage]) -> Iterator[list[Step]]:
    """The decks of a seed, without end."""
    dice = random.Random(seed)
    replies, rarely = cycle(dice, REPLIES), cycle(dice, rare())
    damaging = cycle(dice, sorted(damages))
    while True:
        deck = [at_point(dice, point) for point in faults.POINTS]
        deck += [
            Step("any moment", partial(faults.at_any_moment, dice=random.Random(dice.random())))
            for _ in range(ANY_MOMENT)
        ]
        deck += [
            Step(f"{act.name} {NAMES[api]}", partial(faults.at_reply, api=api, act=act))
            for api, act in (next(replies) for _ in range(REPLIES_A_DECK))
        ]
        deck.append(Step("killed before the answer", faults.killed_before_the_answer))
        hours, drift = dice.choice((1.0, -1.0)), dice.choice((0.0, 0.5, -0.5))
        deck.append(Step("wrong clock", partial(faults.wrong_clock, hours=hours, drift=drift)))
        deck.append(Step("end in order", faults.end_in_order))
        for name in (next(damaging), next(damaging)):
            own = random.Random(dice.random())
            deck.append(Step(f"snapshot {name}", partial(damage.damaged, name=name, damage=damages[name], dice=own)))
        deck += [next(rarely) for _ in range(RARE_A_DECK)]
        dice.shuffle(deck)
        yield deck


def at_point(dice: random.Random, point: str) -> Step:
    """Death at a failpoint: at one of its first or later hits, at once or a little later."""
    number = 1 if point in ONLY_FIRST else dice.choice((1, 1, 2, 3, 10, 40))
    return Step(point, partial(faults.at_failpoint, point=point, number=number, delay_ms=dice.choice((0, 0, 5, 30))))
