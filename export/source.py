"""Reads a checkpoint's tensors one at a time, so that a model larger than memory can be exported: any layout that `NVILA.from_pretrained` opens."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from nvila_edge.engines.spec import EngineSpec, spec_of_checkpoint
from nvila_edge.engines.weights import BlockWeight, Weight
from nvila_edge.model.checkpoint import CheckpointError
from nvila_edge.model.opening import opened
from nvila_edge.model.weights import StoredTensor

_PLAIN = ("config.json", "adapter_config.json")


class Part:
    """The tensors of one part by name, as float32 arrays read when asked for and forgotten afterwards."""

    def __init__(self, stored: dict[str, StoredTensor], where: str) -> None:
        self._stored, self._where = stored, where

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._stored:
            raise CheckpointError(f"{self._where} lacks the tensor {name}; the files do not fit its config.json")
        return self._stored[name].load(torch.float32, own=True).numpy()

    def packed(self, name: str) -> BlockWeight | None:
        """A weight that is stored in four bits (AWQ), as it is stored; None for others. Codes 0..15 become -8..7, their middle goes into the offset."""
        read = self._stored[name].packed if name in self._stored else None
        if read is None:
            return None
        codes, scale, zero = (part.numpy() for part in read())
        return BlockWeight(codes.astype(np.int8) - np.int8(8), np.ascontiguousarray(scale), 4, np.ascontiguousarray(zero + 8 * scale))

    def is_packed(self, name: str) -> bool:
        """Whether `packed` gives something."""
        return self._stored[name].packed is not None

    def names(self, prefix: str) -> list[str]:
        """The names that start with `prefix`."""
        return sorted(name for name in self._stored if name.startswith(prefix))

    def count(self, prefix: str) -> int:
        """How many numbers the tensors hold whose names start with `prefix`; known without reading them."""
        return sum(math.prod(tensor.shape) for name, tensor in self._stored.items() if name.startswith(prefix))

    def below(self, prefix: str) -> dict[str, np.ndarray]:
        """All tensors whose names start with `prefix`, by the rest of the name."""
        return {name[len(prefix) :]: self[name] for name in sorted(self._stored) if name.startswith(prefix)}


class Checkpoint:
    """A checkpoint in any published layout, or a LoRA output on its base, opened for reading layer by layer.

    path_or_hub_id: as for `NVILA.from_pretrained`. Raises CheckpointError when it cannot be opened or exported.
    """

    def __init__(self, path_or_hub_id: str | Path) -> None:
        found = opened(path_or_hub_id)
        self.folder, self.tokenizer_folder, self._adapter = found.folder, found.tokenizer_folder, found.adapter
        self.spec: EngineSpec = spec_of_checkpoint(self.folder)
        self._llm, self._tower, self._projector = (Part(found.stored[part], f"{self.folder}: {part}") for part in found.stored)

    def vision_stem(self) -> dict[str, np.ndarray]:
        """Patch and position embeddings, by the names of `export.vision_graph`."""
        return self._tower.below("embeddings.")

    def vision_layer(self, index: int) -> dict[str, np.ndarray]:
        """One tower layer, names after `encoder.layers.N.`."""
        return self._tower.below(f"encoder.layers.{index}.")

    def projector(self) -> dict[str, np.ndarray]:
        """`layers.K.*`."""
        return self._projector.below("")

    def language_layer(self, index: int) -> dict[str, np.ndarray]:
        """One decoder layer, names after `model.layers.N.`."""
        return self._llm.below(f"model.layers.{index}.")

    def language_layers(self) -> Iterator[dict[str, np.ndarray]]:
        """All decoder layers, one at a time."""
        return (self.language_layer(i) for i in range(self.spec.language.layers))

    def is_awq(self) -> bool:
        """Whether the decoder's Linears are stored in four bits already."""
        return any(self._llm.is_packed(name) for name in self._llm.names("model.layers."))

    def awq_layers(self) -> Iterator[dict[str, Weight]]:
        """All decoder layers with their stored codes, one at a time."""
        for index in range(self.spec.language.layers):
            prefix = f"model.layers.{index}."
            yield {name[len(prefix) :]: self._llm.packed(name) or self._llm[name] for name in self._llm.names(prefix)}

    def vision_layers(self) -> Iterator[dict[str, np.ndarray]]:
        """The tower's layers that are run, one at a time."""
        return (self.vision_layer(i) for i in range(self.spec.vision.layers))

    def vision_numbers(self) -> int:
        """How many weights a vision graph holds, at most (layers that are not run counted too)."""
        return self._tower.count("") + self._projector.count("")

    def language_numbers(self) -> int:
        """How many weights a language graph holds: layers and head."""
        return self._llm.count("model.layers.") + self.spec.language.vocab * self.spec.language.hidden

    def norm(self) -> np.ndarray:
        """The final RMS norm's weight [H]."""
        return self._llm["model.norm.weight"]

    def embedding(self) -> np.ndarray:
        """The token table [vocab, H]."""
        return self._llm["model.embed_tokens.weight"]

    def head(self) -> np.ndarray:
        """The output Linear's weight [vocab, H]; the token table when they are tied."""
        return self.embedding() if self.spec.language.tied or "lm_head.weight" not in self._llm else self._llm["lm_head.weight"]

    def sha256(self) -> str:
        """One hash over the names and bytes of all weights and configurations, an adapter's included."""
        total = hashlib.sha256()
        for root in (self.folder, *([self._adapter] if self._adapter else [])):
            files = [path for path in root.rglob("*") if path.name in _PLAIN or path.suffix in (".safetensors", ".bin", ".pt")]
            for path in sorted(files):
                total.update(str(path.relative_to(root)).encode())
                with path.open("rb") as file:
                    while chunk := file.read(1 << 20):
                        total.update(chunk)
        return total.hexdigest()
