"""Channels from `notify.yaml`, with every problem of the file at once. `docs/notifications.md` shows it for users."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.define.declared import Entry, read_declared
from fraudstream.define.part import Part
from fraudstream.define.pipeline import Pipeline
from fraudstream.define.reader import suggestion
from fraudstream.define.yaml_tree import LocatedProblem
from fraudstream.errors import DefinitionError, Problem
from fraudstream.notify.declaration import (
    DEFAULT_TIMEOUT_MS,
    Channel,
    Condition,
    Grouping,
    Limit,
    QuietHours,
    Repeats,
    Retry,
    Template,
    Trait,
    Weekday,
)
from fraudstream.notify.template import problem_of

DEFAULT_FILE = Path("notify.yaml")
DEFAULT_KIND = "apprise"
SENDERS = "fraudstream.channels"
"""The group of entry points under which kinds of channels are found."""
KEYS = ("kind", "when", "group", "limit", "quiet", "repeats", "retry", "template", "timeout")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_AMOUNT = re.compile(r"\d{1,18}(\.\d{1,6})?")


class Notifications(NamedTuple):
    """What a file declares.

    Attributes:
        source: The file, for errors.
        channels: By name, in the file's order.
        lines: The line of each path.
    """

    source: str
    channels: dict[str, Channel]
    lines: dict[str, int]

    def check_against(
        self, pipelines: Iterable[Pipeline], find: Callable[[str], Pipeline | None] = lambda _: None
    ) -> None:
        """Makes sure that the pipelines and rules in conditions are there: a misspelt one would be silence.

        Rules are looked up in the pipelines that their condition names, else in those that are told of.

        Args:
            pipelines: Those that are told of.
            find: Gives any other by its name: notifiers of several pipelines may share the file.

        Raises:
            DefinitionError: With every name that is not.
        """
        told = {pipeline.name: pipeline for pipeline in pipelines}
        problems: list[Problem] = []
        for channel in self.channels.values():
            for i, condition in enumerate(channel.when):
                place = f"channels.{channel.name}.when.{i}"
                named = {name: told.get(name) or find(name) for name in condition.pipelines}
                meant = {name: pipeline for name, pipeline in named.items() if pipeline is not None}
                codes = {rule.code for pipeline in (meant or told).values() for rule in pipeline.rules}
                for word, names, known in (
                    ("pipeline", condition.pipelines, told | meant),
                    ("rule", condition.rules, codes),
                ):
                    path = f"{place}.{word}s"
                    problems += [
                        LocatedProblem.at(
                            self.lines.get(path),
                            Problem(path, f"there is no {word} {name!r}.", suggestion(name, known)),
                        )
                        for name in names
                        if name not in known
                    ]
        if problems:
            raise DefinitionError(self.source, problems)


def load_notifications(path: Path, environ: Mapping[str, str] | None = None, only: str | None = None) -> Notifications:
    """The channels of a file.

    Args:
        path: The file.
        environ: Where `${VARIABLE}` looks; the process's environment unless given.
        only: The channel that is wanted; the secrets of the others may be missing then.

    Raises:
        DefinitionError: With every problem of the file.
        UsageError: The one that is wanted is not there.
    """
    example = 'channels: {desk: {url: "${DESK_URL}"}}'
    return Notifications(str(path), *read_declared(path, "channels", _channel, example, environ, only))


def _channel(entry: Entry) -> Channel | None:
    kind = entry.kind(SENDERS, DEFAULT_KIND)
    part = entry.part() if kind is None else entry.part(*KEYS, *kind.keys)
    sender = None if kind is None else kind.declared(part)
    make = partial(
        Channel,
        name=entry.name,
        when=tuple(_condition(each) for each in part.each("when", Condition.__struct_fields__)) or (Condition(),),
        group=_grouping(part.inner("group", ("over", "by"))),
        limit=_limit(part.inner("limit", ("most", "per"))),
        quiet=_quiet(part.inner("quiet", ("from", "to", "zone", "days", "unless"))),
        repeats=_repeats(part.inner("repeats", ("after", "by"))),
        retry=_retry(part.inner("retry", ("attempts", "first", "longest"))),
        template=_template(part.inner("template", Template.__struct_fields__)),
        timeout_ms=part.duration("timeout", DEFAULT_TIMEOUT_MS),
    )
    return None if sender is None else make(sender=sender)


def _condition(part: Part) -> Condition:
    defaults = Condition()
    return Condition(
        pipelines=part.texts("pipelines"),
        risk_level=part.word("risk_level", RiskLevel) or defaults.risk_level,
        outcome=part.word("outcome", Outcome) or defaults.outcome,
        amount_from=_amount(part, "amount_from"),
        rules=part.texts("rules"),
    )


def _amount(part: Part, name: str) -> Decimal | None:
    text = part.text(name)
    if text is None:
        return None
    if not _AMOUNT.fullmatch(text):
        part.problem(name, f"{text[:80]!r} where an amount belongs.", "Write digits, like 500 or 99.50.")
        return None
    return Decimal(text)


def _grouping(part: Part | None) -> Grouping:
    defaults = Grouping()
    if part is None:
        return defaults
    by = part.words("by", Trait)
    return Grouping(over_ms=part.duration("over", defaults.over_ms), by=defaults.by if by is None else by)


def _limit(part: Part | None) -> Limit | None:
    if part is None:
        return None
    part.missing("most", "Write how many: `most: 10`.")
    part.missing("per", "Write in which time: `per: 1m`.")
    return Limit(most=part.whole("most", 1), per_ms=part.duration("per", 1))


def _quiet(part: Part | None) -> QuietHours | None:
    if part is None:
        return None
    begin, end, zone = _time(part, "from"), _time(part, "to"), part.text("zone") or "UTC"
    if begin == end and begin is not None:
        part.problem("to", "is the same as `from`.", "Leave an hour or so for notifications.")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        part.problem("zone", f"there is no time zone {zone[:80]!r}.", "Write one like Europe/Zurich.")
    return QuietHours(
        begin=begin or time(0),
        end=end or time(0),
        zone=zone,
        days=part.words("days", Weekday) or tuple(Weekday),
        unless=part.word("unless", RiskLevel),
    )


def _time(part: Part, name: str) -> time | None:
    text = part.text(name)
    if text is None:
        part.missing(name, f'Write a time of day: `{name}: "22:00"`.')
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        part.problem(name, f"{text[:80]!r} is not a time of day.", 'Write hours and minutes, like "06:30".')
        return None
    return time(int(found[1]), int(found[2]))


def _repeats(part: Part | None) -> Repeats | None:
    if part is None:
        return None
    part.missing("after", "Write for how long repeats are left out: `after: 1h`.")
    return Repeats(after_ms=part.duration("after", 1), by=part.words("by", Trait) or Repeats(after_ms=1).by)


def _retry(part: Part | None) -> Retry:
    defaults = Retry()
    if part is None:
        return defaults
    return Retry(
        attempts=part.whole("attempts", defaults.attempts),
        first_ms=part.duration("first", defaults.first_ms),
        longest_ms=part.duration("longest", defaults.longest_ms),
    )


def _template(part: Part | None) -> Template:
    defaults = Template()
    if part is None:
        return defaults
    texts = {name: part.text(name) for name in ("title", "line")}
    for name, text in texts.items():
        wrong = None if text is None else problem_of(text)
        if wrong:
            part.problem(name, *wrong)
    return Template(
        title=texts["title"] or defaults.title,
        line=texts["line"] or defaults.line,
        most_lines=part.whole("most_lines", defaults.most_lines),
    )
