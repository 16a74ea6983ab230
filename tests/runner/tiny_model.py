"""Models of a few inputs, to be saved for the pipelines of tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from fraudstream.models.artifact import Manifest, save_artifact, version_of
from fraudstream.models.registry import Registry

from .workbench import Workbench

FEATURES = ("amount", "card_count")


def tiny_model(weight: float, inputs: int = 2) -> bytes:
    """A model whose score is its first input times a weight; for the pipelines of tests, the amount."""
    weights = np.array([weight] + [0] * (inputs - 1), np.float32)
    return model_of("MatMul", helper.make_tensor("w", TensorProto.FLOAT, [inputs, 1], weights))


def failing_model(rows: int = 16) -> bytes:
    """A model that scores so many rows at a time, and fails on any other number; a trial fills sixteen."""
    return model_of("Reshape", helper.make_tensor("w", TensorProto.INT64, [2], np.array([rows, 2])))


def model_of(operation: str, weight: onnx.TensorProto) -> bytes:
    """A model of one operation on the inputs and a constant."""
    graph = helper.make_graph(
        [helper.make_node(operation, ["x", "w"], ["score"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, None])],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def manifest_of(name: str, raw: bytes, **parts: Any) -> Manifest:
    """What an artefact of these bytes says of itself."""
    version, sha256 = version_of(raw)
    known = {"trainer": "test", "features": FEATURES, "missing": -1.0, "output": "score"}
    return Manifest(name=name, version=version, sha256=sha256, **(known | parts))


def registry_of(bench: Workbench) -> Registry:
    """The versions of a bench's model."""
    return Registry(bench.folder / "models", bench.pipeline.name)


def add(bench: Workbench, weight: float, **parts: Any) -> str:
    """Adds a tiny model: the champion if it is the first, else a challenger; returns its version."""
    manifest = manifest_of(bench.pipeline.name, tiny_model(weight), **parts)
    registry_of(bench).add(manifest, tiny_model(weight), by="test")
    return manifest.version


def save(bench: Workbench, weight: float) -> str:
    """Makes a tiny model the champion; returns its version."""
    version = add(bench, weight)
    registry_of(bench).promote(version, FEATURES, by="test", reason="test", force=True)
    return version


def save_raw(bench: Workbench, raw: bytes, **parts: Any) -> str:
    """Puts these bytes in the champion's place by hand, whatever they are; returns their version."""
    manifest = manifest_of(bench.pipeline.name, raw, **parts)
    save_artifact(bench.folder / "models", manifest, raw)
    (bench.folder / "models" / bench.pipeline.name / "current").write_text(manifest.version)
    return manifest.version
