"""Conversations: media marks, several turns, what cannot be read, and the program itself with a prompt and through a pipe."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nvila_edge import NVILA, cli
from nvila_edge.chat import ChatOptions, Conversation, Timings, chat, open_image, open_video, without_marks
from nvila_edge.model.tokens import ChatTokenizer
from tests.tiny import TEXTS, save_tiny_checkpoint, tiny_frames


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("chat") / "checkpoint")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three frames, also usable as a video."""
    folder = tmp_path_factory.mktemp("pictures")
    for index, frame in enumerate(tiny_frames(3)):
        Image.fromarray(frame).save(folder / f"{index}.png")
    return folder


class Parrot:
    """Answers "yes" and keeps what it was asked."""

    streams, frames, fps = True, 8, 0.0

    def __init__(self, tokenizer: ChatTokenizer, newline: bool = False, older: bool = False) -> None:
        self.tokenizer, self.newline, self.older, self.asked = tokenizer, newline, older, []

    def answer(self, prompt: str, images: list, video: list) -> Iterator[str]:
        self.asked.append((prompt, len(images), len(video)))
        yield from ("ye", "s <image>", "")


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> ChatTokenizer:
    return ChatTokenizer.from_folder(checkpoint / "llm")


def said(options: ChatOptions, questions: str = "") -> tuple[str, str]:
    out, notes = io.StringIO(), io.StringIO()
    chat(options, io.StringIO(questions), out, notes)
    return out.getvalue(), notes.getvalue()


def test_media_belong_to_the_first_question_and_turns_are_remembered(tokenizer: ChatTokenizer) -> None:
    parrot, still = Parrot(tokenizer), Image.new("RGB", (8, 8))
    conversation = Conversation(parrot, [still, still], [still] * 3)
    assert "".join(conversation.ask("Where? <vila/video>")) == "yes <image>"
    list(conversation.ask("And now?"))
    first = "<image><image><vila/video>Where?"
    second = f"{first}<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nAnd now?"
    assert parrot.asked == [(first, 2, 3), (second, 2, 3)]


@pytest.mark.parametrize(
    ("newline", "older", "as_images", "prompt"),
    [(False, False, True, "<image><image><image>Go"), (True, True, False, "<image>\n<image>\n<image>\nGo")],
)
def test_frames_can_be_shown_as_images(tokenizer: ChatTokenizer, newline: bool, older: bool, as_images: bool, prompt: str) -> None:
    parrot = Parrot(tokenizer, newline, older)
    still = Image.new("RGB", (8, 8))
    list(Conversation(parrot, [still], [still] * 2, as_images).ask("Go"))
    assert parrot.asked == [(prompt, 3, 0)]


def test_typed_marks_are_removed_with_a_warning(checkpoint: Path) -> None:
    assert without_marks("<ima<image>ge>Where <vila/video>?") == "<ima ge>Where  ?"
    _, notes = said(ChatOptions(str(checkpoint), "Where? <image>", max_new_tokens=2))
    assert "media marks in the question were removed" in notes


def test_one_question_is_answered_as_by_the_model(checkpoint: Path, pictures: Path) -> None:
    files = (pictures / "0.png", pictures / "1.png")
    answer, notes = said(ChatOptions(str(checkpoint), "Where?", image=files, max_new_tokens=5))
    expected = NVILA.from_pretrained(checkpoint).generate("<image><image>Where?", images=list(tiny_frames(2)), max_new_tokens=5)
    assert answer == expected + "\n"
    assert "loaded in" in notes and "first token after" in notes and "tokens/s" in notes


def test_a_folder_is_a_video_and_sampling_is_reproducible(checkpoint: Path, pictures: Path) -> None:
    options = ChatOptions(str(checkpoint), "Where?", video=pictures, frames=2, temperature=1.0, seed=3, max_new_tokens=5)
    assert said(options)[0] == said(options)[0]
    shown = list(tiny_frames(3)[[0, 2]])
    assert (
        said(ChatOptions(str(checkpoint), "Where?", video=pictures, frames=2, max_new_tokens=5))[0]
        == NVILA.from_pretrained(checkpoint).generate("<vila/video>Where?", video=shown, max_new_tokens=5) + "\n"
    )


def test_a_conversation_goes_on_after_a_question_that_is_too_long(checkpoint: Path) -> None:
    answer, notes = said(ChatOptions(str(checkpoint), max_new_tokens=2), f"{'sofa ' * 9000}\n\nWhere?\nexit\nnever asked\n")
    assert answer.count("\n") == 1 and "error: the prompt has" in notes
    with pytest.raises(ValueError, match="positions"):
        said(ChatOptions(str(checkpoint), "sofa " * 9000))


def test_what_cannot_be_read_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"")
    Image.fromarray(tiny_frames(1)[0]).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:500])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
    for name in ("cut.jpg", "text.png", "empty", "pipe.png", "nothing.png"):
        with pytest.raises(ValueError, match=f"image .*{name} "):
            chat(ChatOptions("no model", "?", image=(tmp_path / name,)), io.StringIO(), io.StringIO(), io.StringIO())
    for name in ("empty", "pipe.png", "nothing.mp4", "text.png"):
        with pytest.raises(ValueError, match=f"video .*{name} "):
            open_video(tmp_path / name, 8, 0.0)
    assert open_image(tmp_path / "whole.jpg").mode == "RGB"


def test_a_video_that_was_cut_off_gives_its_frames_soon(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "whole.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in np.repeat(tiny_frames(20, 48), 20, 0):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:, :48]), format="rgb24").reformat(64, 48)))
        container.mux(stream.encode())
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    assert [len(open_video(tmp_path / name, 8, 0.0)) for name in ("whole.avi", "cut.avi")] == [8, 8]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"frames": 4}, "about a video"),
        ({"frames_as_images": True}, "about a video"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        said(ChatOptions("checkpoint", **wrong))


def test_an_unknown_device_and_a_bundles_limits_are_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device 'hoover' cannot be used"):
        said(ChatOptions(str(checkpoint), "?", device="hoover"))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="need a checkpoint"):
        said(ChatOptions(str(tmp_path), "?", temperature=0.5))


def test_a_bundle_answers_too(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    from export.calibration import Calibration
    from export.exporter import export_bundle

    export_bundle(checkpoint, tmp_path / "bundle", Calibration([]), "fp32", "fp32")
    options = {"prompt": TEXTS[0], "image": (pictures / "0.png",), "max_new_tokens": 4}
    answer, notes = said(ChatOptions(str(tmp_path / "bundle"), **options))
    assert answer == said(ChatOptions(str(checkpoint), **options))[0]
    assert "; answer after" in notes


def test_timings_are_means_over_answers() -> None:
    timings = Timings(load=2.0)
    assert str(timings) == "loaded in 2.0 s"
    timings.add([0.1, 0.2, 0.3], 3)
    timings.add([0.3, 0.4, 0.5], 3)
    assert str(timings) == "loaded in 2.0 s; first token after 200 ms on average; 10.0 tokens/s"


def test_the_command_line_takes_several_images() -> None:
    verb = cli.parse(["chat", "owner/name", "--image", "a.png", "--image", "b.png", "--frames-as-images", "--dtype", "bfloat16"])
    assert verb.image == (Path("a.png"), Path("b.png")) and verb.frames_as_images and verb.prompt is None
    assert set(vars(verb)) == set(ChatOptions.__dataclass_fields__)


def program(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nvila_edge.cli", "chat", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], input=typed, timeout=150)


def test_the_program_with_a_prompt_and_line_by_line(checkpoint: Path, pictures: Path) -> None:
    image = ("--image", str(pictures / "0.png"), "--max-new-tokens", "4")
    once = program(str(checkpoint), *image, "--prompt", "Where?")
    assert once.returncode == 0 and once.stdout.count("\n") == 1, once.stderr
    assert once.stderr.splitlines()[-1].startswith("loaded in") and "Traceback" not in once.stderr
    lines = program(str(checkpoint), *image, typed="Where?\nAnd now?\n")
    assert lines.returncode == 0 and lines.stdout.startswith(once.stdout) and lines.stdout.count("\n") == 2


def test_the_program_names_a_broken_image_at_once(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    done = program(str(tmp_path), "--image", str(tmp_path / "broken.png"), "--prompt", "?")
    assert done.returncode == 2 and done.stderr.startswith("error: image ") and "broken.png" in done.stderr
