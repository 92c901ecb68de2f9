"""Equal to the published code: every recorded case of VILA's own classes on tiny checkpoints (golden/nvila)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nvila_edge import NVILA

CASES = (
    "lite_multi", "lite_small", "lite_wide", "navila", "s2_multi", "s2_square", "s2_tall_even", "s2_wide", "text", "video_basic", "video_tsp",
    "video_tsp_multi",
)  # fmt: skip


class Case:
    """One recorded case: the model, what it was asked, and what the published code answered."""

    def __init__(self, folder):
        described = json.loads((folder / "case.json").read_text())
        self.golden = np.load(folder / "golden.npz")
        self.model = NVILA.from_pretrained(folder / "ckpt")
        self.prompt = described.get("question") or described["prompt"]
        frames = [self.golden[f"img{index}"] for index in range(sum(name.startswith("img") for name in self.golden))]
        self.media = {"video": frames} if described.get("kind") == "video" else {"images": frames}


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    return Case(golden / "nvila" / request.param)


def test_ids_are_equal(case):
    assert case.model.prompt_ids(case.prompt, **case.media) == case.golden["ids"][0].tolist()


def test_embeddings_and_logits_are_equal(case):
    assert np.abs(case.model.embed_prompt(case.prompt, **case.media).numpy() - case.golden["emb"][0]).max() < 1e-4
    assert np.abs(case.model.logits(case.prompt, **case.media) - case.golden["logits"][0]).max() < 1e-4


def test_greedy_tokens_are_equal(case):
    if "greedy" not in case.golden:
        pytest.skip("this case has no recorded tokens")
    expected = case.model.tokenizer.decode(case.golden["greedy"][0].tolist())
    assert case.model.generate(case.prompt, max_new_tokens=len(case.golden["greedy"][0]), **case.media) == expected


def test_saved_and_loaded_again_every_bit_is_equal(case, tmp_path):
    case.model.save_pretrained(tmp_path)
    again = NVILA.from_pretrained(tmp_path)
    assert np.array_equal(again.logits(case.prompt, **case.media), case.model.logits(case.prompt, **case.media))
