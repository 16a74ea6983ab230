"""What was signed is what serves: tampered, unsigned and otherwise scoring models are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from fraudstream.errors import DamagedModel
from fraudstream.models.artifact import Golden, Manifest, load_version, save_artifact
from fraudstream.models.scorer import OnnxScorer, load_whole
from fraudstream.models.seal import Seal, use_seal
from runner.tiny_model import FEATURES, manifest_of, tiny_model

Run = Callable[..., subprocess.CompletedProcess[str]]
KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture(autouse=True)
def _unsealed() -> Iterator[None]:
    yield
    use_seal(Seal())


def saved(folder: Path, **parts: object) -> tuple[Manifest, Path]:
    raw = tiny_model(0.001)
    manifest = manifest_of("tiny", raw, **parts)
    return manifest, save_artifact(folder, manifest, raw)


def test_a_signed_model_is_read_with_its_key_and_without_any(tmp_path: Path) -> None:
    use_seal(Seal(KEY))
    manifest, _ = saved(tmp_path)
    for seal in (Seal(KEY, demanded=True), Seal(KEY), Seal()):
        use_seal(seal)
        assert load_version(tmp_path, "tiny", manifest.version).manifest == manifest


def test_a_manifest_changed_by_one_character_is_refused(tmp_path: Path) -> None:
    use_seal(Seal(KEY))
    manifest, place = saved(tmp_path, quantiles=(0.0, 0.5, 1.0))
    file = place / "manifest.json"
    file.write_bytes(file.read_bytes().replace(b"0.5", b"0.4"))
    with pytest.raises(DamagedModel, match="changed after it was signed"):
        load_version(tmp_path, "tiny", manifest.version)


def test_another_key_and_no_signature_are_refused_where_signatures_are_demanded(tmp_path: Path) -> None:
    use_seal(Seal(OTHER))
    manifest, place = saved(tmp_path)
    use_seal(Seal(KEY, demanded=True))
    with pytest.raises(DamagedModel, match="signed with another key"):
        load_version(tmp_path, "tiny", manifest.version)
    (place / "manifest.sig").unlink()
    with pytest.raises(DamagedModel, match="is not signed, and the settings demand it"):
        load_version(tmp_path, "tiny", manifest.version)
    use_seal(Seal(KEY))
    assert load_version(tmp_path, "tiny", manifest.version).manifest == manifest


def test_another_graph_under_a_signed_manifest_is_refused(tmp_path: Path) -> None:
    use_seal(Seal(KEY))
    manifest, place = saved(tmp_path)
    (place / "model.onnx").write_bytes(tiny_model(0.002))
    with pytest.raises(DamagedModel, match="SHA-256 differs"):
        load_version(tmp_path, "tiny", manifest.version)


def test_a_model_that_gives_other_scores_than_its_golden_ones_does_not_serve(tmp_path: Path) -> None:
    inputs = ((100.0, 1.0), (500.0, None))
    good, _ = saved(tmp_path, golden=Golden(inputs=inputs, scores=(0.1, 0.5)))
    assert load_whole(tmp_path, "tiny", good.version, FEATURES).version == good.version
    bad, _ = saved(tmp_path, golden=Golden(inputs=inputs, scores=(0.1, 0.50001)))
    with pytest.raises(DamagedModel, match="golden inputs scores that differ by up to 1e-05"):
        OnnxScorer(load_version(tmp_path, "tiny", bad.version), FEATURES)
    short, _ = saved(tmp_path, golden=Golden(inputs=((1.0,),), scores=(0.1,)))
    with pytest.raises(DamagedModel, match="fails on its golden inputs"):
        load_whole(tmp_path, "tiny", short.version, FEATURES)


def test_the_card_is_readable_for_a_model_that_says_little(tmp_path: Path) -> None:
    manifest, place = saved(tmp_path)
    text = (place / "card.md").read_text()
    assert text.startswith(f"# tiny, version {manifest.version}\n")
    assert "`amount`, `card_count`" in text


def test_commands_take_the_key_from_the_environment_and_refuse_what_it_did_not_sign(
    fraudstream: Run, tmp_path: Path
) -> None:
    raw = tiny_model(0.001)
    manifest = msgspec.structs.replace(manifest_of("retail", raw), name="retail")
    place = save_artifact(tmp_path / "models", manifest, raw)
    demanded = {"FRAUDSTREAM_MODEL_SIGNATURES": "required"}
    done = fraudstream("model", "list", "retail", env=demanded)
    assert done.returncode == 2 and "no model_key verifies them" in done.stderr
    done = fraudstream("model", "list", "retail", env=demanded | {"FRAUDSTREAM_MODEL_KEY": "short"})
    assert done.returncode == 2 and "shorter than 32 characters" in done.stderr
    key = demanded | {"FRAUDSTREAM_MODEL_KEY": KEY.decode()}
    done = fraudstream("model", "show", "retail", manifest.version, env=key)
    assert done.returncode == 2 and "is not signed, and the settings demand it" in done.stderr
    assert KEY.decode() not in done.stderr
    use_seal(Seal(KEY))
    assert save_artifact(tmp_path / "models", manifest, raw) == place
    done = fraudstream("model", "show", "retail", manifest.version, env=key)
    assert done.returncode == 0, done.stderr
