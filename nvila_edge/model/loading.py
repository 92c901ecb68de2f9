"""Opening a checkpoint: find the folder, read what it says, build the model without memory, check every tensor, then read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nvila_edge.model import lora
from nvila_edge.model.checkpoint import PARTS, CheckpointError, checkpoint_folder, is_single_file, part_config, read_config
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.model.weights import StoredTensor, fill, part_tensors

if TYPE_CHECKING:
    from nvila_edge.model.nvila import NVILA

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load(kind: type[NVILA], path_or_hub_id: str | Path, dtype: str | None, device: str | None) -> NVILA:
    """See NVILA.from_pretrained."""
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)} or None")
    folder = local_folder(path_or_hub_id)
    adapter = folder if lora.is_adapter(folder) else None
    folder = checkpoint_folder(local_folder(lora.base_folder(folder)) if adapter else folder)
    config = read_config(folder)
    with torch.device("meta"):
        model = kind.from_configs(config, part_config(folder, "vision_tower"), part_config(folder, "llm"))
    model.tokenizer_folder = folder if is_single_file(folder) else folder / "llm"
    model.tokenizer = ChatTokenizer.from_folder(model.tokenizer_folder, config.template)
    stored = {part: part_tensors(folder, part) for part in PARTS}
    if adapter:
        stored = lora.merged(stored, adapter)
    _fill(model, stored, folder, DTYPES[dtype] if dtype else None)
    return model.eval().to(device or "cpu")


def local_folder(path_or_hub_id: str | Path) -> Path:
    """The folder itself, or a hub repository's snapshot (downloaded once, kept in the hub's cache). Raises CheckpointError when there is neither."""
    path = Path(path_or_hub_id).expanduser()
    if path.exists():
        return path
    if not isinstance(path_or_hub_id, str) or not _HUB_ID.fullmatch(path_or_hub_id):
        raise CheckpointError(
            f"{path} does not exist; expected a checkpoint folder, or a hub id such as Efficient-Large-Model/NVILA-Lite-2B"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path_or_hub_id))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{path_or_hub_id} is no folder here, and cannot be fetched from the hub: {str(error).splitlines()[0]}. "
            "Is the name right, is the network up, does the repository ask for a login (huggingface-cli login)?"
        ) from error


def _fill(model: NVILA, stored: dict[str, dict[str, StoredTensor]], folder: Path, dtype: torch.dtype | None) -> None:
    tied = bool(model.llm.config.tie_word_embeddings)
    fill(model.vision_tower, stored["vision_tower"], f"{folder}: vision_tower", dtype)
    fill(model.mm_projector, stored["mm_projector"], f"{folder}: mm_projector", dtype)
    fill(model.llm, stored["llm"], f"{folder}: llm", dtype, optional=("lm_head.weight",) if tied else ())
    model.llm.tie_weights()
    _reset_buffers(model)


def _reset_buffers(model: NVILA) -> None:
    """Non-persistent buffers (rotary frequencies, position ids) are not in any file: compute them anew."""
    model.llm.model.rotary_emb = type(model.llm.model.rotary_emb)(model.llm.config)
    positions = model.vision_tower.embeddings.position_ids
    model.vision_tower.embeddings.register_buffer("position_ids", torch.arange(positions.shape[1]).expand(1, -1), persistent=False)
