"""Loss for temporal localisation: a time token that is nearly right is nearly right (facts/nvila.md section 3.6; LITA, arXiv 2403.19046)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IGNORED = -100


def soft_cross_entropy(logits_BTV: Tensor, labels_BT: Tensor, time_token_ids: Sequence[int], std: float = 1.0) -> Tensor:
    """Mean over the supervised positions, each predicted from the one before.

    Where the label is a time token the target is a Gaussian over all time tokens, exp(-(id - label)^2 / (2 std^2)) normalised; elsewhere one-hot.
    Labels of -100 are ignored.
    """
    logits, labels = logits_BTV[..., :-1, :].flatten(0, -2), labels_BT[..., 1:].flatten()
    kept = labels != IGNORED
    log_probabilities, labels = logits[kept].float().log_softmax(-1), labels[kept]
    times = torch.tensor(list(time_token_ids), dtype=torch.long, device=labels.device)
    soft = torch.isin(labels, times)
    hard_loss = -log_probabilities[~soft].gather(1, labels[~soft, None]).sum()
    distance = (times[None] - labels[soft, None]).float()
    target = torch.exp(-(distance**2) / (2 * std**2))
    target = target / target.sum(1, keepdim=True)
    return (hard_loss - (target * log_probabilities[soft][:, times]).sum()) / len(labels)
