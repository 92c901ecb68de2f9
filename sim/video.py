"""One H.264 MP4 per episode: camera view and decision on the left, map on the right. Plays in browsers (yuv420p, faststart)."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from nvila_edge.navigation.actions import ACTIONS, Action, Forward, Stop, Turn
from sim.geometry import Pose, wrap_angle
from sim.maps import Colour, HouseMap, MapView, font
from sim.results import OutputError

VIEW_PX = 448
_MARGIN, _HEADER, _FOOTER = 16, 84, 92
WIDTH = 3 * _MARGIN + 2 * VIEW_PX  # 944 x 640: both multiples of 16, as H.264 likes them
HEIGHT = _HEADER + VIEW_PX + _FOOTER + _MARGIN
FPS = 12
FRAMES_PER_STEP = 2  # one primitive lasts 1/6 s
_INK, _SOFT, _PAPER, _LINE = (17, 24, 39), (107, 114, 128), (250, 250, 249), (229, 231, 235)
_BLUE, _GREEN, _RED, _AMBER = (37, 99, 235), (22, 163, 74), (220, 38, 38), (217, 119, 6)
_SHORT = ("stop", "25", "50", "75", "15", "30", "45", "15", "30", "45")


@dataclass(frozen=True)
class Shown:
    """A decision as the video shows it; `candidates` are the ten probabilities, empty for a policy that has none."""

    action: Action | None
    probability: float
    candidates: tuple[float, ...]
    latency_ms: float


@dataclass(frozen=True)
class Step:
    """Where the agent stands, after how many steps, how far from the goal (geodesic, metres), and the decision it carries out."""

    pose: Pose
    step: int
    distance_m: float
    decision: int
    shown: Shown


@dataclass(frozen=True)
class Story:
    """Everything that a video tells besides the pictures. reference [n, 3] and goal [3] in metres."""

    title: str
    instruction: str
    steps: Sequence[Step]
    reference: np.ndarray
    goal: np.ndarray
    success: bool
    stopped: bool


def in_words(action: Action | None) -> str:
    """A short English name: "forward 50 cm", "left 30°", "stop", or "no valid answer"."""
    match action:
        case Forward(distance_cm=distance):
            return f"forward {distance} cm"
        case Turn(angle_deg=angle):
            return f"{'left' if angle > 0 else 'right'} {abs(angle)}°"
        case Stop():
            return "stop"
        case _:
            return "no valid answer"


def write_video(path: Path, story: Story, house_map: HouseMap, view: Callable[[Pose], np.ndarray]) -> None:
    """Encode the episode; `view` renders uint8 [448, 448, 3] at a pose.

    Raises OutputError when the file cannot be written; no half file stays.
    """
    assert story.steps, "an episode has at least its start"
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # a killed run's worker may still be at it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "24", "threads": "1"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.time_base = Fraction(1, FPS)
            for number, picture in enumerate(_pictures(story, house_map, view)):
                frame = av.VideoFrame.from_image(picture)
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(
            f"cannot write the video {path}: {error.strerror or error}; make room or choose another --out, then run it again"
        ) from error


def _pictures(story: Story, house_map: HouseMap, view: Callable[[Pose], np.ndarray]) -> Iterator[Image.Image]:
    steps = story.steps
    positions = np.array([step.pose.position_m for step in steps])
    map_view = MapView(house_map, VIEW_PX, story.reference, positions[0], story.goal)
    background = _background(story)
    for index, step in enumerate(steps):
        following = steps[min(index + 1, len(steps) - 1)].pose
        for part in range(FRAMES_PER_STEP if index + 1 < len(steps) else 1):
            pose = _between(step.pose, following, part / FRAMES_PER_STEP)
            track = np.concatenate([positions[: index + 1], np.array([pose.position_m])])
            picture = _compose(background, step, view(pose), map_view.draw(track, pose))
            yield picture
    last = picture.copy()
    _banner(ImageDraw.Draw(last), story)
    for _ in range(2 * FPS):
        yield last


def _between(a: Pose, b: Pose, share: float) -> Pose:
    """The pose on the way from a to b; the shorter way round for the yaw."""
    position = tuple(p + (q - p) * share for p, q in zip(a.position_m, b.position_m, strict=True))
    return Pose((position[0], position[1], position[2]), a.yaw_rad + wrap_angle(b.yaw_rad - a.yaw_rad) * share)


def wrap(text: str, size: int, width_px: int, lines: int) -> list[str]:
    """Break a text at spaces into at most `lines` lines of `width_px`; what does not fit ends in an ellipsis."""
    out = [""]
    for word in text.split():
        longer = f"{out[-1]} {word}".strip()
        if font(size).getlength(longer) <= width_px or not out[-1]:
            out[-1] = longer
        else:
            out.append(word)
    if len(out) > lines:
        out = [*out[: lines - 1], out[lines - 1] + " …"]
    return out


def _background(story: Story) -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    canvas = ImageDraw.Draw(image)
    canvas.text((_MARGIN, 14), story.title, _SOFT, font(13))
    for size in (20, 17, 15):
        lines = wrap(story.instruction, size, WIDTH - 2 * _MARGIN, 2)
        if not lines[-1].endswith("…"):
            break
    for number, line in enumerate(lines):
        canvas.text((_MARGIN, 32 + number * 24), line, _INK, font(size))
    return image


def _compose(background: Image.Image, step: Step, view: np.ndarray, map_picture: Image.Image) -> Image.Image:
    image = background.copy()
    image.paste(Image.fromarray(view), (_MARGIN, _HEADER))
    right = 2 * _MARGIN + VIEW_PX
    image.paste(map_picture, (right, _HEADER))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((right, _HEADER, right + VIEW_PX - 1, _HEADER + VIEW_PX - 1), outline=_LINE)
    top = _HEADER + VIEW_PX
    shown = step.shown
    _icon(canvas, (_MARGIN + 30, top + 50), shown.action)
    canvas.text((_MARGIN + 72, top + 20), in_words(shown.action), _INK, font(25))
    facts = [f"decision {step.decision}"]
    if shown.candidates:
        facts.append(f"probability {shown.probability:.2f}")
    if shown.latency_ms > 0:
        facts.append(f"{shown.latency_ms:.0f} ms")
    canvas.text((_MARGIN + 72, top + 56), "   ·   ".join(facts), _SOFT, font(15))
    _candidates(canvas, (right, top + 12), shown)
    distance = f"{step.distance_m:.1f} m to the goal" if math.isfinite(step.distance_m) else "no way to the goal"
    canvas.text((right + VIEW_PX, top + 38), f"step {step.step}", _INK, font(18), anchor="rm")
    canvas.text((right + VIEW_PX, top + 64), distance, _SOFT, font(15), anchor="rm")
    return image


def _candidates(canvas: ImageDraw.ImageDraw, corner: tuple[int, int], shown: Shown) -> None:
    """Ten small bars: the probability of each action, grouped by kind."""
    if not shown.candidates:
        return
    left, top = corner
    height, chosen = 46, ACTIONS.index(shown.action) if shown.action in ACTIONS else -1
    x = left
    for index, probability in enumerate(shown.candidates):
        x += 10 if index in (1, 4, 7) else 0
        bar = max(1, round(height * probability))
        canvas.rectangle((x, top, x + 19, top + height), (243, 244, 246))
        canvas.rectangle((x, top + height - bar, x + 19, top + height), _BLUE if index == chosen else (156, 163, 175))
        if index:
            canvas.text((x + 10, top + height + 9), _SHORT[index], _SOFT, font(11), anchor="mm")
        x += 24
    for centre, label in ((left + 10, "stop"), (left + 68, "forward"), (left + 150, "left"), (left + 232, "right")):
        canvas.text((centre, top + height + (9 if label == "stop" else 22)), label, _SOFT, font(11), anchor="mm")


def _icon(canvas: ImageDraw.ImageDraw, centre: tuple[int, int], action: Action | None) -> None:
    """A round sign: arrow ahead, curved arrow, square for stop."""
    x, y = centre
    colour: Colour = _RED if isinstance(action, Stop) else _AMBER if action is None else _BLUE
    canvas.ellipse((x - 27, y - 27, x + 27, y + 27), colour)
    white = (255, 255, 255)
    if isinstance(action, Forward):
        canvas.rectangle((x - 3, y - 6, x + 3, y + 15), white)
        canvas.polygon([(x - 12, y - 2), (x, y - 17), (x + 12, y - 2)], white)
    elif isinstance(action, Turn):
        side = -1 if action.angle_deg > 0 else 1
        canvas.rectangle((x - side * 8 - 3, y - 6, x - side * 8 + 3, y + 15), white)
        canvas.rectangle((min(x - side * 11, x + side * 3), y - 9, max(x - side * 11, x + side * 3), y - 3), white)
        canvas.polygon([(x + side * 2, y - 18), (x + side * 17, y - 6), (x + side * 2, y + 6)], white)
    elif isinstance(action, Stop):
        canvas.rectangle((x - 11, y - 11, x + 11, y + 11), white)
    else:
        canvas.text((x, y), "?", white, font(30), anchor="mm")


def _banner(canvas: ImageDraw.ImageDraw, story: Story) -> None:
    """The outcome, across the lower edge of the camera's view."""
    distance = story.steps[-1].distance_m
    if story.success:
        text, colour = f"Success: stopped {distance:.1f} m from the goal", _GREEN
    elif story.stopped:
        text, colour = f"Missed: stopped {distance:.1f} m from the goal", _RED
    else:
        text, colour = f"Out of steps, {distance:.1f} m from the goal", _AMBER
    bottom = _HEADER + VIEW_PX
    canvas.rectangle((_MARGIN, bottom - 54, _MARGIN + VIEW_PX - 1, bottom - 1), colour)
    canvas.text((_MARGIN + VIEW_PX // 2, bottom - 27), text, (255, 255, 255), font(21), anchor="mm")
