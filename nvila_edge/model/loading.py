"""Opening a checkpoint: find the folder, read what it says, build the model without memory, check every tensor, then read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvila_edge.model import lora
from nvila_edge.model.checkpoint import (
    PARTS,
    CheckpointConfig,
    CheckpointError,
    checkpoint_folder,
    is_single_file,
    part_config,
    read_config,
)
from nvila_edge.model.projector import projector_layers
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.model.weights import StoredTensor, check, fill, part_tensors

if TYPE_CHECKING:
    from nvila_edge.model.nvila import NVILA

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load(kind: type[NVILA], path_or_hub_id: str | Path, dtype: str | None, device: str | None) -> NVILA:
    """See NVILA.from_pretrained."""
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)} or None")
    folder = local_folder(path_or_hub_id)
    adapter = next((one for one in (folder, folder / "model") if lora.is_adapter(one)), None)
    folder = checkpoint_folder(local_folder(lora.base_folder(adapter)) if adapter else folder)
    config = read_config(folder)
    model = _built(kind, config, folder)
    model.tokenizer_folder = folder if is_single_file(folder) else folder / "llm"
    model.tokenizer = ChatTokenizer.from_folder(model.tokenizer_folder, config.template)
    stored = {part: part_tensors(folder, part) for part in PARTS}
    if adapter:
        stored = lora.merged(stored, adapter)
    _fill(model, stored, folder, DTYPES[dtype] if dtype else None)
    return model.eval().to(device or "cpu")


def _built(kind: type[NVILA], config: CheckpointConfig, folder: Path) -> NVILA:
    """The model without weights. Raises CheckpointError for configurations of which none can be made."""
    try:
        with torch.device("meta"):
            projector_layers(config.projector, 12, 12, column_major=False)
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'}, mm_projector_type: {error}") from error
    try:
        with torch.device("meta"):
            model = kind.from_configs(config, part_config(folder, "vision_tower"), part_config(folder, "llm"))
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    except Exception as error:  # noqa: BLE001  transformers' configurations raise their own kinds, and modules whatever a bad size leads to
        raise CheckpointError(f"{folder}: its config.json files describe no model that can be built: {error!r}") from error
    channels, given = int(model.vision_tower.config.hidden_size) * (len(config.scales) or 1), config.raw.get("mm_hidden_size")
    if given and int(given) != channels:
        raise CheckpointError(f"{folder / 'config.json'}: mm_hidden_size is {given}; expected {channels} of the tower and its scales")
    return model


def local_folder(path_or_hub_id: str | Path) -> Path:
    """The folder itself, or a hub repository's snapshot (downloaded once, kept in the hub's cache). Raises CheckpointError when there is neither."""
    path = Path(path_or_hub_id).expanduser()
    if path.exists():
        return path
    if not isinstance(path_or_hub_id, str) or not _HUB_ID.fullmatch(path_or_hub_id) or path.parent.is_dir():
        raise CheckpointError(
            f"{path} does not exist; expected a checkpoint folder, or a hub id such as Efficient-Large-Model/NVILA-Lite-2B"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path_or_hub_id))
    except Exception as error:  # noqa: BLE001  the hub's own errors, its HTTP library's, and the system's
        raise CheckpointError(
            f"{path_or_hub_id} is no folder here, and cannot be fetched from the hub: {str(error).split(chr(10), 1)[0]}. "
            "Is the name right, is the network up, does the repository ask for a login (hf auth login)?"
        ) from error


def _fill(model: NVILA, stored: dict[str, dict[str, StoredTensor]], folder: Path, dtype: torch.dtype | None) -> None:
    """Everything is checked before anything is read."""
    modules = {"vision_tower": model.vision_tower, "mm_projector": model.mm_projector, "llm": model.llm}
    optional = {"llm": ("lm_head.weight",) if model.llm.config.tie_word_embeddings else ()}
    for part, module in modules.items():
        check(module, stored[part], f"{folder}: {part}", optional.get(part, ()))
    found = {stored[part][name].dtype for part, module in modules.items() for name in module.state_dict() if name in stored[part]}
    if dtype is None and len(found) > 1:  # AWQ's and fine-tunes' files mix them, arithmetic can't
        dtype = stored["llm"]["model.embed_tokens.weight"].dtype
    for part, module in modules.items():
        fill(module, stored[part], f"{folder}: {part}", dtype, optional.get(part, ()))
    model.llm.tie_weights()
    _reset_buffers(model)


def _reset_buffers(model: NVILA) -> None:
    """Non-persistent buffers (rotary frequencies, position ids) are not in any file: compute them anew."""
    decoder: Any = model.llm.model
    decoder.rotary_emb = type(decoder.rotary_emb)(model.llm.config)
    positions = model.vision_tower.embeddings.position_ids
    model.vision_tower.embeddings.register_buffer("position_ids", torch.arange(positions.shape[1]).expand(1, -1), persistent=False)
