"""Decisions made in this process, with the model and the reference that they are watched by."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from fraudstream.define.decision import ModelRef
from fraudstream.define.load import parse_definition
from fraudstream.define.monitoring import Limits
from fraudstream.define.pipeline import Form
from fraudstream.define.write import to_yaml
from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.program import Program
from fraudstream.models.artifact import Artifact, Manifest
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer
from fraudstream.monitoring.logged import DecisionReader
from fraudstream.plan.load import plan_definition
from fraudstream.plan.plan import Plan
from fraudstream.runner.labels import decode_labels
from fraudstream.state.ids import Labels
from fraudstream.training.reference import make_reference
from runner.small import START_MS, pipeline
from runner.tiny_model import FEATURES, manifest_of, tiny_model

WEIGHT = 0.001
LIMITS = Limits(least_decisions=200, least_frauds=5)


def watched_plan(limits: Limits = LIMITS) -> Plan:
    """A pipeline with a model of amounts, shops with labels, and limits for small numbers."""
    declared = replace(pipeline(shops=True, model=ModelRef(features=FEATURES)), rules=(), monitor=limits)
    return plan_definition(parse_definition(to_yaml(declared)))  # as a file gives it


def payments(count: int, seed: int = 1, begin: int = 0, factor: float = 1.0) -> list[bytes]:
    """Events a minute apart, of amounts up to 1,000 times the factor."""
    dice = random.Random(seed)
    return [
        json.dumps(
            {
                "id": f"e{number}",
                "at": START_MS + number * 60_000,
                "card": f"c{dice.randrange(40)}",
                "shop": f"s{dice.randrange(5)}",
                "amount": round(dice.uniform(0, 1_000) * factor, 2),
            }
        ).encode()
        for number in range(begin, begin + count)
    ]


def scorer(plan: Plan, **parts: Any) -> OnnxScorer:
    """The model."""
    raw = tiny_model(WEIGHT)
    return OnnxScorer(Artifact(manifest_of(plan.pipeline.name, raw, **parts), raw), FEATURES)


def decide(
    plan: Plan, values: Sequence[bytes], labels: Sequence[bytes] = (), model: OnnxScorer | None = None
) -> list[bytes]:
    """The envelopes of these events, decided at their own time, with labels taken as they were given."""
    program, decoder, encoder = Program(plan, model or scorer(plan)), Decoder(plan.pipeline.event), Encoder(plan)
    state = program.new_state()
    told = decode_labels(list(labels), np.full(len(labels), -1), EventIds(plan.pipeline.event))
    found: list[bytes] = []
    taken = 0
    for place, value in enumerate(values):
        decoded = decoder.decode([value], np.full(1, -1))
        batch = Batch.of(decoded, plan.pipeline.input.name, np.zeros(1, np.int32), np.array([place]))
        at_ms = int(batch.event_at_ms[0])
        end = int(np.searchsorted(told.labelled_at_ms, at_ms, side="right"))
        rows = slice(taken, end)
        taken = end
        due = Labels(
            np.zeros(end - rows.start, np.int64), told.low[rows], told.high[rows], told.fraud[rows],
            told.labelled_at_ms[rows],
        )  # fmt: skip
        found += encoder.encode(Form.ENVELOPE, program.decide(state, batch, due, at_ms), np.zeros(1, np.int64))[0]
    return found


def keep_model(plan: Plan, envelopes: Sequence[bytes], folder: Path, **metrics: float) -> Registry:
    """Saves the model with these decisions as its reference; its champion is then the version that they name."""
    logged = DecisionReader(plan).read(envelopes)
    matrix = np.nan_to_num(logged.inputs, nan=-1.0).astype(np.float32)
    reference = make_reference(matrix, FEATURES, -1.0, logged.model_score)
    manifest: Manifest = manifest_of(plan.pipeline.name, tiny_model(WEIGHT), reference=reference, metrics=metrics)
    registry = Registry(folder, plan.pipeline.name)
    registry.add(manifest, tiny_model(WEIGHT), by="test")
    return registry
