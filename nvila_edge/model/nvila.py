"""NVILA: vision tower, projector and language model in one module, in the published checkpoint layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from nvila_edge.model import vision
from nvila_edge.model.checkpoint import CheckpointConfig, CheckpointError, checkpoint_folder, read_config
from nvila_edge.model.preprocess import pixels
from nvila_edge.model.projector import Projector
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK, ChatTokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class NVILA(nn.Module):
    """The whole model. `config.json`'s keys stay in `config.raw`; `tokenizer` is None only while a new model is being made."""

    def __init__(self, config: CheckpointConfig, vision_tower: vision.VisionTower, mm_projector: Projector, llm: Qwen2ForCausalLM) -> None:
        super().__init__()
        self.config = config
        self.vision_tower = vision_tower
        self.mm_projector = mm_projector
        self.llm = llm
        self.tokenizer: ChatTokenizer | None = None
        self.tokenizer_folder: Path | None = None

    @property
    def device(self) -> torch.device:
        """Where the language model lies."""
        return self.llm.model.embed_tokens.weight.device

    @staticmethod
    def from_configs(config: CheckpointConfig, vision_config: dict[str, Any], llm_config: dict[str, Any]) -> NVILA:
        """A model with fresh weights from the contents of the three config.json files."""
        tower = vision.VisionTower.from_dict(vision_config, config.select_layer)
        language = Qwen2Config(**llm_config)
        # explicit matmul-softmax beats masked SDPA on a CPU by 1.6x (facts/learning.md)
        language._attn_implementation = "eager"  # noqa: SLF001
        llm = Qwen2ForCausalLM(language)
        channels = int(config.raw.get("mm_hidden_size") or vision_config["hidden_size"])
        projector = Projector(config.projector, channels, language.hidden_size)
        return NVILA(config, tower, projector, llm)

    @staticmethod
    def from_pretrained(path: str | Path, dtype: str | None = None, device: str | None = None) -> NVILA:
        """Opens a checkpoint folder in the published layout.

        dtype: "float32", "bfloat16", "float16" or None for as stored; device: a torch device or None for the CPU.
        Raises CheckpointError (a ValueError) when a part is missing or its tensors do not fit the configuration.
        """
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)} or None")
        folder = checkpoint_folder(path)
        config = read_config(folder)
        vision_config = json.loads((folder / "vision_tower" / "config.json").read_text())
        llm_config = json.loads((folder / "llm" / "config.json").read_text())
        with torch.device("meta"):
            model = NVILA.from_configs(config, vision_config, llm_config)
        model.to_empty(device="cpu")
        _reset_buffers(model)
        _load_part(model.vision_tower, vision.own_names(_read_weights(folder / "vision_tower")), folder / "vision_tower", dtype)
        _load_part(model.mm_projector, _read_weights(folder / "mm_projector"), folder / "mm_projector", dtype)
        _load_part(model.llm, _read_weights(folder / "llm"), folder / "llm", dtype)
        model.llm.tie_weights()
        model.tokenizer_folder = folder / "llm"
        model.tokenizer = ChatTokenizer.from_folder(folder / "llm")
        return model.eval().to(device or "cpu")

    @torch.no_grad()
    def encode_frames(self, frames: Sequence[np.ndarray]) -> Tensor:
        """uint8 RGB frames -> tokens [N, k, hidden], one tile a frame, without the newline embedding."""
        weight = next(self.mm_projector.parameters())
        inputs = torch.from_numpy(pixels(frames, self.vision_tower.image_size)).to(weight.device, weight.dtype)
        return vision.encode(self.vision_tower, self.mm_projector, inputs)

    def newline_embedding(self) -> Tensor:
        """[1, hidden]: what the encoder appends to every image block (trap 5)."""
        assert self.tokenizer is not None
        return self.llm.model.embed_tokens.weight[self.tokenizer.newline : self.tokenizer.newline + 1]

    @torch.no_grad()
    def embed_prompt(self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None) -> Tensor:
        """The fused sequence of one user turn and the generation prompt, [T, hidden].

        Raises ValueError when the marks in the prompt do not match the media given.
        """
        assert self.tokenizer is not None
        frames = [_as_array(image) for image in images or ()]
        clip = [_as_array(frame) for frame in video or ()]
        marks = prompt.count(IMAGE_MARK), prompt.count(VIDEO_MARK)
        if marks != (len(frames), 1 if clip else 0):
            raise ValueError(
                f"the prompt has {marks[0]} {IMAGE_MARK} and {marks[1]} {VIDEO_MARK} marks but {len(frames)} images and "
                f"{1 if clip else 0} videos were given; write one mark for each"
            )
        tokens = iter(self.encode_frames(frames)) if frames else iter(())
        newline = self.newline_embedding()
        parts: list[Tensor] = []
        for chunk in self.tokenizer.prompt(prompt):
            if chunk.media == IMAGE_MARK:
                parts += [next(tokens), newline]
            elif chunk.media == VIDEO_MARK:
                parts += [piece for frame in self.encode_frames(clip) for piece in (frame, newline)]
            else:
                parts.append(self.llm.model.embed_tokens(torch.tensor(chunk.ids, device=self.device)))
        return torch.cat(parts)

    @torch.no_grad()
    def logits(self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None) -> np.ndarray:
        """float32 [T, vocab]: logits at every position of the fused sequence. Media as in `embed_prompt`."""
        embeds = self.embed_prompt(prompt, images, video)
        return self.llm(inputs_embeds=embeds[None]).logits[0].float().cpu().numpy()

    @torch.no_grad()
    def generate(
        self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None, max_new_tokens: int = 64
    ) -> str:
        """The greedy answer to one user turn, until the end of turn or `max_new_tokens`."""
        assert self.tokenizer is not None
        embeds, cache, ids = self.embed_prompt(prompt, images, video)[None], None, []
        while len(ids) < max_new_tokens:
            output = self.llm(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
            cache, token = output.past_key_values, int(output.logits[0, -1].argmax())
            if token == self.tokenizer.end_of_turn:
                break
            ids.append(token)
            embeds = self.llm.model.embed_tokens(torch.tensor([[token]], device=self.device))
        return self.tokenizer.decode(ids)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the published layout: config.json, llm/ (with tokenizer), vision_tower/, mm_projector/, as safetensors."""
        root = Path(folder)
        for part in ("llm", "vision_tower", "mm_projector"):
            (root / part).mkdir(parents=True, exist_ok=True)
        tower, llm = self.vision_tower.config, self.llm.config
        _write_json(root / "config.json", self.config.raw)
        _write_json(root / "vision_tower" / "config.json", {"architectures": ["SiglipVisionModel"], **_plain(tower)})
        _write_json(root / "llm" / "config.json", {"architectures": ["Qwen2ForCausalLM"], **_plain(llm)})
        _write_json(root / "mm_projector" / "config.json", {"model_type": "v2l_projector", "mm_projector_type": self.config.projector})
        preprocess = {"do_resize": True, "size": {"height": tower.image_size, "width": tower.image_size}, "resample": 3}
        statistics = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
        _write_json(root / "vision_tower" / "preprocessor_config.json", preprocess | statistics)
        save_file(_contiguous(vision.published_names(self.vision_tower.state_dict())), root / "vision_tower" / "model.safetensors")
        save_file(_contiguous(self.mm_projector.state_dict()), root / "mm_projector" / "model.safetensors")
        llm_state = self.llm.state_dict()
        if llm.tie_word_embeddings:
            llm_state.pop("lm_head.weight", None)
        save_file(_contiguous(llm_state), root / "llm" / "model.safetensors")
        self._save_tokenizer(root / "llm")

    def _save_tokenizer(self, folder: Path) -> None:
        if self.tokenizer is not None:
            self.tokenizer.tokenizer.save(str(folder / "tokenizer.json"))
        source = self.tokenizer_folder
        for name in ("tokenizer_config.json", "generation_config.json", "added_tokens.json", "special_tokens_map.json"):
            if source is not None and (source / name).is_file() and source.resolve() != folder.resolve():
                shutil.copy(source / name, folder / name)


def _as_array(image: Any) -> np.ndarray:
    """uint8 RGB array of a PIL image or an array."""
    return image if isinstance(image, np.ndarray) else np.asarray(image.convert("RGB"))


def _plain(config: Any) -> dict[str, Any]:
    return {key: value for key, value in config.to_dict().items() if not key.startswith("_")}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def _contiguous(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a part's safetensors files (shards too)."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} has no .safetensors file; is the download complete?")
    return {name: value for file in files for name, value in load_file(file).items()}


def _load_part(module: nn.Module, state: dict[str, Tensor], folder: Path, dtype: str | None) -> None:
    if dtype is not None:
        state = {name: value.to(DTYPES[dtype]) for name, value in state.items()}
    wanted = set(module.state_dict())
    missing = sorted(wanted - set(state) - {"lm_head.weight"})
    if missing:
        raise CheckpointError(f"{folder} lacks {len(missing)} tensors, the first is {missing[0]}; the file does not fit its config.json")
    try:
        module.load_state_dict({name: state[name] for name in wanted & set(state)}, strict=False, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{folder} does not fit its config.json: {error}") from error


def _reset_buffers(model: NVILA) -> None:
    """Non-persistent buffers (rotary frequencies, position ids) are not in any file: compute them anew."""
    rotary = type(model.llm.model.rotary_emb)(model.llm.config)
    model.llm.model.rotary_emb = rotary
    positions = model.vision_tower.embeddings.position_ids
    model.vision_tower.embeddings.register_buffer("position_ids", torch.arange(positions.shape[1]).expand(1, -1), persistent=False)
