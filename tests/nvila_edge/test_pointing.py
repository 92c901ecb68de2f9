"""Decisions point at the part of the instruction that they follow."""

import torch

from nvila_edge.training.pointing import WEIGHT, Pointing


def _aligned() -> tuple[Pointing, torch.Tensor]:
    """Two rows of six columns; columns 1 and 2 of the text look like the decision in column 4 (row 0) and 5 (row 1)."""
    torch.manual_seed(0)
    pointing = Pointing(64)
    torch.nn.init.eye_(pointing.decision.weight)
    torch.nn.init.eye_(pointing.text.weight)
    hidden = torch.randn(2, 6, 64)
    hidden[0, 4] = hidden[0, 1]
    hidden[1, 5] = hidden[1, 2]
    return pointing, 3 * hidden


def test_the_share_lies_where_text_and_decision_agree() -> None:
    pointing, hidden = _aligned()
    right = torch.tensor([[0, 4, 1, 2, 2], [1, 5, 2, 4, 4]])
    wrong = torch.tensor([[0, 4, 0, 1, 2], [1, 5, 0, 2, 4]])
    assert (pointing.shares(hidden, right) > 0.9).all() and (pointing.shares(hidden, wrong) < 0.1).all()
    assert pointing(hidden, right) < 0.1 * WEIGHT < pointing(hidden, wrong)


def test_what_lies_behind_a_rows_text_is_not_looked_at() -> None:
    pointing, hidden = _aligned()
    pointers = torch.tensor([[0, 4, 1, 2, 2], [1, 5, 2, 4, 4]])
    later = hidden.clone()
    later[0, 2:4] = 100 * hidden[0, 4]  # row 0's text ends with column 1; row 1's is longer
    torch.testing.assert_close(pointing.shares(later, pointers), pointing.shares(hidden, pointers))
