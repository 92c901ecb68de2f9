"""Streaming episodes as training sequences: instruction, then per decision a block of frame tokens, line break and answer.

Every decision of an episode is trained in one pass; attention reaches the instruction and the last `window` blocks (DESIGN.md, idea 4).
Shapes: B episodes, T positions, N frames, P patches, C channels, H hidden, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from nvila_edge.model.decoder import decoder
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.navigation.profiles import profile
from nvila_edge.training.pointing import Pointing

IGNORED = -100
UNTAUGHT = -1  # in place of an expert's action that decoding does not allow (navigation/steady.py)
NEGATIVE = -1e9  # additive mask: finite, so that rows of padding do not become NaN


@dataclass(frozen=True)
class Episode:
    """One recorded run, or one question (then `answers` holds its single answer's ids and actions are empty).

    features float16 [n, P, C] (the frozen tower's output per decision), expert and executed int8 [n] (indices in ACTIONS; expert may be UNTAUGHT).
    spans: parts of the text, characters [start, end); part int8 [n]: which of them says what to do at each decision (-1: not known; empty: none is).
    """

    text: str
    features: np.ndarray
    expert: np.ndarray
    executed: np.ndarray
    answer: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    part: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))


@dataclass(frozen=True)
class Batch:
    """ids, positions, targets int64 [B, T]; mask float [B, 1, T, T] additive; frames [N, P, C]; slots int64 [N, 2]: (row, first column) of each frame;
    pointers int64 [M, 5]: (row, column of a decision, first and last + 1 column of the part of the text that says what to do there, last + 1 of all
    parts)."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    mask: Tensor
    frames: Tensor
    slots: Tensor
    pointers: Tensor
    decisions: int

    def to(self, device: torch.device) -> Batch:
        """The same batch there."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)})


class StreamLayout:
    """How the `stream` profile lays out tokens: `tokens_per_frame` frame tokens, a line break, the answer's tokens."""

    def __init__(self, tokenizer: ChatTokenizer, tokens_per_frame: int, window: int = 8) -> None:
        self.tokenizer = tokenizer
        self.tokens_per_frame = tokens_per_frame
        self.window = window
        self.answers = [tokenizer.encode(text) for text in SENTENCES]
        self._openings: dict[str, list[int]] = {}
        self._columns: dict[tuple[str, tuple[tuple[int, int], ...]], list[tuple[int, int]]] = {}

    def opening(self, text: str) -> list[int]:
        """Ids of everything before the first block."""
        if text not in self._openings:
            chunks = self.tokenizer.prompt(profile("stream").user_text(text))
            self._openings[text] = [token for chunk in chunks for token in chunk.ids]
        return self._openings[text]

    def columns(self, text: str, spans: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
        """Columns [first, last + 1) in the opening of each span of characters of a text without surplus white space."""
        if (text, spans) not in self._columns:
            said = profile("stream").user_text(text)
            whole = self.tokenizer.template.text(said)
            before, offsets = whole.index(said), self.tokenizer.tokenizer.encode(whole, add_special_tokens=False).offsets
            touched = [[i for i, (a, b) in enumerate(offsets) if a < before + end and b > before + start] for start, end in spans]
            self._columns[text, spans] = [(columns[0], columns[-1] + 1) for columns in touched]
        return self._columns[text, spans]

    def row(self, episode: Episode) -> tuple[list[int], list[int], list[int], list[int]]:
        """ids, targets, block numbers (-1: the opening) and frame columns of one episode."""
        ids = list(self.opening(episode.text))
        targets, blocks, columns = [IGNORED] * len(ids), [-1] * len(ids), []
        if episode.answer:
            answer = [*self.tokenizer.encode(episode.answer), self.tokenizer.end_of_turn]
            self._append_block(ids, targets, blocks, columns, 0, answer[:-1], answer)
            return ids, targets, blocks, columns
        for block, (expert, executed) in enumerate(zip(episode.expert, episode.executed, strict=True)):
            said, wanted = self.answers[executed], self.answers[expert]
            if expert == UNTAUGHT:
                self._append_block(ids, targets, blocks, columns, block, said, [])
                continue
            # the amount is only taught where the same verb was said: after another verb it would be a different question
            agreed = next((i for i, (a, b) in enumerate(zip(said, wanted, strict=False)) if a != b), min(len(said), len(wanted)))
            self._append_block(ids, targets, blocks, columns, block, said, [*wanted[: agreed + 1]])
        return ids, targets, blocks, columns

    def _append_block(
        self, ids: list[int], targets: list[int], blocks: list[int], columns: list[int], block: int, said: list[int], wanted: list[int]
    ) -> None:
        columns.append(len(ids))
        frame = [self.tokenizer.newline] * (self.tokens_per_frame + 1)  # frame positions are overwritten by embeddings
        goals = [IGNORED] * self.tokens_per_frame + wanted + [IGNORED] * (len(said) + 1 - len(wanted))
        ids += frame + said
        targets += goals[: len(frame) + len(said)]
        blocks += [block] * (len(frame) + len(said))

    def collate(self, episodes: Sequence[Episode]) -> Batch:
        """Right-padded batch of episodes."""
        rows = [self.row(episode) for episode in episodes]
        width = _rounded(max(len(row[0]) for row in rows))
        ids = np.full((len(rows), width), self.tokenizer.newline)
        targets = np.full((len(rows), width), IGNORED)
        blocks = np.full((len(rows), width), np.iinfo(np.int32).max // 2)
        for i, (row_ids, row_targets, row_blocks, _) in enumerate(rows):
            ids[i, : len(row_ids)], targets[i, : len(row_ids)], blocks[i, : len(row_ids)] = row_ids, row_targets, row_blocks
        slots = [(i, column) for i, row in enumerate(rows) for column in row[3]]
        pointers = [
            (i, column + self.tokens_per_frame, *spans[part], spans[-1][1])
            for i, (episode, row) in enumerate(zip(episodes, rows, strict=True)) if episode.spans
            for spans in [self.columns(episode.text, episode.spans)]
            for column, part in zip(row[3], episode.part.tolist(), strict=True) if part >= 0
        ]  # fmt: skip
        frames = np.concatenate([episode.features for episode in episodes])
        return Batch(
            torch.from_numpy(ids),
            torch.arange(width).expand(len(rows), width),
            torch.from_numpy(targets),
            stream_mask(torch.from_numpy(blocks), self.window),
            torch.from_numpy(frames),
            torch.tensor(slots),
            torch.tensor(pointers).reshape(-1, 5).long(),
            sum(len(episode.expert) for episode in episodes),
        )


def _rounded(count: int) -> int:
    """Up to a multiple of 64: CPU kernels are compiled for every new shape, and that costs more than the padding."""
    return -(-count // 64) * 64


def stream_mask(blocks_BT: Tensor, window: int) -> Tensor:
    """Additive mask [B, 1, T, T]: causal, to the opening (block -1) and to blocks at most window-1 back."""
    query, key = blocks_BT[:, :, None], blocks_BT[:, None, :]
    width = blocks_BT.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    allowed = causal & ((key == -1) | (query - key < window))
    return torch.where(allowed, 0.0, NEGATIVE)[:, None]


def stream_loss(model: NVILA, batch: Batch, pointing: Pointing | None = None) -> Tensor:
    """Mean cross-entropy over the supervised positions, and that of `pointing` where it is given. The tower is not run: its features are cached."""
    llm, projector = model.llm, model.mm_projector
    embeds = llm.model.embed_tokens(batch.ids)
    frames = batch.frames.to(embeds.dtype)
    padding = frames.new_zeros(_rounded(len(frames)) - len(frames), *frames.shape[1:])
    tokens = projector(torch.cat([frames, padding]))[: len(frames)]
    rows = batch.slots[:, 0, None]
    columns = batch.slots[:, 1, None] + torch.arange(tokens.shape[1], device=tokens.device)
    embeds = embeds.index_put((rows.expand_as(columns), columns), tokens.to(embeds.dtype))
    layers: list[Tensor] = []
    hidden, _ = decoder(llm, embeds, batch.positions, batch.mask, layers=layers)
    rows, columns = (batch.targets != IGNORED).nonzero(as_tuple=True)
    targets, extra = batch.targets[rows, columns], _rounded(len(rows)) - len(rows)
    chosen = torch.nn.functional.pad(hidden[rows, columns], (0, 0, 0, extra))
    logits = llm.lm_head(chosen)
    loss = torch.nn.functional.cross_entropy(
        logits.float(), torch.nn.functional.pad(targets, (0, extra), value=IGNORED), ignore_index=IGNORED
    )
    return loss if pointing is None or not len(batch.pointers) else loss + pointing(layers[len(layers) // 2 - 1], batch.pointers)
