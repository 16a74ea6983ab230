"""Who is told of which alerts, how often and when: frozen values, read from `notify.yaml` by `load.py`.

All times are the notifier's wall clock, except for repeats, which are counted in the alerts' own time: a notifier that
catches up after a night tells what it would have told during the night.
"""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from enum import StrEnum

import msgspec

from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.notify.message import Sender

RISK_LEVELS = tuple(RiskLevel)
"""From mildest to gravest."""
DEFAULT_TIMEOUT_MS = 10_000


class Trait(StrEnum):
    """What alerts may have in common: those that agree in all the traits named belong together."""

    PIPELINE = "pipeline"
    KEY = "key"
    """The event's key, such as the card."""
    RISK_LEVEL = "risk_level"
    REASONS = "reasons"


class Weekday(StrEnum):
    """A day on which quiet hours begin, in the order of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are meant: those for which everything said here holds.

    Attributes:
        pipelines: Names of pipelines; empty: any.
        risk_level: The mildest level that is meant.
        outcome: The mildest outcome that is meant.
        amount_from: The least amount that is meant; an alert without an amount is not.
        rules: Reason codes of rules of which one has hit; empty: whether or not.
    """

    pipelines: tuple[str, ...] = ()
    risk_level: RiskLevel = RiskLevel.LOW
    outcome: Outcome = Outcome.APPROVE
    amount_from: Decimal | None = None
    rules: tuple[str, ...] = ()


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that agree in these traits go into one notification.

    Attributes:
        over_ms: How long after its first alert a notification waits for more.
        by: The traits; empty: all alerts of the channel belong together.
    """

    over_ms: int = 0
    by: tuple[Trait, ...] = (Trait.PIPELINE,)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most so many notifications in any stretch of so many milliseconds; what is over it waits, and gathers."""

    most: int
    per_ms: int


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """When a channel is left in peace; what comes meanwhile waits for the end, and gathers.

    Attributes:
        begin: When they begin, in the zone's time.
        end: When they end; on the next day where it is not after `begin`.
        zone: A name of the time-zone database.
        days: The days on which they begin.
        unless: Alerts of this level or a graver one are told all the same; None: no alert is.
    """

    begin: time
    end: time
    zone: str = "UTC"
    days: tuple[Weekday, ...] = tuple(Weekday)
    unless: RiskLevel | None = None


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that agree in these traits with one told less than `after_ms` before are left out, and counted."""

    after_ms: int
    by: tuple[Trait, ...] = (Trait.PIPELINE, Trait.KEY)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and how long apart, what could not be delivered is tried.

    Attributes:
        attempts: How often at most, the first one included.
        first_ms: The wait after the first attempt; it doubles with each.
        longest_ms: The longest wait.
    """

    attempts: int = 100
    first_ms: int = 5_000
    longest_ms: int = 900_000


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a notification; `{…}` are fields (see `template.py`).

    Attributes:
        title: One line, of the gravest alert.
        line: The line of each alert.
        most_lines: How many alerts are shown; the others are counted.
    """

    title: str = "{risk_level} {pipeline}: {reasons}{more}"
    line: str = "{alert_at}  {risk_level}  {action}  {key}  {amount}  {reasons}  {alert_id}"
    most_lines: int = 20


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One way to tell somebody.

    Attributes:
        name: What it is called in commands and in the outbox.
        sender: What delivers.
        when: The alerts it gets: those for which any of these holds.
        timeout_ms: How long one attempt may take.
    """

    name: str
    sender: Sender
    when: tuple[Condition, ...] = (Condition(),)
    group: Grouping = Grouping()
    limit: Limit | None = None
    quiet: QuietHours | None = None
    repeats: Repeats | None = None
    retry: Retry = Retry()
    template: Template = Template()
    timeout_ms: int = DEFAULT_TIMEOUT_MS
