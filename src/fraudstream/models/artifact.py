"""A model's artefact on disk: the ONNX file and the manifest that says what it is.

    models/<name>/<version>/model.onnx
    models/<name>/<version>/contributions.msgpack   for models that can say what each input contributes
    models/<name>/<version>/manifest.json
    models/<name>/<version>/manifest.sig    its signature, where the process that wrote it had a key (`models/seal.py`)
    models/<name>/<version>/card.md         what a person should know about it

A version is the hash of the ONNX file and of the map from its raw scores. An artefact is written beside its place and
moved there whole, so a reader never meets half of one. Which version serves is for `models/registry.py` to say.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from fraudstream.errors import DamagedModel
from fraudstream.models.card import Card, card_text
from fraudstream.models.reference import Reference
from fraudstream.models.seal import SIGNATURE, check_signature, signature_of

CONTRIBUTIONS = "contributions.msgpack"
ADVICE = "Train it again, or promote another version with `fraudstream model promote`."


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """A few inputs and the scores the model gave them when it was made: a scorer gives the same, or does not serve.

    Attributes:
        inputs: Rows of inputs, None where null.
        scores: Their scores.
    """

    inputs: tuple[tuple[float | None, ...], ...]
    scores: tuple[float, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artefact is.

    Attributes:
        name: The model's name.
        version: 16 hex digits that stand for what decides a score: the ONNX file, and `quantiles` where there are any.
        sha256: The ONNX file's SHA-256.
        trainer: What made it: `lightgbm`, `isolation_forest`, …
        features: Its inputs in order.
        missing: The number that stands for null.
        output: The graph's output that is the raw score, one number a row or the last of several columns.
        contributions: The SHA-256 of the file that says what each input contributes (`models/contributions.py`); empty
            where there is none, as for models made elsewhere.
        quantiles: The raw scores that stand at 0, 1/n, …, 1 of the score, rising: a curve through them makes the score
            of the raw score; `training/score_map.py` says where the review threshold lies. Empty: the raw score is it.
        trained_at: When, ISO 8601.
        data: What it was trained on, for people.
        metrics: What was measured on held-out data.
        test: Names that data: metrics of manifests that name the same test can be compared.
        calibration: Points (score, probability of fraud), both rising; straight lines between them. Empty: the score
            says nothing about probability.
        golden: Inputs and what came of them.
        card: What people should know; `card.md` says it in words.
        reference: How inputs and score were distributed on it; None of a model that was made elsewhere.
    """

    name: str
    version: str
    sha256: str
    trainer: str
    features: tuple[str, ...]
    missing: float
    output: str
    contributions: str = ""
    quantiles: tuple[float, ...] = ()
    trained_at: str = ""
    data: str = ""
    metrics: dict[str, float] = {}
    test: str = ""
    calibration: tuple[tuple[float, float], ...] = ()
    golden: Golden | None = None
    card: Card | None = None
    reference: Reference | None = None


class Artifact(msgspec.Struct, frozen=True):
    """A read and verified artefact; `contributions` is empty where the model has no such file."""

    manifest: Manifest
    onnx: bytes
    contributions: bytes = b""


def version_of(onnx: bytes, quantiles: tuple[float, ...] = ()) -> tuple[str, str]:
    """The version of an ONNX file, or of another, and its whole hash.

    Equal versions give equal scores: where a map from raw scores makes them, it counts as well as the file.
    """
    sha256 = hashlib.sha256(onnx).hexdigest()
    if not quantiles:
        return sha256[:16], sha256
    return hashlib.sha256(sha256.encode() + msgspec.json.encode(quantiles)).hexdigest()[:16], sha256


def save_artifact(folder: Path, manifest: Manifest, onnx: bytes, contributions: bytes = b"") -> Path:
    """Writes an artefact; returns its folder. `Registry.add` also gives it a role."""
    home = folder / manifest.name
    home.mkdir(parents=True, exist_ok=True)
    target = home / manifest.version
    with tempfile.TemporaryDirectory(dir=home, prefix=".new-") as temporary:
        draft = Path(temporary) / "artifact"
        draft.mkdir()
        (draft / "model.onnx").write_bytes(onnx)
        if contributions:
            (draft / CONTRIBUTIONS).write_bytes(contributions)
        written = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        signature = signature_of(written)
        (draft / "manifest.json").write_bytes(written)
        if signature is not None:
            (draft / SIGNATURE).write_text(signature + "\n", encoding="utf-8")
        (draft / "card.md").write_text(card_text(manifest), encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        os.replace(draft, target)
    return target


def load_version(folder: Path, name: str, version: str) -> Artifact:
    """One version of a model.

    Raises:
        DamagedModel: It is not there, or damaged.
    """
    home = folder / name
    place = home / version
    try:
        onnx = (place / "model.onnx").read_bytes()
        written = (place / "manifest.json").read_bytes()
        signed = place / SIGNATURE
        signature = signed.read_text(encoding="utf-8", errors="replace").strip() if signed.exists() else None
        check_signature(name, version, written, signature)
        manifest = msgspec.json.decode(written, type=Manifest)
        contributions = (place / CONTRIBUTIONS).read_bytes() if manifest.contributions else b""
    except (OSError, msgspec.MsgspecError) as error:
        raise DamagedModel(
            f"The model {name!r}, version {version!r}, in {home} cannot be read: {error}.",
            ADVICE,
        ) from error
    for file, content, sha256 in (
        ("model.onnx", onnx, manifest.sha256),
        (CONTRIBUTIONS, contributions, manifest.contributions or version_of(b"")[1]),
    ):
        if version_of(content)[1] != sha256:
            raise DamagedModel(
                f"{place / file} is not the file its manifest was written for (the SHA-256 differs).",
                f"Restore the file. {ADVICE}",
            )
    return Artifact(manifest, onnx, contributions)


def versions_in(folder: Path, name: str) -> list[str]:
    """Every version of a model that was ever saved, the last one saved first."""
    places = [place for place in (folder / name).glob("[0-9a-f]*") if place.is_dir()]
    return [place.name for place in sorted(places, key=lambda place: place.stat().st_mtime_ns, reverse=True)]
