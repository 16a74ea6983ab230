"""What each input of a model adds to its margin: exact, and in a file beside the model's ONNX file.

The margin is what a model adds up before its formula makes the raw score of it: log-odds for boosted trees and logistic
regression. `base` is the margin of no event in particular, the mean over training; base and contributions add up to an
event's margin. `kernels/tree_contributions.py` says how those of trees are defined and computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from fraudstream.models.kernels.tree_contributions import BOTH, NEITHER, ONLY_BEFORE, add_contributions

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

LEAF = -1
_LEAST_SHARE = 1e-12
"""Of training events, where a node saw none: no product becomes zero, so that it can be divided out again."""


class Contributions(NamedTuple):
    """What made the margins of n events.

    Attributes:
        base: The margin before anything is known of an event.
        values: float64[n, inputs], what each input adds.
    """

    base: float
    values: Floats

    @property
    def margin(self) -> Floats:
        """float64[n]: base and contributions together."""
        total: Floats = self.base + self.values.sum(axis=1)
        return total


class Tree(NamedTuple):
    """One tree as arrays over its nodes; node 0 is the root, and every node stands before its children.

    Attributes:
        feature: int64[m], the input an inner node looks at; LEAF for leaves.
        threshold: float64[m]: `x <= threshold` goes left. Leaves: anything.
        left, right: int64[m], the children. Leaves: anything.
        value: float64[m], what a leaf gives. Inner nodes: anything.
        cover: float64[m], how many training events, or how much of their weight, came by.
    """

    feature: Int64s
    threshold: Floats
    left: Int64s
    right: Int64s
    value: Floats
    cover: Floats


class _Trees(msgspec.Struct, frozen=True, tag_field="kind", tag="trees"):
    """Trees end to end, as little-endian bytes: nodes of int64 and float64, `sizes` says how many each tree has."""

    inputs: int
    sizes: bytes
    feature: bytes
    threshold: bytes
    left: bytes
    right: bytes
    value: bytes
    cover: bytes


class _Linear(msgspec.Struct, frozen=True, tag_field="kind", tag="linear"):
    """weight · (x - mean) for each input, and the margin at the means."""

    weight: tuple[float, ...]
    mean: tuple[float, ...]
    base: float


class Contributor(Protocol):
    """A model that says what its inputs contribute."""

    def __call__(self, rows: Floats) -> Contributions:
        """Those of float64[n, inputs], given as the model takes them: null as the model's number for it."""


def pack_trees(trees: Sequence[Tree], inputs: int) -> bytes:
    """The file of a forest whose margin is the sum of its trees."""
    whole = {
        name: np.concatenate([getattr(tree, name) for tree in trees]).astype(kind).tobytes()
        for name, kind in zip(Tree._fields, ("<i8", "<f8", "<i8", "<i8", "<f8", "<f8"), strict=True)
    }
    sizes = np.array([len(tree.feature) for tree in trees], "<i8").tobytes()
    return msgspec.msgpack.encode(_Trees(inputs=inputs, sizes=sizes, **whole))


def pack_linear(weight: Floats, mean: Floats, bias: float) -> bytes:
    """The file of a model whose margin is bias + weight · x.

    Args:
        weight: float64[inputs].
        mean: float64[inputs], the inputs' means in training.
        bias: The margin at x = 0.
    """
    base = bias + float(weight @ mean)
    return msgspec.msgpack.encode(_Linear(tuple(weight.tolist()), tuple(mean.tolist()), base))


def read_contributor(file: bytes, inputs: int) -> Contributor:
    """The contributor of a file that `pack_trees` or `pack_linear` made, for a model with so many inputs.

    Raises:
        ValueError: It is none.
    """
    found = msgspec.msgpack.decode(file, type=_Trees | _Linear)
    if (len(found.weight) if isinstance(found, _Linear) else found.inputs) != inputs:
        raise ValueError(f"it is not for {inputs} inputs")
    if isinstance(found, _Linear):
        return LinearContributor(np.array(found.weight), np.array(found.mean), found.base)
    integers = [np.frombuffer(part, "<i8") for part in (found.sizes, found.feature, found.left, found.right)]
    numbers = [np.frombuffer(part, "<f8") for part in (found.threshold, found.value, found.cover)]
    (sizes, feature, left, right), (threshold, value, cover) = integers, numbers
    if {len(feature), len(left), len(right), len(threshold), len(value), len(cover)} != {int(sizes.sum())}:
        raise ValueError("its arrays differ in length")
    if feature.max(initial=LEAF) >= found.inputs:
        raise ValueError("a node asks about an input that the model does not have")
    whole = (feature, threshold, left, right, value, cover)
    parts = (np.split(each, np.cumsum(sizes)[:-1]) for each in whole)
    trees = [Tree(*tree) for tree in zip(*parts, strict=True)]
    return TreeContributor(trees)


class LinearContributor:
    """weight · (x - mean) for each input."""

    def __init__(self, weight: Floats, mean: Floats, base: float) -> None:
        self._weight, self._mean, self._base = weight, mean, base

    def __call__(self, rows: Floats) -> Contributions:
        """The contributions of float64[n, inputs]."""
        return Contributions(self._base, (rows - self._mean) * self._weight)


class TreeContributor:
    """Trees made ready for the kernel.

    Args:
        trees: The trees.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        paths = [_paths(tree) for tree in trees]
        # A path that asks about d different inputs makes polynomials of degree d - 1 at most.
        points = max(1, (max(int(path.inputs.max()) for path in paths) + 1) // 2)
        places, weights = np.polynomial.legendre.leggauss(points)
        places, weights = (places + 1) / 2, weights / 2
        sizes = np.array([len(tree.feature) for tree in trees])
        self._roots = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        shift = np.repeat(self._roots[:-1], sizes)
        self._parent = np.concatenate([path.parent for path in paths]) + shift
        above = np.concatenate([path.above for path in paths])
        self._above = np.where(above < 0, -1, above + shift)
        self._asked = np.concatenate([path.asked for path in paths])
        self._is_left = np.concatenate([path.is_left for path in paths])
        self._feature = np.concatenate([tree.feature for tree in trees]).astype(np.int64)
        self._threshold = np.concatenate([tree.threshold for tree in trees]).astype(np.float64)
        self._value = np.concatenate([tree.value for tree in trees]).astype(np.float64)
        share = np.concatenate([path.share for path in paths])
        self._down, self._up = _tables(share, self._above, places, weights)
        self._base = float(sum(path.base for path in paths))

    def __call__(self, rows: Floats) -> Contributions:
        """The contributions of float64[n, inputs]."""
        values = add_contributions(
            np.ascontiguousarray(rows),
            self._roots,
            self._parent,
            self._above,
            self._asked,
            self._is_left,
            self._feature,
            self._threshold,
            self._value,
            self._down,
            self._up,
        )
        return Contributions(self._base, values)


class _Paths(NamedTuple):
    """What leads to each of m nodes.

    Attributes:
        parent, above, asked, is_left: As the kernel takes them, nodes numbered within the tree.
        share: float64[m], the share of training events that met all conditions on the node's input on the path so far.
        inputs: int64[m], how many different inputs the path asked about.
        base: The mean of the leaves over training events.
    """

    parent: Int64s
    above: Int64s
    asked: Int64s
    is_left: npt.NDArray[np.bool_]
    share: Floats
    inputs: Int64s
    base: float


def _paths(tree: Tree) -> _Paths:
    m = len(tree.feature)
    parent, above, inputs = np.zeros(m, np.int64), np.full(m, -1, np.int64), np.zeros(m, np.int64)
    asked, is_left = np.full(m, -1, np.int64), np.zeros(m, np.bool_)
    share, reach = np.ones(m), np.ones(m)
    for node in np.flatnonzero(tree.feature != LEAF).tolist():
        for child, left in ((int(tree.left[node]), True), (int(tree.right[node]), False)):
            if not node < child < m:
                raise ValueError("a node of a tree does not stand before its children")
            parent[child], is_left[child], asked[child] = node, left, tree.feature[node]
            before = node
            while before > 0 and asked[before] != asked[child]:
                before = int(parent[before])
            above[child] = before if before > 0 else -1
            part = max(float(tree.cover[child] / tree.cover[node]) if tree.cover[node] > 0 else 0.0, _LEAST_SHARE)
            share[child] = part * (share[before] if before > 0 else 1.0)
            reach[child] = part * reach[node]
            inputs[child] = inputs[node] + (before == 0)
    leaves = tree.feature == LEAF
    return _Paths(parent, above, asked, is_left, share, inputs, float((tree.value[leaves] * reach[leaves]).sum()))


def _tables(share: Floats, above: Int64s, places: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """`down` and `up` of the kernel: for each node, how the event stands to its conditions, and each point."""
    down, up = (np.empty((len(share), 3, len(places))) for _ in range(2))
    has_above = (above >= 0)[:, None]
    for state, here, before in ((NEITHER, 0.0, 0.0), (ONLY_BEFORE, 0.0, 1.0), (BOTH, 1.0, 1.0)):
        factor = places * here + (1 - places) * share[:, None]
        factor_above = np.where(has_above, places * before + (1 - places) * share[above][:, None], 1.0)
        down[:, state] = factor / factor_above
        gained = (here - share[:, None]) / factor
        gained_above = np.where(has_above, (before - share[above][:, None]) / factor_above, 0.0)
        up[:, state] = weights * (gained - gained_above)
    return down, up
