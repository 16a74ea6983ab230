"""A plan whose label features look back from another delay: what faster labels would be worth."""

from __future__ import annotations

import msgspec

from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.units import format_duration


def plan_delayed(plan: Plan, delay_ms: int) -> Plan:
    """The plan with every `delay` of its features set to `delay_ms`; a plan without any is given back as it is."""
    delay = format_duration(delay_ms)
    features = tuple(
        feature if feature.delay is None else msgspec.structs.replace(feature, delay=delay)
        for feature in plan.pipeline.features
    )
    return plan_of(msgspec.structs.replace(plan.pipeline, features=features))
