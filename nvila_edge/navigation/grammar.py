"""The ten action sentences as a trie of token ids: where the model has a choice, and where the grammar leaves none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, SENTENCES


@dataclass(frozen=True)
class Branch:
    """A place where the model chooses: `node` was read last (-1: the end of the prompt), `tokens` may follow, `children` are their nodes."""

    node: int
    tokens: tuple[int, ...]
    children: tuple[int, ...]


@dataclass(frozen=True)
class ActionTrie:
    """All ten sentences in one tree, ready for one pass with tree attention.

    tokens[i] is the token of node i, parents[i] its parent (-1: the prompt), depths[i] its distance from the prompt (0 for first tokens).
    Leaves are not nodes to run: `branches` hold what must be scored, `paths[a]` lists the nodes of the sentence of ACTIONS[a].
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    branches: tuple[Branch, ...]
    paths: tuple[tuple[int, ...], ...]

    def probabilities(self, branch_logits: np.ndarray) -> np.ndarray:
        """Probability of each of the ten actions, [10] float64, summing to 1.

        branch_logits [branches, vocab]: the logits read at each branch's node. Each branch is renormalised over what the grammar allows there;
        an action's probability is the product along its path.
        """
        node_probability: dict[int, float] = {}
        for branch, logits in zip(self.branches, branch_logits, strict=True):
            allowed = np.asarray(logits, np.float64)[list(branch.tokens)]
            weights = np.exp(allowed - allowed.max())
            for child, weight in zip(branch.children, weights / weights.sum(), strict=True):
                node_probability[child] = float(weight)
        return np.array([np.prod([node_probability.get(node, 1.0) for node in path]) for path in self.paths])

    def choose(self, probabilities: np.ndarray) -> int:
        """Index in ACTIONS of the greedy answer: the best first branch, then the best below it, and so on (as greedy decoding would)."""
        candidates = list(range(len(self.paths)))
        depth = 0
        while len(candidates) > 1:
            mass: dict[int, float] = {}
            for index in candidates:
                node = self.paths[index][depth]
                mass[node] = mass.get(node, 0.0) + float(probabilities[index])
            best = max(mass, key=lambda node: mass[node])
            candidates = [index for index in candidates if self.paths[index][depth] == best]
            depth += 1
        return candidates[0]


def action_trie(encode: Callable[[str], Sequence[int]]) -> ActionTrie:
    """The trie of the ten sentences under a tokenizer's `encode` (text -> ids, no special tokens).

    Raises ValueError when one sentence's tokens are a prefix of another's: then an answer could not be told from its continuation.
    """
    nodes: dict[tuple[int, ...], int] = {}
    tokens: list[int] = []
    parents: list[int] = []
    paths: list[tuple[int, ...]] = []
    for text in SENTENCES:
        ids = tuple(encode(text))
        for end in range(1, len(ids) + 1):
            if ids[:end] not in nodes:
                nodes[ids[:end]] = len(tokens)
                tokens.append(ids[end - 1])
                parents.append(nodes[ids[: end - 1]] if end > 1 else -1)
        paths.append(tuple(nodes[ids[:end]] for end in range(1, len(ids) + 1)))
    leaves = {path[-1] for path in paths}
    if len(leaves) < len(ACTIONS) or any(parent in leaves for parent in parents):
        raise ValueError("this tokenizer makes one action sentence the beginning of another; guided decoding needs distinct endings")
    depths = [0] * len(tokens)
    for node, parent in enumerate(parents):
        depths[node] = depths[parent] + 1 if parent >= 0 else 0
    branches = []
    for node in range(-1, len(tokens)):
        children = tuple(child for child, parent in enumerate(parents) if parent == node)
        if len(children) > 1:
            branches.append(Branch(node, tuple(tokens[child] for child in children), children))
    return ActionTrie(tuple(tokens), tuple(parents), tuple(depths), tuple(branches), tuple(paths))
