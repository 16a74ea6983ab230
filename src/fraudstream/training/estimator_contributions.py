"""What inputs contribute to scikit-learn's trees, forests and logistic regression; of others nothing is said."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudstream.models.contributions import pack_linear, pack_trees
from fraudstream.training.forest import LEAF, Floats, Tree


def contributions_of(estimator: Any, mean: Floats) -> bytes:
    """The file that says them; empty where the estimator is of no kind that is known here.

    The margin of a tree or forest is its probability of fraud, the mean of its trees' shares of fraud; that of a
    logistic regression is the log-odds.

    Args:
        estimator: A fitted classifier of the classes genuine and fraud.
        mean: float64[inputs], the inputs' means in training.
    """
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    if isinstance(estimator, LogisticRegression):
        return pack_linear(estimator.coef_[0].astype(np.float64), mean, float(estimator.intercept_[0]))
    if isinstance(estimator, DecisionTreeClassifier):
        members = [estimator]
    elif isinstance(estimator, RandomForestClassifier | ExtraTreesClassifier):
        members = estimator.estimators_
    else:
        return b""
    return pack_trees([_tree(member.tree_, len(members)) for member in members], int(estimator.n_features_in_))


def _tree(tree: Any, of: int) -> Tree:
    """A tree of a forest of so many: its leaves hold their part of the mean share of fraud."""
    left, right = (np.asarray(side, np.int64) for side in (tree.children_left, tree.children_right))
    share = np.asarray(tree.value, np.float64)[:, 0, :]
    value = share[:, 1] / share.sum(axis=1) / of
    feature = np.where(left == LEAF, LEAF, np.asarray(tree.feature, np.int64))
    cover = np.asarray(tree.weighted_n_node_samples, np.float64)
    return Tree(feature, np.asarray(tree.threshold, np.float64), left, right, value, cover)
