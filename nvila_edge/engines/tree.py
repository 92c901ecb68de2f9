"""The answer tree of one pass: which nodes of the grammar are run so that all ten actions are scored at once, and what each sees."""

from __future__ import annotations

import numpy as np

from nvila_edge.navigation.grammar import ActionTrie


class AnswerTree:
    """The nodes of a trie that lie on the way to a branch, ready for tree attention; tails that the grammar forces are never run for
    scoring.

    tokens, depths int64 [n] of the nodes run; sees bool [n, n]: a node sees itself and its ancestors;
    reads int [branches]: the row of the tree whose logits score a branch, -1 for the last position before the tree.
    """

    def __init__(self, trie: ActionTrie) -> None:
        self.trie = trie
        run: set[int] = set()
        for branch in trie.branches:
            node = branch.node
            while node >= 0:
                run.add(node)
                node = trie.parents[node]
        self._nodes = sorted(run)  # parents were numbered before their children
        self._row = {node: row for row, node in enumerate(self._nodes)}
        self.tokens = np.array([trie.tokens[node] for node in self._nodes], np.int64)
        self.depths = np.array([trie.depths[node] for node in self._nodes], np.int64)
        self.sees = np.eye(len(self._nodes), dtype=bool)
        for row, node in enumerate(self._nodes):
            if trie.parents[node] >= 0:
                self.sees[row] |= self.sees[self._row[trie.parents[node]]]
        self.reads = np.array([self._row[branch.node] if branch.node >= 0 else -1 for branch in trie.branches], np.int64)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def longest(self) -> int:
        """Tokens of the longest sentence."""
        return max(len(path) for path in self.trie.paths)

    def answer(self, action: int) -> list[int]:
        """All ids of the sentence of ACTIONS[action]."""
        return [self.trie.tokens[node] for node in self.trie.paths[action]]

    def split(self, action: int) -> tuple[list[int], list[int]]:
        """The rows of the tree that belong to ACTIONS[action], and the ids of the rest of its sentence, which no pass has seen yet."""
        path = self.trie.paths[action]
        return [self._row[node] for node in path if node in self._row], [self.trie.tokens[node] for node in path if node not in self._row]
