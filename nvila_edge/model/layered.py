"""A model whose decoder does not fit memory: its layers stay on disk, and every pass reads them one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from nvila_edge.model.loading import fill_parts, skeleton
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import opened
from nvila_edge.model.weights import StoredTensor, check


class LayersOnDisk(nn.Module):
    """Iterating gives the layers in float32, each read when it is its turn and forgotten with the next. `made`: the same layers on the meta device."""

    def __init__(self, made: nn.ModuleList, stored: dict[str, StoredTensor], where: str) -> None:
        super().__init__()
        self._made = list(made)  # a plain list: nothing of them is to be moved or saved
        self._stored = {name.removeprefix("model.layers."): value for name, value in stored.items() if name.startswith("model.layers.")}
        check(made, self._stored, where)

    def __iter__(self) -> Iterator[nn.Module]:
        for index, made in enumerate(self._made):
            layer = copy.deepcopy(made)
            state = {name: self._stored[f"{index}.{name}"].load(torch.float32, own=True) for name in layer.state_dict()}
            layer.load_state_dict(state, assign=True)
            yield layer.eval()


def load_layered(path_or_hub_id: str | Path) -> NVILA:
    """As `NVILA.from_pretrained` in float32, with a decoder that only `nvila_edge.model.decoder` runs. Raises CheckpointError."""
    found = opened(path_or_hub_id)
    model = skeleton(NVILA, found)
    made, model.llm.model.layers = model.llm.model.layers, nn.ModuleList()
    fill_parts(model, found.stored, found.folder, torch.float32)
    model.llm.model.layers = LayersOnDisk(made, found.stored["llm"], f"{found.folder}: llm")  # type: ignore[assignment]
    return model.eval()
