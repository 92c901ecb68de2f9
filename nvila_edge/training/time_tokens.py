"""Times of a video as tokens <t0> .. <tN-1>: for temporal localisation (LITA, arXiv 2403.19046)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from tokenizers import AddedToken
from torch import nn

from nvila_edge.model.checkpoint import parse_config
from nvila_edge.model.nvila import NVILA

TIME_TOKENS = 100  # NVILA's num_time_tokens in the video stage
_SECONDS = re.compile(r"<(\d+(?:\.\d+)?)>")
_TOKEN = re.compile(r"<t(\d+)>")


def times_as_tokens(text: str, duration_s: float, tokens: int = TIME_TOKENS) -> str:
    """ "<12.3>" (seconds) as the token of that share of the video, at most the last one."""
    return _SECONDS.sub(lambda match: f"<t{min(tokens - 1, round(float(match[1]) / duration_s * (tokens - 1)))}>", text)


def tokens_as_times(text: str, duration_s: float, tokens: int = TIME_TOKENS) -> str:
    """Time tokens as "<12.3>" seconds, rounded to 2 decimals; one beyond the last is the end."""
    return _TOKEN.sub(lambda match: f"<{_seconds(int(match[1]), duration_s, tokens)}>", text)


def names_times(text: str) -> bool:
    """Whether a text names seconds: then the video's duration is needed."""
    return bool(_SECONDS.search(text))


def _seconds(token: int, duration_s: float, tokens: int) -> float:
    return round(duration_s if token >= tokens else token * duration_s / (tokens - 1), 2)


def add_time_tokens(model: NVILA, tokens: int = TIME_TOKENS) -> None:
    """Gives a model time tokens: in its tokenizer, configuration (num_time_tokens, time_token_ids) and, where it has no row for them, its embedding.

    New rows begin as the mean of the others. Raises ValueError when the model has another number of them, or the tokenizer lacks those it names:
    the vocabulary would not be the one that was trained.
    """
    assert model.tokenizer is not None
    names, tokenizer, raw = [f"<t{number}>" for number in range(tokens)], model.tokenizer.tokenizer, dict(model.config.raw)
    before = int(raw.get("num_time_tokens") or 0)
    if before not in (0, tokens):
        raise ValueError(f"the checkpoint has {before} time tokens, the recipe wants {tokens}; set time_tokens={before}")
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in names])
    ids = [tokenizer.token_to_id(name) for name in names]
    if before and list(raw.get("time_token_ids") or ids) != ids:
        raise ValueError(
            f"the checkpoint's config.json says time_token_ids {raw['time_token_ids'][0]}.., its tokenizer {ids[0]}..: "
            "mismatched vocabulary, they belong to different models"
        )
    _grow(model, 1 + max(number for number in ids if number is not None))
    raw |= {
        "num_time_tokens": tokens,
        "time_token_ids": ids,
        "time_token_format": "<t{t}>",
        "soft_ce_std": float(raw.get("soft_ce_std") or 1.0),
    }
    model.config = parse_config(raw, model.llm.config.to_dict())


def _grow(model: NVILA, rows: int) -> None:
    config, llm = model.llm.config, model.llm
    if rows <= int(config.vocab_size):  # type: ignore[arg-type]
        return
    tied = bool(config.tie_word_embeddings)
    embedding, head = llm.model.embed_tokens.weight, llm.lm_head.weight
    grown = nn.Parameter(_grown(embedding, rows))
    llm.model.embed_tokens = nn.Embedding(rows, grown.shape[1], _weight=grown)
    llm.lm_head = nn.Linear(grown.shape[1], rows, bias=False, device="meta")
    llm.lm_head.weight = llm.model.embed_tokens.weight if tied else nn.Parameter(_grown(head, rows))
    llm.vocab_size = config.vocab_size = llm.model.vocab_size = rows


def _grown(weight_VH: torch.Tensor, rows: int) -> torch.Tensor:
    mean = weight_VH.detach().float().mean(0).to(weight_VH.dtype)
    return torch.cat([weight_VH.detach(), mean.expand(rows - len(weight_VH), -1)])


def interval(text: str, duration_s: float, tokens: int = TIME_TOKENS) -> tuple[float, float]:
    """The first two times of an answer, in order, within the video; the whole video when there are fewer."""
    found = [float(match) for match in _SECONDS.findall(tokens_as_times(text, duration_s, tokens))][:2]
    if len(found) < 2:
        return 0.0, duration_s
    first, last = sorted(min(max(time, 0.0), duration_s) for time in found)
    return first, last


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over union of two intervals; 1 of two equal points, 0 of two that are not."""
    union = max(a[1], b[1]) - min(a[0], b[0])
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / union if union > 0 else float(a == b)


def localisation_metrics(videos: Sequence[Sequence[float]]) -> dict[str, float]:
    """Mean IoU and precision at IoU >= 0.5, percent: the mean over each video's answers, then over videos (ActivityNet-RTL).

    videos: the overlaps of every video's answers. Raises ValueError when there are none.
    """
    if not videos or not all(len(one) for one in videos):
        raise ValueError(f"{len(videos)} videos, or one without an answer: nothing to average; expected at least one answer for each")
    mean = sum(sum(one) / len(one) for one in videos) / len(videos)
    precise = sum(sum(overlap >= 0.5 for overlap in one) / len(one) for one in videos) / len(videos)
    return {"mean_iou": 100 * mean, "precision_at_0.5": 100 * precise}
