"""A small pipeline for tests, and ways to change it."""

from __future__ import annotations

from typing import Any

import msgspec

from fraudstream.define.load import parse_definition
from fraudstream.define.pipeline import Pipeline
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan

TEXT = """\
name: card-watch
description: Watches cards.
event:
  id: id
  time: at
  key: card
  amount: amount
  fields:
    id: integer
    at: timestamp
    card: string
    device: string?
    amount: decimal(2)
    speed: float?
    place: location?
input: tx
labels: labels
lists: {blocked: [c1]}
features:
  sum_1d: {sum: amount, by: card, over: 1d}
  big_7d: {count: , by: card, over: 7d, where: amount > 100}
  devices: {distinct: device, by: card, over: 1d}
  rate: {label_rate: , by: device, over: 7d, delay: 3d}
  tested: {sequence: [amount < 2, amount > 100], by: card, over: 1h}
  blocked: {in_list: card, list: blocked}
  share: {expression: "ratio(amount, sum_1d)"}
  doubled: {expression: share * 2}
rules:
  BIG: {when: share > 0.5 and amount > 100, action: review, reason: Large.}
  LISTED: {when: blocked, action: block}
model: {features: [amount, share, rate]}
"""


def pipeline_of(*changes: tuple[str, str], add: str = "") -> Pipeline:
    """The pipeline after replacing texts, each of which must be there."""
    text = TEXT + add
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    definition = parse_definition(text, environ={})
    assert not definition.problems, definition.problems
    assert definition.pipeline is not None
    return definition.pipeline


def planned(*changes: tuple[str, str], add: str = "") -> Plan:
    """Its plan."""
    return plan_of(pipeline_of(*changes, add=add))


def replaced(pipeline: Pipeline, **values: Any) -> Pipeline:
    """The pipeline with other attributes."""
    return msgspec.structs.replace(pipeline, **values)
