"""The time-token loss: equal to the recorded values, and to plain cross-entropy where there is no time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvila_edge.training.soft_cross_entropy import soft_cross_entropy

TIMES = range(100, 140)  # the ids that were used when the values were recorded


@pytest.mark.parametrize("case", ["text", "lite_multi", "lite_wide", "s2_multi", "s2_wide", "video_basic", "video_tsp", "video_tsp_multi"])
def test_recorded_values_are_met(golden, case):
    recorded = np.load(golden / "nvila" / case / "golden.npz")
    loss = soft_cross_entropy(torch.from_numpy(recorded["logits"]), torch.from_numpy(recorded["labels"]), TIMES)
    assert abs(float(loss) - float(recorded["soft_ce"])) < 1e-5


def test_without_time_tokens_it_is_cross_entropy():
    logits, labels = (
        torch.randn(2, 5, 11, generator=torch.Generator().manual_seed(0)),
        torch.tensor([[-100, 1, 2, 3, 4], [5, 6, -100, 7, 8]]),
    )
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    assert torch.allclose(soft_cross_entropy(logits, labels, ()), expected)


def test_a_near_time_costs_less_than_a_far_one():
    def loss_of_saying(time: int) -> float:
        logits = torch.full((1, 2, 20), 0.0)
        logits[0, 0, time] = 5.0
        return float(soft_cross_entropy(logits, torch.tensor([[0, 10]]), range(5, 20)))

    assert loss_of_saying(10) < loss_of_saying(11) < loss_of_saying(14)
