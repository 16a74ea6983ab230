"""The gate before a promotion: a version takes the champion's place when both were measured on one test."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from fraudstream.errors import DamagedModel, ModelError
from fraudstream.models.artifact import load_version

METRIC = "average_precision"
DEFAULT_TOLERANCE = 0.01
"""By how much the metric may be lower: what one test period says is not surer than that."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of the champion and of what is to replace it, on the same test.

    Attributes:
        champion: The champion's, 0 to 1.
        challenger: The other version's.
        test: What they were measured on, for people.
        metric: Which metric.
    """

    champion: float
    challenger: float
    test: str
    metric: str = METRIC


def from_manifests(folder: Path, name: str, champion: str, challenger: str) -> Evidence | None:
    """The evidence that the manifests hold; None where they do not speak of the same test."""
    try:
        one, other = (load_version(folder, name, version).manifest for version in (champion, challenger))
    except DamagedModel:
        return None
    found, wanted = one.metrics.get(METRIC), other.metrics.get(METRIC)
    if not one.test or one.test != other.test or found is None or wanted is None:
        return None
    return Evidence(champion=found, challenger=wanted, test=f"the test {one.test} of both manifests")


def require_not_worse(name: str, version: str, evidence: Evidence | None, tolerance: float) -> None:
    """Lets a version pass that is not worse than the champion by more than the tolerance.

    Raises:
        ModelError: It is, or nothing says that it is not.
    """
    if evidence is None:
        raise ModelError(
            f"Nothing compares {version} of the model {name!r} with the champion: they were not measured on the same "
            "test.",
            "Compare them on live events with `--live`, train both on the same history, or give the reason why it is "
            "to be promoted all the same with `--force`.",
        )
    worse = evidence.champion - evidence.challenger
    if not (math.isfinite(worse) and worse <= tolerance):
        raise ModelError(
            f"{version} of the model {name!r} is worse than the champion: {evidence.metric} {evidence.challenger:.4f} "
            f"against {evidence.champion:.4f} on {evidence.test}; {tolerance:g} less is allowed.",
            "Keep the champion, or give the reason why it is to be promoted all the same with `--force`.",
        )
