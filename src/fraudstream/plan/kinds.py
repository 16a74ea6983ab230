"""What each kind of feature needs, gives and stores: its traits, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fraudstream.define.feature import FeatureKind
from fraudstream.plan.expression import Node
from fraudstream.plan.plan import Stored, StoredKind
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, Kind, ValueType

NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT})
EXACT = frozenset({Kind.INTEGER, Kind.DECIMAL})
KEYS = frozenset({Kind.STRING, Kind.INTEGER})
ANY = frozenset(Kind)

StoredFor = Callable[[str | None, Node | None, tuple[Node, ...]], tuple[Stored, ...]]


class Traits(NamedTuple):
    """What a kind of feature is.

    Attributes:
        needs: Attributes that must be given.
        takes: Attributes that may be given as well.
        of: The kinds of value `of` may be.
        result: The type of the feature's value; None: the type of `of`.
        stored: What its log keeps, from (of, where, steps).
        location: Whether `of` is a location field.
    """

    needs: frozenset[str]
    takes: frozenset[str]
    of: frozenset[Kind]
    result: ValueType | None
    stored: StoredFor
    location: bool = False


def _nothing(of: str | None, where: Node | None, steps: tuple[Node, ...]) -> tuple[Stored, ...]:
    return ()


def _matches(of: str | None, where: Node | None, steps: tuple[Node, ...]) -> tuple[Stored, ...]:
    # Without a filter, positions in the log count events by themselves.
    return () if where is None else (Stored(kind=StoredKind.TALLY, where=where),)


def _keep(*kinds: StoredKind) -> StoredFor:
    def stored(of: str | None, where: Node | None, steps: tuple[Node, ...]) -> tuple[Stored, ...]:
        return tuple(Stored(kind=kind, of=of, where=where) for kind in kinds)

    return stored


def known_frauds(stored: tuple[Stored, ...]) -> tuple[Stored, ...]:
    """What is stored, and the same of known frauds alone; of events where nothing is stored to count them."""
    twins = {StoredKind.TALLY: StoredKind.FRAUD_TALLY, StoredKind.SUM: StoredKind.FRAUD_SUM}
    frauds = tuple(Stored(kind=twins[each.kind], of=each.of, where=each.where) for each in stored if each.kind in twins)
    return stored + (frauds or (Stored(kind=StoredKind.FRAUD_TALLY),))


def _known_matches(of: str | None, where: Node | None, steps: tuple[Node, ...]) -> tuple[Stored, ...]:
    return known_frauds(_matches(of, where, steps))


def _coordinates(of: str | None, where: Node | None, steps: tuple[Node, ...]) -> tuple[Stored, ...]:
    return tuple(Stored(kind=StoredKind.VALUE, of=f"{of}.{axis}") for axis in ("lat", "lon"))


def _chain(of: str | None, where: Node | None, steps: tuple[Node, ...]) -> tuple[Stored, ...]:
    return tuple(Stored(kind=StoredKind.CHAIN, steps=steps[:length]) for length in range(1, len(steps)))


_WINDOW = frozenset({"by", "over"})
_OPTIONS = frozenset({"where", "prior"})
_CLEAN_OPTIONS = _OPTIONS | {"clean"}
_LABEL_WINDOW = _WINDOW | {"delay"}
_VALUE_WINDOW = _WINDOW | {"of"}
_TALLY, _SUM, _SQUARES = StoredKind.TALLY, StoredKind.SUM, StoredKind.SQUARES

TRAITS: dict[FeatureKind, Traits] = {
    FeatureKind.EXPRESSION: Traits(frozenset({"expression"}), frozenset(), ANY, None, _nothing),
    FeatureKind.COUNT: Traits(_WINDOW, _CLEAN_OPTIONS, ANY, INTEGER, _matches),
    FeatureKind.COUNT_ABOVE: Traits(
        _VALUE_WINDOW | {"times", "mean_over"},
        *(frozenset({"prior", "clean"}), EXACT, INTEGER),
        _keep(StoredKind.VALUE, _TALLY, _SUM),
    ),
    FeatureKind.SUM: Traits(_VALUE_WINDOW, _CLEAN_OPTIONS, EXACT, None, _keep(_SUM)),
    FeatureKind.MEAN: Traits(_VALUE_WINDOW, _CLEAN_OPTIONS, EXACT, FLOAT, _keep(_TALLY, _SUM)),
    FeatureKind.STD: Traits(_VALUE_WINDOW, _OPTIONS, EXACT, FLOAT, _keep(_TALLY, _SUM, _SQUARES)),
    FeatureKind.MIN: Traits(_VALUE_WINDOW, _OPTIONS, NUMBERS, None, _keep(StoredKind.VALUE)),
    FeatureKind.MAX: Traits(_VALUE_WINDOW, _OPTIONS, NUMBERS, None, _keep(StoredKind.VALUE)),
    FeatureKind.DISTINCT: Traits(_VALUE_WINDOW, _OPTIONS, ANY, INTEGER, _keep(StoredKind.VALUE, StoredKind.PREVIOUS)),
    FeatureKind.SINCE_LAST: Traits(_WINDOW, frozenset({"where"}), ANY, INTEGER, _matches),
    FeatureKind.SINCE_FIRST: Traits(_WINDOW, frozenset({"where"}), ANY, INTEGER, _matches),
    FeatureKind.FIRST_SEEN: Traits(_WINDOW, frozenset(), ANY, BOOLEAN, _nothing),
    FeatureKind.DISTANCE_KM: Traits(_VALUE_WINDOW, frozenset(), KEYS, FLOAT, _coordinates, location=True),
    FeatureKind.SPEED_KMH: Traits(_VALUE_WINDOW, frozenset(), KEYS, FLOAT, _coordinates, location=True),
    FeatureKind.IN_LIST: Traits(frozenset({"of", "list"}), frozenset(), KEYS, BOOLEAN, _nothing),
    FeatureKind.SEQUENCE: Traits(_WINDOW | {"steps"}, frozenset(), ANY, BOOLEAN, _chain),
    FeatureKind.LABEL_COUNT: Traits(_LABEL_WINDOW, frozenset({"where"}), ANY, INTEGER, _known_matches),
    FeatureKind.LABEL_RATE: Traits(_LABEL_WINDOW, frozenset({"where"}), ANY, FLOAT, _known_matches),
    FeatureKind.SINCE_FRAUD: Traits(_LABEL_WINDOW, frozenset(), ANY, INTEGER, _known_matches),
    FeatureKind.SINCE_GENUINE: Traits(_LABEL_WINDOW, frozenset(), ANY, INTEGER, _known_matches),
    FeatureKind.FRAUD_RUN: Traits(_LABEL_WINDOW, frozenset(), ANY, INTEGER, _known_matches),
    FeatureKind.SINCE_FRAUD_RUN: Traits(_LABEL_WINDOW, frozenset(), ANY, INTEGER, _known_matches),
}
