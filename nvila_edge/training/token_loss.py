"""Cross-entropy of tokens: Liger's Triton kernel on an NVIDIA GPU where liger-kernel is installed, else torch's own.

NVILA takes the plain kernel on float32 logits, which writes the gradient over them, not the one that is fused with the output layer
(NVlabs/VILA, llava/model/liger/cross_entropy.py): what is saved is one copy of the logits, the largest tensor of a pass.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

IGNORED = -100


def token_loss(logits_NV: Tensor, labels_N: Tensor) -> Tensor:
    """Sum over positions, float32; labels of -100 count nothing. On a GPU the logits' memory may be reused: do not read them afterwards."""
    logits = logits_NV.float()
    if logits.is_cuda and _liger() and len(logits):
        from liger_kernel.transformers.functional import liger_cross_entropy  # type: ignore[import-not-found]  an extra

        return liger_cross_entropy(logits, labels_N, ignore_index=IGNORED, reduction="sum")
    return torch.nn.functional.cross_entropy(logits, labels_N, ignore_index=IGNORED, reduction="sum")


@cache
def _liger() -> bool:
    return find_spec("liger_kernel") is not None and find_spec("triton") is not None
