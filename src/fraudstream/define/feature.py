"""Features: what is known about an event, from itself and from the history of its keys."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class FeatureKind(StrEnum):
    """What a feature computes."""

    EXPRESSION = "expression"
    """A SQL expression over the event's fields and other features."""
    COUNT = "count"
    COUNT_ABOVE = "count_above"
    """How many values of `of` the window holds that are more than `times` their mean over `mean_over`; null without a
    mean."""
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    STD = "std"
    """The sample standard deviation (n - 1 in the denominator); null for fewer than two values."""
    DISTINCT = "distinct"
    """How many different values of `of` the window holds."""
    SINCE_LAST = "since_last"
    """Milliseconds since the key's previous event in the window; null where there is none."""
    SINCE_FIRST = "since_first"
    """Milliseconds since the key's oldest event in the window; null where there is none before this one."""
    FIRST_SEEN = "first_seen"
    """Whether the (compound) key has no earlier event in the window: a new device, a new payee."""
    DISTANCE_KM = "distance_km"
    """Great-circle distance from the key's last known location in the window to this event's."""
    SPEED_KMH = "speed_kmh"
    """That distance over the time between the two events, counting at least one second."""
    IN_LIST = "in_list"
    """Whether the field's value is in a list."""
    SEQUENCE = "sequence"
    """Whether this event completes the steps, in order, within the window."""
    LABEL_COUNT = "label_count"
    """How many of the key's events are known to be fraud, looking back from `delay` before the event."""
    LABEL_RATE = "label_rate"
    """The share of the key's events known to be fraud, looking back from `delay` before the event."""
    SINCE_FRAUD = "since_fraud"
    """Milliseconds since the key's latest event known to be fraud, looking back likewise; null where there is none."""
    SINCE_GENUINE = "since_genuine"
    """Milliseconds since its latest event not known to be fraud, looking back likewise; null where there is none."""
    FRAUD_RUN = "fraud_run"
    """How many events known to be fraud follow one another at the end of the look-back: 0 where its last is genuine."""
    SINCE_FRAUD_RUN = "since_fraud_run"
    """Milliseconds since the first of them; null where there is none."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One feature. Which attributes apply depends on the kind; `fraudstream check` says what is missing or too much.

    Attributes:
        name: The feature's name, like `card_amount_sum_1h`.
        kind: What it computes.
        of: The field it looks at: what is summed, counted distinct, looked up in the list, or the location.
        by: The key: one field or several.
        over: The window's length, like `1h` or `30d`. It holds the key's events with t - over < time <= t.
        where: A SQL predicate over the event's fields; events it does not hold for are not in the window.
        prior: Whether the event itself is left out.
        clean: Whether events known to be fraud are left out.
        times: `count_above`: how many times the mean a value must be above.
        mean_over: `count_above`: the window of that mean, like `over`.
        delay: Label kinds: labels count only for events at least this old.
        list: The list's name, for `in_list`.
        steps: Predicates over the event's fields in their order, for `sequence`.
        expression: The SQL expression, for `expression`.
        description: What it means, for people.
    """

    name: str
    kind: FeatureKind
    of: str | None = None
    by: tuple[str, ...] = ()
    over: str | None = None
    where: str | None = None
    prior: bool = False
    clean: bool = False
    times: float | None = None
    mean_over: str | None = None
    delay: str | None = None
    list: str | None = None
    steps: tuple[str, ...] = ()
    expression: str | None = None
    description: str = ""
