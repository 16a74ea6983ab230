"""The model's part in decisions: without one they are flagged, with one they name its version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fraudstream.define.decision import ModelRef
from fraudstream.errors import ModelError
from fraudstream.models.artifact import Manifest, save_artifact, version_of
from fraudstream.settings import Settings

from .small import assert_once, events, pipeline, score_here
from .workbench import Workbench

pytestmark = pytest.mark.kafka
FEATURES = ("amount", "card_count")


def tiny_model(weight: float) -> bytes:
    """A model whose score is the amount times a weight."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["score"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 1], np.array([weight, 0], np.float32))],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def save(bench: Workbench, weight: float) -> str:
    """Makes a tiny model the current one; returns its version."""
    raw = tiny_model(weight)
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


def test_without_its_model_decisions_are_degraded_and_with_it_they_name_it(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Rules decide meanwhile; the model trained later is taken by the next start; a damaged one is refused."""
    bench = Workbench(kafka_settings, pipeline(model=ModelRef(features=FEATURES)), tmp_path, unique_id)
    values, keys = events(90)
    topic = bench.pipeline.input.name
    bench.produce(topic, values[:30], keys[:30])
    assert score_here(bench).degraded == 30
    first = save(bench, 0.001)
    bench.produce(topic, values[30:60], keys[30:60])
    assert score_here(bench).degraded == 0
    second = save(bench, 0.0005)
    bench.produce(topic, values[60:], keys[60:])
    score_here(bench)
    decisions = [each["decision"] for each in assert_once(bench)]
    assert [each["versions"].get("model") for each in decisions] == [None] * 30 + [first] * 30 + [second] * 30
    assert [each["flags"] for each in decisions] == [["degraded"]] * 30 + [[]] * 60
    assert [each["model_score"] is None for each in decisions] == [True] * 30 + [False] * 60
    amounts = [each["event"]["amount"] for each in bench.decisions()]
    assert [each["model_score"] for each in decisions[60:]] == pytest.approx(
        [amount * 0.0005 for amount in amounts[60:]], rel=1e-5
    )
    (tmp_path / "models" / bench.pipeline.name / second / "model.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match="SHA-256"):
        score_here(bench)
