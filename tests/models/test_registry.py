"""The registry: what serves is replaced by a promotion only, for a reason that is kept, and never by what is broken."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudstream.errors import DamagedModel, ModelError
from fraudstream.models.artifact import Golden, version_of
from fraudstream.models.gate import Evidence
from fraudstream.models.registry import MOST_CHALLENGERS, Change, Registry, Roles
from runner.tiny_model import FEATURES, failing_model, manifest_of, tiny_model

NAME = "small"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", NAME)


def add(registry: Registry, weight: float, **parts: Any) -> str:
    raw = tiny_model(weight)
    registry.add(manifest_of(NAME, raw, **parts), raw, by="ann")
    return manifest_of(NAME, raw).version


def measured(average_precision: float, test: str = "june") -> dict[str, Any]:
    return {"metrics": {"average_precision": average_precision}, "test": test}


def test_the_first_version_serves_and_later_ones_challenge_it(registry: Registry) -> None:
    assert registry.roles() == Roles(None)
    versions = [add(registry, weight) for weight in range(1, 6)]
    assert registry.roles() == Roles(versions[0], tuple(versions[-MOST_CHALLENGERS:]))
    add(registry, 3)  # again: it now waits behind the others
    assert registry.roles().challengers == (versions[3], versions[4], versions[2])


def test_a_version_that_is_not_worse_on_the_same_test_is_promoted(registry: Registry) -> None:
    old = add(registry, 1, **measured(0.80))
    better, near = add(registry, 2, **measured(0.85)), add(registry, 3, **measured(0.841))
    entry = registry.promote(better, FEATURES, by="bob", reason="more caught")
    assert registry.roles() == Roles(better, (near,))
    assert (entry.change, entry.before, entry.champion, entry.by) == (Change.PROMOTE, old, better, "bob")
    assert entry.evidence is not None and (entry.evidence.champion, entry.evidence.challenger) == (0.80, 0.85)
    registry.promote(near, FEATURES, by="bob")
    assert registry.roles() == Roles(near)
    assert registry.history()[-1].evidence is not None


def test_a_worse_or_incomparable_version_needs_a_reason_that_is_kept(registry: Registry) -> None:
    champion = add(registry, 1, **measured(0.80))
    worse = add(registry, 2, **measured(0.78))
    other = add(registry, 3, **measured(0.99, test="july"))
    for version, said in ((worse, "0.7800 against 0.8000"), (other, "not measured on the same")):
        with pytest.raises(ModelError, match=said):
            registry.promote(version, FEATURES, by="bob")
    nothing = Evidence(champion=0.5, challenger=float("nan"), test="a day without fraud")
    with pytest.raises(ModelError, match="a day without fraud"):
        registry.promote(other, FEATURES, by="bob", evidence=nothing)
    with pytest.raises(ModelError, match="needs a reason"):
        registry.promote(other, FEATURES, by="bob", force=True)
    assert registry.roles().champion == champion
    registry.promote(other, FEATURES, by="bob", evidence=Evidence(champion=0.5, challenger=0.6, test="live"))
    registry.promote(worse, FEATURES, by="bob", force=True, reason="the champion leaks")
    last = registry.history()[-1]
    assert (last.forced, last.reason, last.version) == (True, "the champion leaks", worse)
    registry.promote(other, FEATURES, by="bob", tolerance=1, evidence=Evidence(champion=1, challenger=0, test="x"))


@pytest.mark.parametrize("what", ["hash", "unloadable", "failing", "nothing but NaN", "missing", "features", "golden"])
def test_a_broken_version_never_takes_the_place_of_a_good_one(registry: Registry, what: str) -> None:
    good = add(registry, 1)
    broken = {"unloadable": b"no model", "nothing but NaN": tiny_model(float("nan")), "failing": failing_model(rows=3)}
    raw = broken.get(what, tiny_model(2))
    parts: dict[str, Any] = {"features": FEATURES[::-1]} if what == "features" else {}
    if what == "golden":  # it was 0.5 where it was made
        parts = {"golden": Golden(inputs=((0.1, 1.0),), scores=(0.5,))}
    place = registry.add(manifest_of(NAME, raw, **parts), raw, by="ann")
    if what == "hash":
        (place / "model.onnx").write_bytes(tiny_model(7))
    if what == "missing":
        (place / "model.onnx").unlink()
    before = registry.history()
    error = ModelError if what == "features" else DamagedModel
    with pytest.raises(error):
        registry.promote(place.name, FEATURES, by="bob", force=True, reason="try")
    with pytest.raises(error):
        registry.challenge(place.name, FEATURES, by="bob")
    assert registry.roles().champion == good
    assert registry.history() == before


def test_in_place_of_a_broken_champion_nothing_has_to_be_shown(registry: Registry) -> None:
    broken, good = add(registry, 1, **measured(0.9)), add(registry, 2, **measured(0.1))
    (registry.folder / NAME / broken / "model.onnx").unlink()
    registry.promote(good, FEATURES, by="bob")
    assert registry.roles().champion == good


def test_rollback_goes_back_step_by_step_and_not_to_what_was_taken_back(registry: Registry) -> None:
    a, b, c, d = (add(registry, weight) for weight in range(1, 5))
    force: dict[str, Any] = {"by": "bob", "force": True, "reason": "test"}
    registry.promote(b, FEATURES, **force)
    registry.promote(c, FEATURES, **force)
    assert registry.rollback(FEATURES, by="eve").champion == b
    registry.promote(d, FEATURES, **force)
    assert registry.served() == [a, b, d]
    assert [registry.rollback(FEATURES, by="eve").champion for _ in range(2)] == [b, a]
    with pytest.raises(ModelError, match=r"No version .* served before"):
        registry.rollback(FEATURES, by="eve")
    (registry.folder / NAME / "current").write_text(d)  # by hand
    assert registry.rollback(FEATURES, by="eve").champion == a


def test_a_line_of_the_history_cut_short_by_a_crash_hides_no_other(registry: Registry) -> None:
    add(registry, 1)
    path = registry.folder / NAME / "history.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at":"2026-')
    add(registry, 2)
    assert [entry.change for entry in registry.history()] == [Change.ADD, Change.ADD]


def test_the_same_file_with_another_map_of_scores_is_another_version() -> None:
    """As after a change of the review threshold: decisions name what gave their scores."""
    file = tiny_model(1)
    versions = {version_of(file, quantiles)[0] for quantiles in ((), (0.0, 1.0), (0.0, 0.5, 1.0))}
    assert len(versions) == 3
    assert len({version_of(file, quantiles)[1] for quantiles in ((), (0.0, 1.0))}) == 1


def _retire_and_challenge(folder: Path, version: str, times: int) -> None:
    registry = Registry(folder, NAME)
    for _ in range(times):
        registry.challenge(version, FEATURES, by=version)
        registry.retire(version, by=version)


def test_changes_by_several_processes_at_once_are_all_in_the_history(registry: Registry) -> None:
    versions = [add(registry, weight) for weight in range(1, 4)]
    context = get_context("fork")
    workers = [context.Process(target=_retire_and_challenge, args=(registry.folder, v, 20)) for v in versions[1:]]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(registry.history()) == 3 + 2 * 2 * 20
    assert registry.roles() == Roles(versions[0])


def test_the_commands_list_promote_and_roll_back(
    fraudstream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    from fraudstream.pipelines import find_pipeline

    model = find_pipeline("retail").model
    assert model is not None
    registry = Registry(tmp_path / "models", "retail")
    assert "There is no model retail" in fraudstream("model", "list", "retail").stderr
    for weight, found in ((1.0, 0.8), (2.0, 0.7)):
        raw = tiny_model(weight, len(model.features))
        registry.add(manifest_of("retail", raw, features=model.features, **measured(found)), raw, by="ann")
    old, new = registry.versions()[::-1]
    listed = msgspec.json.decode(fraudstream("model", "list", "retail", "--json").stdout)
    assert [(row["version"], row["part"]) for row in listed] == [(new, "challenger"), (old, "champion")]
    refused = fraudstream("model", "promote", "retail", new[:6])
    assert refused.returncode == 2 and "0.7000 against 0.8000" in refused.stderr
    forced = fraudstream("model", "promote", "retail", new[:6], "--force", "the old one leaks")
    assert forced.returncode == 0 and "by force because: the old one leaks" in forced.stdout, forced.stderr
    shown = fraudstream("model", "show", "retail").stdout
    assert new in shown and "the old one leaks" in shown
    assert fraudstream("model", "rollback", "retail").returncode == 0
    assert registry.roles().champion == old
