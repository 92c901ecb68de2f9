"""Which samples of a subset stay: the highest scores, any, or some of every cluster of pictures (the paper's section 2.2.1 and Table 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

METHODS = ("delta", "random", "cluster")
_ROUNDS = 30  # of k-means; the assignments of a few thousand features stand still after about ten


def kept_count(total: int, keep: float) -> int:
    """How many of `total` a share of 0 < keep <= 1 is; at least one of a subset that has any. Raises ValueError for another share."""
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}; expected a share above 0 and at most 1, for example 0.5")
    return min(total, max(1, round(total * keep)))


def highest(scores: Sequence[float], count: int) -> list[int]:
    """Indices of the highest scores, in order of the data; of equal ones the first."""
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return sorted(order[:count])


def drawn(total: int, count: int, rng: np.random.Generator) -> list[int]:
    """Indices drawn without return, in order of the data."""
    return sorted(rng.permutation(total)[:count].tolist())


def clusters(features_NC: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """int [N]: the cluster of each of the features, float [N, C], by k-means on their directions. count: at most so many clusters.

    Features that are all zero (samples without a picture) are cluster -1.
    """
    from scipy.cluster.vq import kmeans2

    labels = np.full(len(features_NC), -1)
    norms = np.linalg.norm(features_NC, axis=1)
    seen = norms > 0
    if seen.any():
        directions = features_NC[seen] / norms[seen, None]
        wanted = max(1, min(count, len(np.unique(directions, axis=0))))
        labels[seen] = kmeans2(directions, wanted, iter=_ROUNDS, minit="++", rng=rng)[1] if wanted > 1 else 0
    return labels


def evenly(labels: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Indices with the same share of every cluster, drawn within it; what rounding leaves goes to the largest remainders."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    exact = [len(group) * count / len(labels) for group in groups]
    shares = [int(share) for share in exact]
    for index in sorted(range(len(groups)), key=lambda i: (shares[i] - exact[i], i))[: count - sum(shares)]:
        shares[index] += 1
    return sorted(int(index) for group, share in zip(groups, shares, strict=True) for index in rng.permutation(group)[:share])
