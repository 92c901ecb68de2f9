"""Loss for temporal localisation: a time token that is nearly right is nearly right (LITA, arXiv 2403.19046; NVlabs/VILA, llava/model/loss.py)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IGNORED = -100


def soft_cross_entropy(logits_BTV: Tensor, labels_BT: Tensor, time_token_ids: Sequence[int], std: float = 1.0) -> Tensor:
    """Mean over the supervised positions, each predicted from the one before. Labels of -100 are ignored; else as `summed_soft_cross_entropy`."""
    logits, labels = logits_BTV[..., :-1, :].flatten(0, -2), labels_BT[..., 1:].flatten()
    kept = labels != IGNORED
    return summed_soft_cross_entropy(logits[kept], labels[kept], time_token_ids, std) / kept.sum()


def summed_soft_cross_entropy(logits_NV: Tensor, labels_N: Tensor, time_token_ids: Sequence[int], std: float = 1.0) -> Tensor:
    """Sum over positions whose labels are given beside them.

    Where the label is a time token the target is a Gaussian over all time tokens, exp(-(id - label)^2 / (2 std^2)) normalised; elsewhere one-hot.
    """
    log_probabilities = logits_NV.float().log_softmax(-1)
    times = torch.tensor(list(time_token_ids), dtype=torch.long, device=labels_N.device)
    soft = torch.isin(labels_N, times)
    hard_loss = -log_probabilities[~soft].gather(1, labels_N[~soft, None]).sum()
    distance = (times[None] - labels_N[soft, None]).float()
    target = torch.exp(-(distance**2) / (2 * std**2))
    target = target / target.sum(1, keepdim=True)
    return hard_loss - (target * log_probabilities[soft][:, times]).sum()
