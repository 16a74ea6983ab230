"""What each input adds to the sum of a forest's trees: exact Shapley values, in time linear in the nodes.

A leaf is reached through conditions on some inputs. With only the inputs of a set known, and the others as they were
in training, it gives its value times, for each input i on its path, either o_i (1 where the event meets all conditions
on i, else 0) or z_i (the share of training events that did). The Shapley value of i in that game is

    value · (o_i - z_i) · ∫₀¹ ∏_{j ≠ i} (t·o_j + (1 - t)·z_j) dt

(Owen, "Multilinear Extensions of Games", 1972), and the integral of a polynomial is a sum over a few Gauss–Legendre
points. Summed over leaves this is the "path-dependent" TreeSHAP of Lundberg et al. 2018, Algorithm 2; products are
carried down the tree and sums up, as in Linear TreeSHAP (Yu et al. 2022), instead of being made anew for each leaf. All
factors are positive and nothing cancels, so the values hold to rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NEITHER, ONLY_BEFORE, BOTH = 0, 1, 2
"""Which of the conditions on a node's input an event meets: not all of those further up the path, only those, or the
node's own as well."""


@njit(cache=True, nogil=True)
def add_contributions(
    rows: np.ndarray,
    roots: np.ndarray,
    parent: np.ndarray,
    above: np.ndarray,
    asked: np.ndarray,
    is_left: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    value: np.ndarray,
    down: np.ndarray,
    up: np.ndarray,
) -> np.ndarray:
    """The contributions of all trees.

    Args:
        rows: float64[n, inputs], the events.
        roots: int64[trees + 1], where each tree's nodes begin, and where the last one's end; parents stand before
            their children.
        parent: int64[m], the node above; the root: itself.
        above: int64[m], the nearest node above on the path that is reached by a condition on the same input; -1: none.
        asked: int64[m], the input whose condition leads to the node; the root: -1.
        is_left: bool[m], whether the node is reached where `x <= threshold` of its parent.
        feature: int64[m], the input that a node asks about; -1: a leaf.
        threshold: float64[m].
        value: float64[m], what a leaf gives; inner nodes: anything.
        down: float64[m, 3, q], by how a node changes the products at the q points.
        up: float64[m, 3, q], what the sums below a node count for its input, weights of the points included.

    Returns:
        float64[n, inputs].
    """
    n, inputs = rows.shape
    points = down.shape[2]
    found = np.zeros((n, inputs, points))
    most = 0
    for tree in range(len(roots) - 1):
        most = max(most, roots[tree + 1] - roots[tree])
    products, sums = np.empty((most, points)), np.empty((most, points))
    states = np.empty(most, np.int64)
    for tree in range(len(roots) - 1):
        first, end = roots[tree], roots[tree + 1]
        for row in range(n):
            products[0, :] = 1.0
            for node in range(first + 1, end):
                # Unsigned places: no check whether one counts from the end.
                here, over = np.uint64(node - first), np.uint64(parent[node])
                is_met = (rows[row, np.uint64(feature[over])] <= threshold[over]) == is_left[node]
                before = above[node] < 0 or states[np.uint64(above[node] - first)] == BOTH
                state = (BOTH if is_met else ONLY_BEFORE) if before else NEITHER
                states[here] = state
                change = down[np.uint64(node), np.uint64(state)]
                earlier, product, total = products[over - np.uint64(first)], products[here], sums[here]
                of_leaf = value[node] if feature[node] < 0 else 0.0
                for point in range(points):
                    product[point] = earlier[point] * change[point]
                    total[point] = product[point] * of_leaf
            sums[0, :] = 0.0
            for node in range(end - 1, first, -1):
                here = np.uint64(node - first)
                counted = up[np.uint64(node), np.uint64(states[here])]
                total, outer = sums[here], sums[np.uint64(parent[node] - first)]
                gained = found[row, np.uint64(asked[node])]
                for point in range(points):
                    gained[point] += total[point] * counted[point]
                    outer[point] += total[point]
    result = np.zeros((n, inputs))
    for row in range(n):
        for column in range(inputs):
            for point in range(points):
                result[row, column] += found[row, column, point]
    return result
