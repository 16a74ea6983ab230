"""What decides: the model's versions, how old the kept state is, and whether inputs have moved."""

from __future__ import annotations

import time

from fraudstream.monitoring.measure import Periods
from fraudstream.monitoring.watch import Sources, Watch
from fraudstream.plan.plan import Plan
from fraudstream.runner.checkpoint import newest_snapshots
from fraudstream.runner.serving import registry_of
from fraudstream.settings import Settings
from fraudstream.status.line import Seen
from fraudstream.units import parse_duration

_MOST_DECISIONS = 5_000
_PERIODS = Periods(parse_duration("1d"), parse_duration("30d"), parse_duration("7d"))


def model(settings: Settings, plan: Plan) -> Seen:
    """Champion and challengers."""
    registry = registry_of(plan, settings)
    if registry is None:
        return Seen("none declared: the rules decide", {})
    roles = registry.roles()
    challengers = ", ".join(roles.challengers) or "none"
    return Seen(
        f"champion {roles.champion or 'none: the rules decide alone'} · challengers: {challengers}",
        {"champion": roles.champion, "challengers": roles.challengers},
    )


def state(settings: Settings, plan: Plan, group: str) -> Seen:
    """The newest snapshot of each scorer on this machine."""
    found = newest_snapshots(settings.project_folder, group, plan.pipeline.name)
    newest = {path.parent.name: path.stat() for path in found}
    ages_s = {name: time.time() - about.st_mtime for name, about in newest.items()}
    text = " · ".join(
        f"{name}: snapshot {ages_s[name] / 60:,.0f} min old, {about.st_size / (1 << 20):,.0f} MiB"
        for name, about in newest.items()
    )
    figures = {name: {"age_s": round(ages_s[name]), "bytes": about.st_size} for name, about in newest.items()}
    return Seen(text or "no snapshot here", {"snapshots": figures})


class Drift:
    """Alarms by the newest decisions and the pipeline's limits, without labels; `fraudstream monitor` looks deeper.

    Args:
        settings: Which cluster.
        plan: The pipeline.
    """

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self._sources: Sources | None = None
        self._watch = Watch(plan, registry_of(plan, settings), _PERIODS, _MOST_DECISIONS, None)

    def __call__(self) -> Seen:
        """The line."""
        if self._sources is None:
            self._sources = Sources(self._settings, self._plan, None, _MOST_DECISIONS)
        self._sources.feed(self._watch)
        report = self._watch.report()
        decisions = report.measured.traffic.decisions
        text = "; ".join(alarm.text for alarm in report.alarms) or "no alarm"
        return Seen(f"{text} (the newest {decisions:,} decisions)", {"alarms": report.alarms, "decisions": decisions})
