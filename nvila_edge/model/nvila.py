"""NVILA: vision tower, projector and language model in one module, loaded from any published checkpoint layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nvila_edge.model import loading, saving, vision
from nvila_edge.model.checkpoint import CheckpointConfig
from nvila_edge.model.generation import Padded, Sampling, answers, pad
from nvila_edge.model.language import LanguageModel, language_model
from nvila_edge.model.media import MediaTokens, check_marks, listed
from nvila_edge.model.projector import Projector
from nvila_edge.model.projector_layout import projector_layout, tokens_of
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK, ChatTokenizer


@dataclass(frozen=True)
class Turn:
    """One user turn: the marks in the prompt stand for the images in order, and for the video. A video is a list of frames, used as given."""

    prompt: str
    images: Sequence[Any] | None = None
    video: Sequence[Any] | None = None


class NVILA(nn.Module):
    """The whole model. `config.json`'s keys stay in `config.raw`; `tokenizer` is None only while a new model is being made."""

    def __init__(self, config: CheckpointConfig, vision_tower: vision.VisionTower, mm_projector: Projector, llm: LanguageModel) -> None:
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
        llm = language_model(llm_config)
        scales = len(config.scales) or 1
        channels = int(config.raw.get("mm_hidden_size") or vision_config["hidden_size"] * scales)
        projector = Projector(config.projector, channels, int(llm.config.hidden_size), config.column_major)
        return NVILA(config, tower, projector, llm)

    @staticmethod
    def from_pretrained(path_or_hub_id: str | Path, dtype: str | None = None, device: str | None = None) -> NVILA:
        """Opens a checkpoint: NVILA, NVILA-Lite, VILA-1.5 or NaVILA, in one of the published layouts, a LoRA output, or with AWQ language weights.

        path_or_hub_id: a folder, or "owner/name" on the model hub; dtype: "float32", "bfloat16", "float16" or None for as stored; device: a torch
        device or None for the CPU. Tensors of the stored dtype stay mapped from their files. Raises CheckpointError (a ValueError) when a part is
        missing or its tensors do not fit the configuration, before weights are read.
        """
        return loading.load(NVILA, path_or_hub_id, dtype, device)

    # -- prompts ---------------------------------------------------------------------------------------------------------------------

    @property
    def media(self) -> MediaTokens:
        """Makes tokens of images and videos."""
        return MediaTokens(self.config, vision.TorchEncoder(self.vision_tower, self.mm_projector, self.config), self._embed_text)

    @torch.no_grad()
    def encode_frames(self, frames: Sequence[np.ndarray]) -> Tensor:
        """uint8 RGB frames -> tokens [N, k, hidden], one tile a frame, without the newline embedding."""
        return self.media.frames(frames)

    def prompt_ids(self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None) -> list[int]:
        """Token ids of one user turn and the generation prompt; a medium (in `dynamic` mode: a tile) has one id, NaVILA's is -200."""
        tokenizer = self._tokenizer()
        images = listed(images, "images")
        check_marks(prompt, images, listed(video, "video"))
        return tokenizer.ids(tokenizer.prompt(self.media.marks(prompt, images)))

    @torch.no_grad()
    def embed_prompt(self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None) -> Tensor:
        """The fused sequence of one user turn and the generation prompt, [T, hidden].

        Raises ValueError when the marks in the prompt do not match the media given, for images that are no 8-bit stills, and for a sequence that is
        longer than the language model's positions.
        """
        images, video = listed(images, "images"), listed(video, "video")
        check_marks(prompt, images, video)
        chunks = self._tokenizer().prompt(self.media.marks(prompt, images))
        known = sum(len(chunk.ids) for chunk in chunks)
        self._check_length(known + self._least_positions(images, video))
        blocks = iter(self.media.image_blocks(images) if images else ())
        parts: list[Tensor] = []
        for chunk in chunks:
            if chunk.media == IMAGE_MARK:
                parts.append(next(blocks))
            elif chunk.media == VIDEO_MARK:
                parts.append(self.media.video_block(video))
            else:
                parts.append(self._embed(chunk.ids))
        fused = torch.cat(parts)
        self._check_length(len(fused))
        return fused

    def _embed(self, ids: Sequence[int]) -> Tensor:
        return self.llm.get_input_embeddings()(torch.tensor(ids, dtype=torch.long, device=self.device))

    def _embed_text(self, text: str) -> Tensor:
        return self._embed(self._tokenizer().encode(text))

    def _tokenizer(self) -> ChatTokenizer:
        assert self.tokenizer is not None
        return self.tokenizer

    def _least_positions(self, images: Sequence[Any], video: Sequence[Any]) -> int:
        """At least so many positions the media take: known before anything is encoded, which can take minutes."""
        tower = self.vision_tower
        tile = tokens_of(projector_layout(self.config.projector, 12, 12), (tower.image_size // int(tower.config.patch_size)) ** 2)  # type: ignore[arg-type]
        return tile * (len(images) + (0 if self.config.video_encoder.pool_sizes else len(video)))

    def _check_length(self, length: int) -> None:
        limit = int(self.llm.config.max_position_embeddings)
        if length > limit:
            raise ValueError(
                f"the prompt has {length} positions with its media; the model allows {limit}: give fewer images or frames, or less text"
            )

    # -- answers ---------------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def logits(self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None) -> np.ndarray:
        """float32 [T, vocab]: logits at every position of the fused sequence. Media as in `embed_prompt`."""
        embeds = self.embed_prompt(prompt, images, video)
        return self.llm(inputs_embeds=embeds[None], use_cache=False).logits[0].float().cpu().numpy()

    @torch.no_grad()
    def batch_logits(self, turns: Sequence[Turn], padding: str = "right") -> list[np.ndarray]:
        """`logits` of several turns in one pass, padded on the "left" or "right"."""
        batch = self._batch(turns, padding)
        logits = self.llm(inputs_embeds=batch.embeds, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False).logits
        return [row[mask.bool()].float().cpu().numpy() for row, mask in zip(logits, batch.mask, strict=True)]

    def generate(
        self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None, max_new_tokens: int = 64,
        sampling: Sampling = Sampling(),  # noqa: B008  frozen
    ) -> str:  # fmt: skip
        """The answer to one user turn (greedy unless `sampling` says otherwise), until the end of turn or `max_new_tokens`."""
        return "".join(self.stream(prompt, images, video, max_new_tokens, sampling))

    def stream(
        self, prompt: str, images: Sequence[Any] | None = None, video: Sequence[Any] | None = None, max_new_tokens: int = 64,
        sampling: Sampling = Sampling(),  # noqa: B008  frozen
    ) -> Iterator[str]:  # fmt: skip
        """The answer of `generate` in pieces, as it arises."""
        tokenizer, ids, said = self._tokenizer(), [], ""
        batch = self._batch([Turn(prompt, images, video)], "left")
        for (token,) in answers(self.llm, batch, tokenizer.stops, max_new_tokens, sampling):
            ids.append(token)
            text = tokenizer.decode(ids)
            if not text.endswith("\ufffd"):  # a character whose bytes have not all come yet
                yield text[len(said) :]
                said = text
        yield tokenizer.decode(ids)[len(said) :]

    def generate_batch(self, turns: Sequence[Turn], max_new_tokens: int = 64, sampling: Sampling = Sampling()) -> list[str]:  # noqa: B008  frozen
        """Answers to several turns at once, left-padded."""
        tokenizer, ids = self._tokenizer(), [[] for _ in turns]
        for tokens in answers(self.llm, self._batch(turns, "left"), tokenizer.stops, max_new_tokens, sampling):
            for row, token in zip(ids, tokens, strict=True):
                row += [] if token is None else [token]
        return [tokenizer.decode(row) for row in ids]

    def _batch(self, turns: Sequence[Turn], side: str) -> Padded:
        if not turns:
            raise ValueError("no turns were given; give at least one")
        return pad([self.embed_prompt(turn.prompt, turn.images, turn.video) for turn in turns], side)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the published layout: config.json, llm/ (with tokenizer), vision_tower/, mm_projector/, as safetensors."""
        saving.save(self, Path(folder).expanduser())
