"""A conversation with a checkpoint or a bundle about images or a video, on a terminal or through a pipe: `nvila-edge chat`."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

import numpy as np
from PIL import Image, ImageOps

from nvila_edge.model.tiling import rgb_image
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK, ChatTokenizer
from nvila_edge.options.chat import ChatOptions

_ENDS = ("exit", "quit")
_ORIENTATION = 0x0112  # EXIF
UNREADABLE = (OSError, EOFError, SyntaxError, struct.error, Image.DecompressionBombError)  # what PIL raises for broken files


class Speaker(Protocol):
    """Something loaded that answers. `newline`: whether a line break is written after every image mark (where the encoder appends none);
    `frames`, `fps`: how a video is sampled; `older`: a generation that knows a video as images only; `streams`: whether answers come in pieces."""

    streams: bool
    tokenizer: ChatTokenizer
    newline: bool
    frames: int
    fps: float
    older: bool

    def answer(self, prompt: str, images: list[Image.Image], video: list[Image.Image]) -> Iterator[str]:
        """The answer in pieces."""
        ...


class CheckpointSpeaker:
    """A checkpoint in PyTorch. Raises CheckpointError for a folder that is none, ValueError for an unknown device or sampling."""

    streams = True

    def __init__(self, options: ChatOptions) -> None:
        from nvila_edge.model.generation import Sampling
        from nvila_edge.model.nvila import NVILA

        self._options, self._sampling = options, Sampling(options.temperature, options.top_p, options.seed)
        self._model = NVILA.from_pretrained(options.model, options.dtype, chosen_device(options.device))
        assert self._model.tokenizer is not None
        config, self.tokenizer = self._model.config, self._model.tokenizer
        self.newline, self.frames, self.fps, self.older = (
            not config.image_encoder.end,
            config.num_video_frames,
            config.fps,
            config.column_major,
        )

    def answer(self, prompt: str, images: list[Image.Image], video: list[Image.Image]) -> Iterator[str]:
        """See Speaker."""
        return self._model.stream(prompt, images or None, video or None, self._options.max_new_tokens, self._sampling)


class BundleSpeaker:
    """A bundle; answers come whole. Raises BundleError for one that is not intact, ValueError for what only checkpoints can do."""

    streams, older, fps = False, False, 0.0

    def __init__(self, options: ChatOptions) -> None:
        from nvila_edge.engines import load_bundle

        if options.dtype or options.device or options.temperature:
            raise ValueError(
                f"{options.model} is a bundle: it answers greedily as it was exported; --dtype, --device, --temperature need a checkpoint"
            )
        self._engine, self._limit = load_bundle(options.model), options.max_new_tokens
        self.tokenizer, self.frames, self.newline = (
            self._engine.tokenizer,
            self._engine.spec.frames,
            not self._engine.spec.media.image_encoder.end,
        )

    def answer(self, prompt: str, images: list[Image.Image], video: list[Image.Image]) -> Iterator[str]:
        """See Speaker."""
        shown, clip = [np.asarray(image) for image in images], [np.asarray(frame) for frame in video]
        yield self._engine.generate(prompt, shown or None, clip or None, self._limit)


def chosen_device(wanted: str | None) -> str:
    """The torch device, by default a CUDA one when there is one. Raises ValueError when it is not there."""
    import torch

    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {wanted!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return wanted


def open_image(path: Path) -> Image.Image:
    """An RGB still, upright: phones store portraits lying, with a note. Raises ValueError naming the file when it can't be read as one."""
    if not path.is_file():
        hint = "it is a folder: give its files, or the folder with --video" if path.is_dir() else "no file is there"
        raise ValueError(f"image {path} cannot be read: {hint}")
    return read_image(path, str(path))


def read_image(source: Path | BinaryIO, name: str, formats: tuple[str, ...] | None = None) -> Image.Image:
    """An RGB still, upright; formats: Pillow's names of those allowed, all when None. Raises ValueError with its name when it can't be read as one."""
    try:
        with Image.open(source, formats=formats) as opened:
            return rgb_image(ImageOps.exif_transpose(opened) if opened.getexif().get(_ORIENTATION, 1) > 1 else opened)
    except UNREADABLE as error:
        raise ValueError(f"image {name} cannot be read: {error}; expected a picture such as JPEG or PNG") from error


def open_video(path: Path, frames: int, fps: float) -> list[Image.Image]:
    """`frames` sampled RGB frames of a video file or a folder of images. Raises ValueError naming the path when nothing can be read."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our message is enough
    from nvila_edge.model.video import read_video

    _check_place(path)
    return read_video(path, frames, fps)


def _check_place(video: Path) -> None:
    if not (video.is_file() or video.is_dir()):
        raise ValueError(f"video {video} cannot be read: no file or folder is there")


def without_marks(text: str) -> str:
    """The text without media marks: those that people type stand for nothing (VILA#181)."""
    return text.replace(IMAGE_MARK, " ").replace(VIDEO_MARK, " ").strip()


class Conversation:
    """Questions and answers about the same media, which belong to the first question. Every question is answered with all that was said before."""

    def __init__(
        self, speaker: Speaker, images: Sequence[Image.Image], video: Sequence[Image.Image], frames_as_images: bool = False
    ) -> None:
        self.speaker, self.images, self.video = speaker, list(images), list(video)
        mark = IMAGE_MARK + "\n" * speaker.newline
        if self.video and (frames_as_images or speaker.older):  # trap 2
            self.images, self.video = [*self.images, *self.video], []
        self._past = mark * len(self.images) + VIDEO_MARK * bool(self.video)

    def ask(self, question: str) -> Iterator[str]:
        """The answer in pieces; it is remembered once it is complete. Raises ValueError when the conversation gets longer than the model allows."""
        text, said = self._past + without_marks(question), []
        for piece in self.speaker.answer(text, self.images, self.video):
            said.append(piece)
            yield piece
        closing = self.speaker.tokenizer.template.closing  # ends the user's turn and begins the assistant's
        self._past = text + closing + without_marks("".join(said)) + closing.replace("assistant", "user")


@dataclass
class Timings:
    """What a chat took. load in seconds; first: seconds to the first piece of every answer; tokens after the first ones, and the seconds they took."""

    load: float = 0.0
    streams: bool = True
    first: list[float] = field(default_factory=list)
    later_tokens: int = 0
    later_seconds: float = 0.0

    def add(self, times: Sequence[float], tokens: int) -> None:
        """One answer: seconds since the question at which pieces came, and how many tokens it has."""
        self.first.append(times[0])
        self.later_tokens += max(0, tokens - 1)
        self.later_seconds += times[-1] - times[0]

    def __str__(self) -> str:
        if not self.first:
            return f"loaded in {self.load:.1f} s"
        first = f"{'first token' if self.streams else 'answer'} after {1000 * sum(self.first) / len(self.first):.0f} ms" + (
            " on average" if len(self.first) > 1 else ""
        )
        rate = f"; {self.later_tokens / self.later_seconds:.1f} tokens/s" if self.later_tokens and self.later_seconds > 0 else ""
        return f"loaded in {self.load:.1f} s; {first}{rate}"


def chat(options: ChatOptions, questions: TextIO, out: TextIO, notes: TextIO) -> None:
    """Answers `options.prompt`, or every line of `questions` until its end, "exit" or Ctrl-C; answers go to `out`, warnings and timings to `notes`.

    Raises ValueError for options that make no sense, and media or a model that cannot be read, before anything is asked.
    """
    _check(options)
    images, timings, began = [open_image(path) for path in options.image], Timings(), time.perf_counter()
    if options.video is not None:
        _check_place(options.video)
    bundle = (Path(options.model) / "manifest.json").exists()
    speaker: Speaker = BundleSpeaker(options) if bundle else CheckpointSpeaker(options)
    timings.load, timings.streams = time.perf_counter() - began, speaker.streams
    video = open_video(options.video, options.frames or speaker.frames, speaker.fps) if options.video else []
    conversation = Conversation(speaker, images, video, options.frames_as_images)
    try:
        for question in [options.prompt] if options.prompt is not None else _lines(questions, notes):
            _answer(conversation, question, options, timings, out, notes)
    except KeyboardInterrupt:
        out.write("\n")
    notes.write(f"{timings}\n")


def _check(options: ChatOptions) -> None:
    """Raises ValueError for what makes no sense."""
    if options.prompt is not None and not options.prompt.strip():
        raise ValueError("the prompt is empty; ask something, or leave --prompt out to ask line by line")
    if options.max_new_tokens < 1 or (options.frames is not None and options.frames < 1):
        frames = "" if options.frames is None else f" and --frames {options.frames}"
        raise ValueError(f"--max-new-tokens {options.max_new_tokens}{frames}: at least 1")
    if options.video is None and (options.frames is not None or options.frames_as_images):
        raise ValueError("--frames and --frames-as-images are about a video; give one with --video")


def _answer(conversation: Conversation, question: str, options: ChatOptions, timings: Timings, out: TextIO, notes: TextIO) -> None:
    if without_marks(question) != question.strip():
        notes.write("note: media marks in the question were removed; give media with --image or --video\n")
    said, times, began = "", [], time.perf_counter()
    try:
        for piece in conversation.ask(question):
            times.append(time.perf_counter() - began)
            said += piece
            out.write(piece)
            out.flush()
    except ValueError as error:
        if options.prompt is not None:
            raise
        notes.write(f"error: {error}\n")
        return
    out.write("\n")
    out.flush()
    tokens = len(conversation.speaker.tokenizer.encode(said))
    timings.add(times, tokens)
    if tokens >= options.max_new_tokens:
        notes.write(f"note: the answer was cut after {options.max_new_tokens} tokens; --max-new-tokens allows more\n")


def _lines(questions: TextIO, notes: TextIO) -> Iterator[str]:
    """Questions until the end of input or one of _ENDS; empty lines are passed over. On a terminal every line is asked for."""
    asks = questions.isatty()
    if asks:
        notes.write('ask; "exit", Ctrl-D or Ctrl-C ends the conversation\n')
    while True:
        if asks:
            notes.write("> ")
            notes.flush()
        line = questions.readline()
        if not line or line.strip().lower() in _ENDS:
            return
        if line.strip():
            yield line.strip()
