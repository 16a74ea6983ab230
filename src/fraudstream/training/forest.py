"""Forests of decision trees as ONNX graphs that compute exactly what the trainer computes.

Both trainers make the same thing: trees whose inner nodes ask `x <= threshold` and whose leaves hold a number; the
numbers are added up and one formula makes a score of the sum. `docs/decisions/0007-lightgbm-to-onnx.md` says why the
graph is written here instead of by a converter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.models.contributions import LEAF as LEAF
from fraudstream.models.contributions import Tree as Tree

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

INPUT, OUTPUT = "features", "score"
_OPSET, _ML_OPSET, _IR_VERSION = 18, 5, 10  # the first with TreeEnsemble over float64, and what goes with them
_LESS_OR_EQUAL, _ADD_UP = 0, 1


def sigmoid_of_sum(trees: Sequence[Tree], inputs: int) -> bytes:
    """The ONNX file of 1 / (1 + exp(-sum)): float32[n, inputs] in, float64[n, 1] out."""
    from onnx import helper

    return _file(trees, inputs, [helper.make_node("Sigmoid", ["sum"], [OUTPUT])], {})


def power_of_sum(trees: Sequence[Tree], inputs: int, base: float) -> bytes:
    """The ONNX file of base ** sum: float32[n, inputs] in, float64[n, 1] out."""
    from onnx import helper

    return _file(trees, inputs, [helper.make_node("Pow", ["base", "sum"], [OUTPUT])], {"base": base})


def _file(trees: Sequence[Tree], inputs: int, last: list[Any], constants: dict[str, float]) -> bytes:
    """Inputs are widened to float64 before they are compared, so that no threshold has to be rounded."""
    from onnx import TensorProto, helper, numpy_helper

    ensemble = helper.make_node("TreeEnsemble", ["wide"], ["sum"], domain="ai.onnx.ml", **_attributes(trees))
    nodes = [helper.make_node("Cast", [INPUT], ["wide"], to=TensorProto.DOUBLE), ensemble, *last]
    tensors = [numpy_helper.from_array(np.array(value, np.float64), name) for name, value in constants.items()]
    return model_bytes(nodes, "forest", inputs, tensors)


def model_bytes(nodes: list[Any], name: str, inputs: int, constants: list[Any]) -> bytes:
    """The ONNX file of a graph: float32[n, inputs] in, float64[n, 1] out."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", inputs])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, ["n", 1])],
        constants,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="fraudstream")
    return bytes(model.SerializeToString(deterministic=True))


def _attributes(trees: Sequence[Tree]) -> dict[str, Any]:
    """The attributes of ai.onnx.ml's TreeEnsemble: inner nodes and leaves are numbered apart, over all trees."""
    from onnx import numpy_helper

    trees = [_with_root(tree) for tree in trees]
    inner = [np.flatnonzero(tree.feature != LEAF) for tree in trees]
    leaves = [np.flatnonzero(tree.feature == LEAF) for tree in trees]
    first_inner = np.cumsum([0, *map(len, inner)])
    first_leaf = np.cumsum([0, *map(len, leaves)])
    children: dict[str, list[Int64s]] = {"left": [], "right": []}
    ends: dict[str, list[Int64s]] = {"left": [], "right": []}
    for index, tree in enumerate(trees):
        is_leaf = tree.feature == LEAF
        number = np.where(
            is_leaf,
            first_leaf[index] + np.cumsum(is_leaf) - 1,
            first_inner[index] + np.cumsum(~is_leaf) - 1,
        )
        for side in ("left", "right"):
            child = getattr(tree, side)[inner[index]]
            children[side].append(number[child])
            ends[side].append(is_leaf[child].astype(np.int64))
    thresholds = _joined(tree.threshold[rows] for tree, rows in zip(trees, inner, strict=True))
    weights = _joined(tree.value[rows] for tree, rows in zip(trees, leaves, strict=True))
    features = _joined(tree.feature[rows] for tree, rows in zip(trees, inner, strict=True))
    return {
        "tree_roots": first_inner[:-1].tolist(),
        "nodes_splits": numpy_helper.from_array(thresholds.astype(np.float64)),
        "nodes_featureids": features.tolist(),
        "nodes_modes": numpy_helper.from_array(np.full(len(thresholds), _LESS_OR_EQUAL, np.uint8)),
        "nodes_truenodeids": np.concatenate(children["left"]).tolist(),
        "nodes_trueleafs": np.concatenate(ends["left"]).tolist(),
        "nodes_falsenodeids": np.concatenate(children["right"]).tolist(),
        "nodes_falseleafs": np.concatenate(ends["right"]).tolist(),
        "leaf_targetids": [0] * len(weights),
        "leaf_weights": numpy_helper.from_array(weights.astype(np.float64)),
        "n_targets": 1,
        "aggregate_function": _ADD_UP,
    }


def _joined(parts: Any) -> npt.NDArray[Any]:
    return np.concatenate(list(parts))


def _with_root(tree: Tree) -> Tree:
    """A tree that is one leaf gets an inner node above it: ONNX begins every tree with a question."""
    if tree.feature[0] != LEAF:
        return tree
    return Tree(
        np.array([0, LEAF]),
        np.zeros(2),
        np.array([1, 0]),
        np.array([1, 0]),
        np.array([0.0, tree.value[0]]),
        np.array([tree.cover[0], tree.cover[0]]),
    )
