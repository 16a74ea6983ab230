"""Models made elsewhere, in ONNX form: small neural networks, written by hand as exporters write them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import pytest
from onnx import TensorProto, helper, numpy_helper

from fraudstream.errors import ModelError
from fraudstream.models.scorer import load_whole
from fraudstream.pipelines import find_plan
from fraudstream.training.elsewhere import GivenModel

Run = Callable[..., subprocess.CompletedProcess[str]]
Simulated = Callable[..., tuple[Path, Path]]
INPUTS = ("amount", "hour", "card_count")
WIDTH = 4


def weights(inputs: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(7)
    return chance.normal(0, 0.02, (inputs, WIDTH)), chance.normal(0, 0.5, (WIDTH, 1))


def expected(matrix: np.ndarray) -> np.ndarray:
    first, second = weights(matrix.shape[1])
    log_odds = np.maximum(matrix.astype(np.float64) @ first, 0) @ second
    return 1 / (1 + np.exp(-log_odds[:, 0]))


def network(
    form: str = "column", inputs: int = len(INPUTS), shape: tuple[Any, ...] | None = None, double: bool = False
) -> bytes:
    """MatMul, Relu, MatMul, Sigmoid; then as `form` says: column [n, 1], flat [n], pair [n, 2], zipmap, log_odds."""
    kind, number = (TensorProto.DOUBLE, np.float64) if double else (TensorProto.FLOAT, np.float32)
    first, second = (
        numpy_helper.from_array(each.astype(number), name) for each, name in zip(weights(inputs), "ab", strict=True)
    )
    constants = [
        first,
        second,
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array(1, number), "one"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"]),
    ]
    outputs = [helper.make_tensor_value_info("p", kind, ["n", 1])]
    if form == "log_odds":
        outputs = [helper.make_tensor_value_info("z", kind, ["n", 1])]
    if form == "flat":
        nodes.append(helper.make_node("Squeeze", ["p", "axis"], ["flat"]))
        outputs = [helper.make_tensor_value_info("flat", kind, ["n"])]
    if form in ("pair", "zipmap"):
        nodes += [
            helper.make_node("Sub", ["one", "p"], ["q"]),
            helper.make_node("Concat", ["q", "p"], ["both"], axis=1),
        ]
        nodes.append(helper.make_node("ArgMax", ["both"], ["label"], axis=1, keepdims=0))
        outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])]
        outputs.append(helper.make_tensor_value_info("both", kind, ["n", 2]))
    if form == "zipmap":
        nodes.append(helper.make_node("ZipMap", ["both"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]))
        value = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs[1] = helper.make_value_info("maps", helper.make_sequence_type_proto(value))
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", kind, shape or ["n", inputs])], outputs, constants
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


@pytest.mark.parametrize("form", ["column", "flat", "pair", "zipmap", "log_odds", "double"])
def test_every_form_that_exporters_write_gives_the_networks_scores(form: str) -> None:
    raw = network("column", double=True) if form == "double" else network(form)
    model = GivenModel(raw, INPUTS, None, log_odds=form == "log_odds")
    matrix = (np.random.default_rng(1).normal(size=(500, 3)) * 100).astype(np.float32)
    np.testing.assert_allclose(model.predict(matrix), expected(matrix), atol=1e-6)
    assert model.predict(matrix).std() > 0.05


def broken(raw: bytes, change: Callable[[onnx.ModelProto], None]) -> bytes:
    model = onnx.load_model_from_string(raw)
    change(model)
    return bytes(model.SerializeToString())


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1]))


def normalised_over_the_batch(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "centred"
    model.graph.node.insert(0, helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0]))
    model.graph.node.insert(1, helper.make_node("Sub", ["x", "mean"], ["centred"]))


def only_a_label(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def three_columns(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Concat", ["p", "p", "p"], ["three"], axis=1))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("three", TensorProto.FLOAT, ["n", 3]))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"no model", "This is not an ONNX model"),
        (network(inputs=5), r"has the shape \[any, 5\]; the pipeline gives \[any, 3\].*amount, hour, card_count"),
        (network(shape=(1, 3)), r"\[1, 3\].*batch dimension of any length"),
        (network("log_odds"), "scores from -.* to .*say --log-odds"),
        (broken(network(), two_inputs), r"has 2 inputs \(x, y\)"),
        (broken(network(), three_columns), r"gives \[32, 3\] for 32 events"),
        (broken(network(), normalised_over_the_batch), "otherwise when it comes alone"),
        (broken(network("pair"), only_a_label), r"outputs \(label\) 0 could be the score.*probability of fraud"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(raw: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        GivenModel(raw, INPUTS, None, log_odds=False)


def test_an_output_can_be_named_and_must_be_there() -> None:
    assert GivenModel(network("pair"), INPUTS, "both", log_odds=False)
    with pytest.raises(ModelError, match=r"no output 'score'.*It has: both"):
        GivenModel(network("pair"), INPUTS, "score", log_odds=False)


def test_the_command_registers_tests_and_hands_to_the_scorer(
    fraudstream: Run, simulated: Simulated, tmp_path: Path
) -> None:
    plan = find_plan("retail", environ={})
    assert plan.pipeline.model is not None
    features = plan.pipeline.model.features
    (tmp_path / "net.onnx").write_bytes(network("zipmap", inputs=len(features)))
    wrong = fraudstream("model", "register", "retail", "--onnx", "net.onnx", "--features", ",".join(features[::-1]))
    assert wrong.returncode == 2 and "their order differs" in wrong.stderr
    named = ("--features", ",".join(features))
    done = fraudstream("model", "register", "retail", "--onnx", "net.onnx", *named, "--json")
    assert done.returncode == 0, done.stderr
    plain = orjson.loads(done.stdout)
    assert plain["champion"] and plain["metrics"] == {}
    scorer = load_whole(tmp_path / "models", "retail", plain["version"], features)
    matrix = np.random.default_rng(2).normal(size=(50, len(features))) * 50
    np.testing.assert_allclose(scorer.score(list(matrix.T)), expected(matrix.astype(np.float32)), atol=1e-5)

    (tmp_path / "other.onnx").write_bytes(network("column", inputs=len(features)))
    events, truth = simulated("retail")
    tested = fraudstream(
        "model", "register", "retail", "--onnx", "other.onnx", "--data", str(events), "--truth", str(truth), "--json"
    )
    assert tested.returncode == 0, tested.stderr
    report = orjson.loads(tested.stdout)
    assert not report["champion"] and report["metrics"]["events"] == 1_800
    card = (tmp_path / "models" / "retail" / report["version"] / "card.md").read_text()
    assert "Made by `onnx`" in card and "average precision" in card
    history = fraudstream("model", "list", "retail")
    assert report["version"] in history.stdout and "challenger" in history.stdout
