"""The streaming policy for many episodes at once, in torch: what DAgger rolls out. Engines have their own single-episode session."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nvila_edge.model.decoder import decoder
from nvila_edge.model.nvila import NVILA
from nvila_edge.navigation.grammar import action_trie
from nvila_edge.training.stream import NEGATIVE, StreamLayout


class StreamPolicy:
    """Lock-step decisions for a fixed set of episodes; the caller may stop asking for some of them (`keep`).

    The built-in tokenizer's answers are a verb token and an amount token (or the one stop token); `tell` says what was executed.
    """

    def __init__(self, model: NVILA, layout: StreamLayout, texts: Sequence[str]) -> None:
        self.model, self.layout = model, layout
        self.trie = action_trie(layout.tokenizer.encode)
        openings = [layout.opening(text) for text in texts]
        width = max(map(len, openings))
        ids = torch.tensor([[layout.tokenizer.newline] * (width - len(row)) + row for row in openings])
        self.pad = torch.tensor([width - len(row) for row in openings])
        positions = torch.arange(width)[None] - self.pad[:, None]
        self.opening_open = positions >= 0  # [B, I]
        causal = torch.ones(width, width, dtype=torch.bool).tril()
        mask = torch.where(causal & self.opening_open[:, None], 0.0, NEGATIVE)[:, None]
        with torch.no_grad():
            _, self.past = decoder(model.llm, model.llm.model.embed_tokens(ids), positions.clamp(min=0), mask)
        self.next_position = torch.tensor([len(row) for row in openings])
        self.opening_width = width
        self.pending: Tensor | None = None  # ids [B, 2] of the last answers, not yet in the cache

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows only (in this order)."""
        index = torch.tensor(list(rows))
        self.past = [(key[index], value[index]) for key, value in self.past]
        self.opening_open, self.next_position = self.opening_open[index], self.next_position[index]
        self.pending = self.pending[index] if self.pending is not None else None

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> np.ndarray:
        """Probability of the ten actions for the newest frames, [B, 10]; features float [B, P, C] of the frozen tower."""
        llm, trie, per_frame = self.model.llm, self.trie, self.layout.tokens_per_frame
        embed, rows = llm.model.embed_tokens, len(features)
        tree = torch.tensor([node for node in range(len(trie.tokens)) if any(branch.node == node for branch in trie.branches)])
        assert all(trie.parents[node] == -1 for node in tree), "the built-in tokenizer branches twice: verb, amount"
        newline = embed(torch.tensor([[self.layout.tokenizer.newline]])).expand(rows, 1, -1)
        answers = embed(self.pending) if self.pending is not None else newline[:, :0]
        verbs = embed(torch.tensor(trie.tokens)[tree])[None].expand(rows, -1, -1)
        embeds = torch.cat([answers, self.model.mm_projector(features), newline, verbs], 1)
        fixed = answers.shape[1] + per_frame + 1
        offsets = torch.cat([torch.arange(fixed), torch.full((len(tree),), fixed)])
        positions = self.next_position[:, None] + offsets
        mask = self._mask(answers.shape[1], fixed, len(tree))
        hidden, present = decoder(llm, embeds, positions, mask, self.past)
        logits = llm.lm_head(hidden[:, fixed - 1 :]).float().numpy()
        self._remember(present, answers.shape[1], fixed)
        order = {int(node): 1 + i for i, node in enumerate(tree)} | {-1: 0}
        read = [order[branch.node] for branch in trie.branches]
        return np.stack([trie.probabilities(row[read]) for row in logits])

    def _mask(self, answers: int, fixed: int, tree: int) -> Tensor:
        """[B, 1, T, past + T]: the pending answer still sees the block that is about to leave the window; the new block does not."""
        block = self.layout.tokens_per_frame + 1
        cached = self.past[0][0].shape[2] - self.opening_width
        width = fixed + tree
        see_past = torch.ones(width, cached, dtype=torch.bool)
        full = cached + answers >= self.layout.window * (block + 2)
        if full:  # window blocks are complete: the oldest is out of reach for the new frame
            see_past[answers:, : block + 2] = False
        see_own = torch.ones(width, width, dtype=torch.bool).tril()
        see_own[fixed:, fixed:] = torch.eye(tree, dtype=torch.bool)
        rows = len(self.opening_open)
        opening = self.opening_open[:, None].expand(rows, width, -1)
        rest = torch.cat([see_past, see_own], 1).expand(rows, -1, -1)
        return torch.where(torch.cat([opening, rest], 2), 0.0, NEGATIVE)[:, None]

    def _remember(self, present: list[tuple[Tensor, Tensor]], answers: int, fixed: int) -> None:
        """Keeps the opening and the last `window` blocks (the newest without its answer, which is not known yet)."""
        block = self.layout.tokens_per_frame + 3
        room = self.layout.window * block - 2

        def join(old: Tensor, new: Tensor) -> Tensor:
            body = torch.cat([old[:, :, self.opening_width :], new[:, :, :fixed]], 2)
            return torch.cat([old[:, :, : self.opening_width], body[:, :, -room:]], 2)

        self.past = [(join(k, nk), join(v, nv)) for (k, v), (nk, nv) in zip(self.past, present, strict=True)]
        self.next_position = self.next_position + fixed

    def tell(self, actions: Sequence[int]) -> None:
        """What was executed (indices in ACTIONS, none of them stop): becomes the answer of the newest block."""
        self.pending = torch.tensor([self.layout.answers[action] for action in actions])
