"""One decision computed again from the log, with the versions it names, and compared byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fraudstream.define.fallback import OVER_LIMIT
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.fallback import Account
from fraudstream.engine.let_through import LetThroughSample
from fraudstream.engine.program import Program
from fraudstream.engine.spent import Spent
from fraudstream.errors import DamagedModel, DataError, ModelError
from fraudstream.models.artifact import load_version
from fraudstream.models.scorer import OnnxScorer
from fraudstream.plan.plan import Plan
from fraudstream.replay.label_order import LabelOrder, RecordedLabels
from fraudstream.replay.past import CHUNK, UNKNOWN_MS, Past, PastLabels, batch_of
from fraudstream.replay.recorded import Decision, Output


@dataclass(frozen=True)
class Difference:
    """A field that is otherwise on record than it is computed; `None` stands for a field that is not there, too.

    Attributes:
        path: Where, with dots: `decision.features.card_count_1h`.
        recorded: What the record says.
        computed: What came out now.
    """

    path: str
    recorded: Any
    computed: Any


@dataclass(frozen=True)
class Compared:
    """An output record against what is computed now.

    Attributes:
        source: The topic or file the record is from.
        form: Its form.
        size_bytes: How long it is.
        equal: Whether every byte is the same.
        differences: The fields that differ; none where only the way of writing does.
    """

    source: str
    form: str
    size_bytes: int
    equal: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Proof:
    """What computing a decision again gave.

    Attributes:
        events: How many events came before it.
        labels: How many labels did.
        order_of_labels: How labels were placed among the events; None where none is read.
        compared: Each record of the decision.
    """

    events: int
    labels: int
    order_of_labels: str | None
    compared: tuple[Compared, ...]

    @property
    def holds(self) -> bool:
        """Whether every byte of every record is the same."""
        return all(each.equal for each in self.compared)


def recorded_scorer(plan: Plan, decision: Decision, models_folder: Path) -> OnnxScorer | None:
    """The model that a decision names; None where it was decided without one.

    Raises:
        ModelError: The model is not at hand.
        DataError: The pipeline is not the one the decision names.
    """
    mine = {"pipeline": plan.versions.pipeline, "rules": plan.versions.rules, "lists": plan.versions.lists}
    other = {name: version for name, version in mine.items() if decision.versions.get(name) != version}
    if other:
        shown = ", ".join(f"{name} {decision.versions.get(name)} (here {version})" for name, version in other.items())
        advice = (
            "Give the file as it was, with --pipeline: `fraudstream explain FILE` shows its versions at the end."
            if set(other) - {"lists"}
            else "Only the lists hold other values now: give their files as they were."
        )
        raise DataError(f"The decision was made with other versions of {plan.pipeline.name}: {shown}.", advice)
    version = decision.versions.get("model")
    model = plan.pipeline.model
    if version is None or model is None:
        return None
    name = model.name or plan.pipeline.name
    try:
        return OnnxScorer(load_version(models_folder, name, version), model.features)
    except DamagedModel as away:
        raise ModelError(
            f"The decision was made with the model {name}, version {version}, and that is not whole at hand: "
            f"{away.found}",
            f"Bring the folder {version} into {models_folder / name} from where it was trained or kept.",
        ) from None


def prove(
    plan: Plan,
    scorer: OnnxScorer | None,
    decision: Decision,
    about: Sequence[Output],
    past: Past,
    labels: PastLabels | None,
) -> Proof:
    """Computes a decision again from what came before it.

    The place of labels among events is not on record; the proof holds if one of the orders that there are (see
    `label_order`) gives the recorded bytes.

    Args:
        plan: The plan of the recorded version.
        scorer: The model of the recorded version.
        decision: What is on record.
        about: All records about it.
        past: The records before it, and its own.
        labels: The labels; None where no feature reads any.

    Raises:
        DataError: A record is no event.
    """
    is_one = labels is None or bool((labels.timestamp_ms == UNKNOWN_MS).all())
    proofs: list[Proof] = []
    for order in [LabelOrder.BY_TIME] if is_one else list(LabelOrder):
        proofs.append(_prove_once(plan, scorer, decision, about, past, labels, order))
        if proofs[-1].holds:
            return proofs[-1]
    return min(proofs, key=lambda proof: sum(len(each.differences) for each in proof.compared))


def _prove_once(
    plan: Plan,
    scorer: OnnxScorer | None,
    decision: Decision,
    about: Sequence[Output],
    past: Past,
    labels: PastLabels | None,
    order: LabelOrder,
) -> Proof:
    program, decoder = Program(plan, scorer), Decoder(plan.pipeline.event)
    state = program.new_state()
    topic = decision.input.topic
    waiting = RecordedLabels(labels, order)
    last = len(past) - 1
    amount = plan.pipeline.event.amount
    sample, spent = LetThroughSample(plan) if plan.pipeline.policy.let_through is not None else None, Spent()
    for start in range(0, last, CHUNK):
        rows = slice(start, min(start + CHUNK, last))
        batch = batch_of(plan, decoder, past, rows, topic)
        program.learn(state, batch, waiting.due(batch.event_at_ms, past.decided_at_ms[rows]))
        if amount is not None and sample is not None:
            for row in np.flatnonzero(past.let_through[rows]).tolist():
                minor = int(batch.columns[amount].values[row])
                sample.take(int(batch.event_at_ms[row]), minor, spent)
    own = slice(last, last + 1)
    batch = batch_of(plan, decoder, past, own, topic)
    state.sequence = decision.sequence
    due = waiting.due(batch.event_at_ms, past.decided_at_ms[own])
    # How much had been approved without the model before is not on record, but whether it was too much is.
    account = Account.exhausted() if OVER_LIMIT in decision.reasons else Account()
    account.sample = spent
    made = program.decide(state, batch, due, decision.decided_at, frozenset(decision.off), account)
    encoder = Encoder(plan)
    compared = []
    for output in about:
        value = encoder.encode(output.form, made, np.zeros(1, np.int64))[0][0]
        found = () if value == output.value else tuple(differences(output.value, value))
        compared.append(Compared(output.source, output.form, len(output.value), value == output.value, found))
    return Proof(last, waiting.taken, None if labels is None else order.value, tuple(compared))


def differences(recorded: bytes, computed: bytes) -> Iterator[Difference]:
    """The fields in which two records differ, in the order of the first.

    Args:
        recorded, computed: The records.

    Raises:
        DataError: The recorded one is no JSON.
    """
    try:
        yield from _differences("", orjson.loads(recorded), orjson.loads(computed))
    except ValueError:
        raise DataError("The record on the decision is no JSON.", "It was not written by fraudstream.") from None


def _differences(path: str, recorded: Any, computed: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(computed, dict):
        for name in dict.fromkeys([*recorded, *computed]):
            yield from _differences(f"{path}.{name}".lstrip("."), recorded.get(name), computed.get(name))
    elif type(recorded) is not type(computed) or recorded != computed:
        yield Difference(path, recorded, computed)
