"""Finding a checkpoint and what it stores: its folder (or hub id), configuration and tensors, an adapter merged in. Nothing is read yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nvila_edge.model import lora
from nvila_edge.model.checkpoint import (
    PARTS,
    CheckpointConfig,
    CheckpointError,
    checkpoint_folder,
    is_single_file,
    read_config,
)
from nvila_edge.model.weights import StoredTensor, part_tensors

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Opened:
    """A checkpoint: `folder` with config.json, `stored` tensors by part and our names, `adapter` the folder of a LoRA that is merged into them."""

    folder: Path
    config: CheckpointConfig
    stored: dict[str, dict[str, StoredTensor]]
    adapter: Path | None

    @property
    def tokenizer_folder(self) -> Path:
        """Where tokenizer.json lies."""
        return self.folder if is_single_file(self.folder) else self.folder / "llm"


def opened(path_or_hub_id: str | Path, download: bool = True) -> Opened:
    """Raises CheckpointError when there is no checkpoint, or a part is missing or broken. download: whether a hub id may be fetched."""
    folder = local_folder(path_or_hub_id, download)
    adapter = next((one for one in (folder, folder / "model") if lora.is_adapter(one)), None)
    folder = checkpoint_folder(_base_folder(adapter, download) if adapter else folder)
    config = read_config(folder)
    stored = {part: part_tensors(folder, part) for part in PARTS}
    return Opened(folder, config, lora.merged(stored, adapter) if adapter else stored, adapter)


def _base_folder(adapter: Path, download: bool) -> Path:
    named = lora.base_folder(adapter)
    try:
        return local_folder(named, download)
    except CheckpointError as error:
        raise CheckpointError(
            f"{adapter} is an adapter, and its adapter_config.json names {named} as base_model_name_or_path: {error}"
        ) from error


def local_folder(path_or_hub_id: str | Path, download: bool = True) -> Path:
    """The folder itself, or a hub repository's snapshot (kept in the hub's cache). Raises CheckpointError when there is neither."""
    path = Path(path_or_hub_id).expanduser()
    if path.exists():
        return path
    if not isinstance(path_or_hub_id, str) or not _HUB_ID.fullmatch(path_or_hub_id) or path.parent.is_dir():
        raise CheckpointError(
            f"{path} does not exist; expected a checkpoint folder, or a hub id such as Efficient-Large-Model/NVILA-Lite-2B"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path_or_hub_id, local_files_only=not download))
    except Exception as error:  # noqa: BLE001  the hub's own errors, its HTTP library's, and the system's
        if not download:
            raise CheckpointError(
                f"{path_or_hub_id} is no folder here and has not been downloaded from the hub; mend it with: hf download {path_or_hub_id}"
            ) from error
        raise CheckpointError(
            f"{path_or_hub_id} is no folder here, and cannot be fetched from the hub: {str(error).split(chr(10), 1)[0]}. "
            "Is the name right, is the network up, does the repository ask for a login (hf auth login)?"
        ) from error
