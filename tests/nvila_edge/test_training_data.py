"""Data sets and mixtures: what is read, what is left out and told, and the order of an epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nvila_edge.training.feed import Feed
from nvila_edge.training.llava import read_llava
from nvila_edge.training.mixture import Mixture, load_mixture, mixture_entries
from nvila_edge.training.ranks import Ranks
from nvila_edge.training.recipe import RecipeError
from nvila_edge.training.samples import LISTED, Exchange, Faults, Sample, SampleError, Source, marked


def _text(i: int, subset: str = "s") -> Sample:
    return Sample(str(i), subset, (Exchange("q", "a"),))


def _mixture(sizes: dict[str, int]) -> Mixture:
    return Mixture("m", tuple(tuple(_text(i, name) for i in range(n)) for name, n in sizes.items()), Faults())


def _records(folder: Path, content: str, name: str = "a.json") -> tuple[list[Sample], Faults]:
    faults, path = Faults(), folder / name
    path.write_text(content)
    return list(read_llava(Source("set", path, folder), faults)), faults


def _turns(question: str = "q", answer: str = "a") -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def test_media_come_before_the_first_question_wherever_they_stood(tmp_path):
    turns = [*_turns("look <image>\nhere", "yes <image>"), *_turns("and <image> now?", "no")]
    (sample,), faults = _records(tmp_path, json.dumps([{"id": 7, "image": ["a.png", "b.png"], "conversations": turns}]))
    assert sample.exchanges == (Exchange("<image><image>look \nhere", "yes"), Exchange("and  now?", "no")) and not faults.total
    assert sample.images == (tmp_path / "a.png", tmp_path / "b.png") and (sample.id, sample.subset) == ("7", "set")
    assert marked("x<vila/video>", 0, True) == "<vila/video>x"


def test_json_lines_and_a_video_with_its_duration(tmp_path):
    line = json.dumps({"video": "v.mp4", "duration": 12.5, "conversations": _turns("q", "one\u2028two")}, ensure_ascii=False)
    (sample,), faults = _records(tmp_path, f"{line}\n\nno json\n", "a.jsonl")
    assert sample.video == tmp_path / "v.mp4" and sample.duration_s == 12.5 and sample.exchanges[0].question == "<vila/video>q"
    assert sample.exchanges[0].answer == "one\u2028two" and faults.listed[0].startswith("set/line 3: is not JSON")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "is list; expected an object"),
        ({"conversations": []}, "no conversations"),
        ({"conversations": _turns()[:1]}, "no conversations list of questions and answers in turn"),
        ({"conversations": _turns()[::-1]}, "has a turn from 'gpt'; expected one from human"),
        ({"conversations": _turns("q", "  ")}, "has no answer to learn"),
        ({"conversations": _turns(), "image": "../x.png"}, "lies outside of its media folder"),
        ({"conversations": _turns(), "image": "/etc/x.png"}, "lies outside of its media folder"),
        ({"conversations": _turns(), "image": 5}, "names a file as 5"),
        ({"conversations": _turns(), "video": ["a", "b"]}, "has 2 videos"),
        ({"conversations": _turns(), "duration": -1}, "has duration -1"),
        ({"conversations": [{"from": "human", "value": 3}, *_turns()[1:]]}, "with a text value"),
    ],
)
def test_corrupt_samples_are_told_and_left_out(tmp_path, record, reason):
    samples, faults = _records(tmp_path, json.dumps([record, {"id": "good", "conversations": _turns()}]))
    assert [sample.id for sample in samples] == ["good"] and faults.total == 1 and reason in faults.text()


def test_the_list_of_faults_is_bounded():
    faults = Faults()
    for i in range(1000):
        faults.add("s", str(i), "broken")
    assert faults.total == 1000 and len(faults.listed) == LISTED and f"and {1000 - LISTED} more" in faults.text()


def test_marks_and_media_must_agree():
    with pytest.raises(SampleError, match="has 1 <image> and 0 <vila/video> marks for 0 images"):
        Sample("a", "s", (Exchange("<image>q", "a"),))
    with pytest.raises(SampleError, match="mark in an answer"):
        Sample("a", "s", (Exchange("q", "<image>"),), (Path("x"),))


def test_an_epoch_spreads_every_data_set_evenly_and_hangs_on_the_seed_only():
    mixture = _mixture({"large": 90, "small": 10})
    order = mixture.order(1)
    tens = [sum(sample.subset == "small" for sample in order[start : start + 10]) for start in range(0, 100, 10)]
    assert tens == [1] * 10 and len({(s.subset, s.id) for s in order}) == 100
    assert order == mixture.order(1) != mixture.order(2)


def test_processes_share_the_same_batches(model_free_feed):
    whole, parts = model_free_feed(1), [model_free_feed(3, rank) for rank in range(3)]
    for step in range(whole.steps_per_epoch * 2):
        batch = [_key(sample) for sample in whole.batch(step)]
        shares = [[_key(sample) for sample in part.share(part.batch(step))] for part in parts]
        assert len(batch) == 8 and sorted(batch) == sorted(sum(shares, []))
    first = [_key(s) for step in range(whole.steps_per_epoch) for s in whole.batch(step)]
    assert len(set(first)) == len(first) == 24 and first != [_key(s) for step in range(3, 6) for s in whole.batch(step)]


def _key(sample: Sample) -> tuple[str, str]:
    return sample.subset, sample.id


@pytest.fixture
def model_free_feed():
    import torch

    made = []

    def make(world: int, rank: int = 0) -> Feed:
        made.append(Feed(_mixture({"a": 20, "b": 6}), 5, 8, None, Ranks(rank, world, torch.device("cpu"))))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def _written(tmp_path: Path, mixtures: str, n: int = 10) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"id": f"{name}{i}", "conversations": _turns()} for i in range(n)]))
    (tmp_path / "kept.txt").write_text("a1\na4\n")
    (tmp_path / "m.yaml").write_text(
        f"datasets: {{a: {{path: a.json}}, b: {{path: b.json}}, gone: {{path: gone.json}}}}\nmixtures: {mixtures}\n"
    )
    return tmp_path / "m.yaml"


def test_repeats_shares_weights_and_kept_lists(tmp_path):
    path = _written(
        tmp_path,
        "{text: a*3@0.5 + b, list: [b, {dataset: a, repeat: 1.5}], weighted: [{dataset: a, weight: 3}, {dataset: b, weight: 1}], "
        "kept: [{dataset: a, keep: kept.txt}]}",
    )
    sizes = {name: [len(part) for part in load_mixture(path, name, 0).parts] for name in ("text", "list", "weighted", "kept")}
    assert sizes == {"text": [15, 10], "list": [10, 15], "weighted": [15, 5], "kept": [2]}
    counts = np.unique([s.id for s in load_mixture(path, "text", 0).parts[0]], return_counts=True)[1]
    assert counts.tolist() == [3] * 5
    one, other = ({s.id for s in load_mixture(path, "text", seed).parts[0]} for seed in (0, 1))
    assert one != other and one == {s.id for s in load_mixture(path, "text", 0).parts[0]}


@pytest.mark.parametrize(
    ("mixtures", "message"),
    [
        ("{m: [{dataset: a, repeet: 2}]}", "unknown key mixtures.m.repeet .did you mean 'repeat'"),
        ("{m: aa}", "describes no data set 'aa' .did you mean 'a'"),
        ("{m: gone}", "gone.json is not there; download it, or take gone out"),
        ("{m: a*0}", "expected repeat above 0"),
        ("{m: a@2}", "share above 0 and at most 1"),
        ("{m: a**2}", "is no entry; write name"),
        ("{m: 5}", "is 5; expected text like"),
        ("{m: [{dataset: a, weight: 1}, b]}", "every one a weight, or none"),
        ("{mm: a}", "no mixture 'm' .did you mean 'mm'"),
        ("{m: a@0.01}", "mixture m is empty: not one sample is left of a"),
    ],
)
def test_mistakes_in_a_mixture_are_named(tmp_path, mixtures, message):
    with pytest.raises(RecipeError, match=message):
        load_mixture(_written(tmp_path, mixtures), "m", 0)


def test_an_empty_mixture_tells_why(tmp_path):
    path = _written(tmp_path, "{m: a}")
    (tmp_path / "a.json").write_text(json.dumps([{"id": "x"}]))
    with pytest.raises(RecipeError, match="empty: .*1 samples left out(.|\n)*a/x: has no conversations"):
        load_mixture(path, "m", 0)


def test_the_papers_table_is_a_template_that_can_be_read(repository):
    import yaml

    path = repository / "nvila_edge" / "recipes" / "data" / "nvila-table-a1.yaml"
    content = yaml.safe_load(path.read_text())
    named = {stage: [entry.dataset for entry in mixture_entries(content["mixtures"], stage)] for stage in content["mixtures"]}
    assert list(named) == ["stage1", "stage2", "stage3", "stage4", "stage5"]
    assert set().union(*named.values()) == set(content["datasets"])
    assert named["stage1"] == ["llava_cc3m_pretrain"] and len(named["stage4"]) == 59 and "mmc4" in named["stage3"]
    with pytest.raises(RecipeError, match="llava_cc3m_pretrain.json is not there; download it"):
        load_mixture(path, "stage1", 0)


def test_a_picture_that_is_no_picture_is_a_fault_of_its_sample(tmp_path):
    from nvila_edge.training.samples import opened_picture

    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(SampleError, match="a.png cannot be read"):
        opened_picture(tmp_path / "a.png")
    Image.new("RGB", (3, 2)).save(tmp_path / "b.png")
    assert opened_picture(tmp_path / "b.png").size == (3, 2)
