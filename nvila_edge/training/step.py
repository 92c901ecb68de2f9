"""One forward pass of training: prepared samples in, the sum of their losses out. The module that FSDP shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nvila_edge.model.generation import pad
from nvila_edge.model.nvila import NVILA
from nvila_edge.training.collate import Prepared, fused, untaught_media
from nvila_edge.training.labels import IGNORED, Piece
from nvila_edge.training.packing import hidden_states, packed
from nvila_edge.training.soft_cross_entropy import summed_soft_cross_entropy
from nvila_edge.training.token_loss import token_loss

SPREAD = 1.0  # soft_ce_std of NVILA's configuration, in time tokens


@dataclass(frozen=True)
class TimeLoss:
    """Ids of the time tokens, whose losses are soft, and how soft."""

    ids: tuple[int, ...] = ()
    std: float = SPREAD

    @staticmethod
    def of(model: NVILA) -> TimeLoss:
        """What a model's configuration says."""
        raw = model.config.raw
        return TimeLoss(tuple(raw.get("time_token_ids") or ()), float(raw.get("soft_ce_std") or SPREAD))


class TrainingStep(nn.Module):
    """Summed cross-entropy over the labels of some samples: packed into one row (needs `packed_attention` around it) or padded to one batch."""

    def __init__(self, model: NVILA, packing: bool) -> None:
        super().__init__()
        self.model, self.packing, self.times = model, packing, TimeLoss.of(model)

    def forward(self, batch: Sequence[Prepared]) -> Tensor:
        embeds, labels = fused(self.model, batch)
        if _sees(self.model) and not any(one.tiled or one.frames for one in batch):
            embeds[0] = embeds[0] + untaught_media(self.model).to(embeds[0].dtype)
        hidden, goals = self._packed(embeds, labels) if self.packing else self._padded(embeds, labels)
        kept = goals[1:] != IGNORED
        return self.loss(hidden[:-1][kept], goals[1:][kept])

    def loss(self, hidden_NH: Tensor, labels_N: Tensor) -> Tensor:
        """Sum over the positions; the output layer runs on these only, as its logits are the largest thing there is."""
        logits = self.model.llm.lm_head(hidden_NH)
        if self.times.ids:
            return summed_soft_cross_entropy(logits, labels_N, self.times.ids, self.times.std)
        return token_loss(logits, labels_N)

    def _packed(self, embeds: list[Tensor], labels: list[Tensor]) -> tuple[Tensor, Tensor]:
        row = packed(embeds, labels)
        return hidden_states(self.model.llm, row), row.labels

    def _padded(self, embeds: list[Tensor], labels: list[Tensor]) -> tuple[Tensor, Tensor]:
        batch = pad(embeds, "right")
        llm = self.model.llm.model
        hidden = llm(inputs_embeds=batch.embeds, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False).last_hidden_state
        goals = torch.full(batch.mask.shape, IGNORED, device=hidden.device)
        for row, one in zip(goals, labels, strict=True):
            row[1 : len(one)] = one[1:]
        return hidden.flatten(0, 1), goals.flatten()


def filler(model: NVILA) -> Prepared:
    """A sample of two tokens, for a process that has less to do than the others; its loss counts nothing."""
    assert model.tokenizer is not None
    tokens = (model.tokenizer.newline,), (model.tokenizer.end_of_turn,)
    return Prepared("filler", (Piece(tokens[0]), Piece(tokens[1], learned=True)), (), (), 2, 0)


def checkpoint_layers(model: NVILA) -> None:
    """Gradient checkpointing: layers keep their inputs only, and are computed again in the backward pass."""
    layer: Any
    for layer in (*model.vision_tower.encoder.layers, *model.llm.model.layers):
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)  # noqa: SLF001  transformers' place for it
        layer.training = True  # its own flag only, which transformers asks for; what lies in a frozen layer stays in eval mode


def _sees(model: NVILA) -> bool:
    return any(parameter.requires_grad for module in (model.vision_tower, model.mm_projector) for parameter in module.parameters())
