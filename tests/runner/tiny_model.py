"""Models of two inputs, to be saved for the pipelines of tests."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from fraudstream.models.artifact import Manifest, save_artifact, version_of

from .workbench import Workbench

FEATURES = ("amount", "card_count")


def tiny_model(weight: float) -> bytes:
    """A model whose score is the amount times a weight."""
    return model_of("MatMul", helper.make_tensor("w", TensorProto.FLOAT, [2, 1], np.array([weight, 0], np.float32)))


def failing_model() -> bytes:
    """A model that can be loaded, and fails on every batch: it asks for rows of a million columns."""
    return model_of("Reshape", helper.make_tensor("w", TensorProto.INT64, [2], np.array([-1, 1_000_003])))


def model_of(operation: str, weight: onnx.TensorProto) -> bytes:
    """A model of one operation on the inputs and a constant."""
    graph = helper.make_graph(
        [helper.make_node(operation, ["x", "w"], ["score"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, None])],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def save(bench: Workbench, weight: float) -> str:
    """Makes a tiny model the current one; returns its version."""
    return save_raw(bench, tiny_model(weight))


def save_raw(bench: Workbench, raw: bytes) -> str:
    """Makes these bytes the current model, whatever they are; returns its version."""
    version, sha256 = version_of(raw)
    manifest = Manifest(
        name=bench.pipeline.name,
        version=version,
        sha256=sha256,
        trainer="test",
        features=FEATURES,
        missing=-1,
        output="score",
    )
    save_artifact(bench.folder / "models", manifest, raw)
    return version
