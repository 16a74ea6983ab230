"""The model that serves: the champion, or what takes its place where that is missing or damaged.

Scoring does not stop over a model. A damaged one is replaced by the last champion before it that is whole, and where
there is none the rules decide alone, which every decision says (`degraded`).
"""

from __future__ import annotations

import logging
import threading

import msgspec

from fraudstream.define.fallback import MODEL_SCORE
from fraudstream.engine.column import Floats
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.program import Program
from fraudstream.errors import DamagedModel
from fraudstream.models.contributions import Contributions
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer, load_whole
from fraudstream.plan.plan import Plan
from fraudstream.runner.modelwatch import ModelWatch
from fraudstream.runner.rescore import rescore
from fraudstream.runner.shadow import Shadow
from fraudstream.runner.statistics import Statistics
from fraudstream.runner.switches import Switches
from fraudstream.settings import Settings
from fraudstream.telemetry.histogram import Histogram

LOGGER = logging.getLogger("fraudstream.runner")


CLOCKS_APART_MS = 60_000
"""By how much the clocks that date decisions and their records may differ."""


class ServingScorer:
    """A model at work: where it fails on a batch, its events are decided by the fallback, flagged `degraded`.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: OnnxScorer) -> None:
        self.model = scorer

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.version

    def score(self, inputs: list[Floats]) -> Floats | None:
        """As `OnnxScorer.score`; None where the model fails."""
        try:
            return self.model.score(inputs)
        except Exception as error:  # ONNX Runtime has no common base for its errors
            LOGGER.warning("the model %s failed, the fallback decides: %s", self.version, error)
            return None

    def contributions(self, inputs: list[Floats]) -> Contributions | None:
        """As `OnnxScorer.contributions`: computed by kernels that have no way to fail on a batch."""
        return self.model.contributions(inputs)


def registry_of(plan: Plan, settings: Settings) -> Registry | None:
    """The versions of a pipeline's model; None where it declares none."""
    model = plan.pipeline.model
    return None if model is None else Registry(settings.models_folder, model.name or plan.pipeline.name)


def load_scorer(plan: Plan, settings: Settings) -> ServingScorer | None:
    """The model that is to serve a pipeline; None where it declares none, or no whole one is there.

    Raises:
        ModelError: It was trained for other features.
    """
    registry = registry_of(plan, settings)
    if registry is None or registry.roles().champion is None:
        return None
    assert plan.pipeline.model is not None
    champion, *before = reversed(registry.served())
    for version in (champion, *before):
        try:
            scorer = load_whole(registry.folder, registry.name, version, plan.pipeline.model.features)
        except DamagedModel as error:
            LOGGER.error("%s", error)
            continue
        if version != champion:
            LOGGER.error("the model %s, version %s, serves in its place", registry.name, version)
        return ServingScorer(scorer)
    LOGGER.error("no champion of the model %s is whole: the rules decide alone, flagged degraded", registry.name)
    return None


class Serving:
    """What the next batch is decided with: the model that serves, and what is switched off.

    Both are brought up to date on threads of their own, and taken between two batches, so that one batch is decided by
    one model and one set of rules.

    Args:
        plan: The pipeline's plan.
        settings: Where its models are, and which cluster.
        switches: What is switched off.
        scorer: What serves at first.
    """

    def __init__(self, plan: Plan, settings: Settings, switches: Switches, scorer: ServingScorer | None) -> None:
        self._plan, self._settings = plan, settings
        self._switches = switches
        self._scorer = scorer
        self._alone_since_ms: int | None = None
        self._rescored = 0
        self._rescoring: threading.Thread | None = None
        self._shadow: Shadow | None = None
        registry = registry_of(plan, settings)
        self._watch: ModelWatch | None = None
        if registry is not None and plan.pipeline.model is not None:
            self._watch = ModelWatch(registry, plan.pipeline.model.features, scorer.model if scorer else None)
            self._watch.start()
            self._shadow = Shadow(plan, settings, self._challengers)

    def _challengers(self) -> tuple[OnnxScorer, ...]:
        return () if self._watch is None else self._watch.challengers

    def ready(self, program: Program) -> frozenset[str]:
        """Gives the program the model for the next batch; returns what is switched off for it."""
        champion = None if self._watch is None else self._watch.champion
        if champion is not None and (self._scorer is None or champion is not self._scorer.model):
            self._scorer = ServingScorer(champion)
            program.scorer = self._scorer
        return self._switches.off

    def committed(self, decisions: Decisions) -> None:
        """Takes note of decisions that were committed: challengers are asked, and so is a model that is back."""
        if self._shadow is None:
            return
        self._shadow.offer(decisions)
        if MODEL_SCORE in decisions.off:
            if self._alone_since_ms is None:
                self._alone_since_ms = decisions.decided_at_ms
        elif self._alone_since_ms is not None and self._scorer is not None and not self._is_rescoring():
            about = self._scorer.model, self._alone_since_ms
            self._alone_since_ms = None
            self._rescoring = threading.Thread(target=self._rescore, args=about, name="rescore", daemon=True)
            self._rescoring.start()

    def _is_rescoring(self) -> bool:
        return self._rescoring is not None and self._rescoring.is_alive()

    def _rescore(self, model: OnnxScorer, since_ms: int) -> None:
        """Scores what was decided without the model while it was away."""
        try:
            done = rescore(self._plan, self._settings, model, since_ms=since_ms - CLOCKS_APART_MS)
        except Exception as error:  # ONNX Runtime has no common base for its errors
            LOGGER.warning("what was decided without the model is not scored yet, use `fraudstream rescore`: %s", error)
            return
        self._rescored += done.scored
        LOGGER.warning(
            "%d decisions made without the model were scored by %s: %d would have been stricter",
            done.scored,
            model.version,
            done.stricter,
        )

    @property
    def versions(self) -> dict[tuple[str, str], int]:
        """The versions that score now, with their roles, and 1."""
        champion = None if self._watch is None else self._watch.champion
        roles = {} if champion is None else {(champion.version, "champion"): 1}
        return roles | {(each.version, "challenger"): 1 for each in self._challengers()}

    @property
    def shadow_scores(self) -> dict[str, Histogram]:
        """How the scores of challengers are distributed, by version."""
        return {} if self._shadow is None else self._shadow.scores

    def unready(self) -> str | None:
        """Why it is not decided with a model although the pipeline declares one; None where it is, or declares none."""
        if self._watch is None or self._watch.champion is not None:
            return None
        return "no model that can serve is there: it is decided without, flagged degraded"

    def told(self, seen: Statistics) -> Statistics:
        """The statistics with what serves from the next batch on, and what is switched off."""
        champion = None if self._watch is None else self._watch.champion
        version = None if champion is None else champion.version
        told = msgspec.structs.replace(seen, model=version, off=tuple(sorted(self._switches.off)))
        if self._shadow is not None:
            told.shadowed, told.shadow_skipped = self._shadow.written, self._shadow.skipped
            told.rescored = self._rescored
        return told

    def close(self) -> None:
        """Ends the threads."""
        self._switches.close()
        if self._shadow is not None:
            self._shadow.close()
        if self._watch is not None:
            self._watch.close()
