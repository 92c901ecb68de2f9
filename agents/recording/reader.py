"""Reads a recording back: what was seen, decided and done, in its order."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader  # pyright: ignore[reportMissingImports]
from rosbags.rosbag2.errors import ReaderError  # pyright: ignore[reportMissingImports]

from agents.events import Decided, Executed
from agents.protocols import Motion
from agents.recording.messages import DECISION, ENDED, FRAME, GUARD, IMAGE, INSTRUCTION, MOTION, STORE, TYPES
from nvila_edge.navigation.actions import SENTENCES, Action, Forward, Primitive, Stop, Turn
from nvila_edge.navigation.decision import Decision


@dataclass(frozen=True)
class Seen:
    """A frame, as the JPEG that the server was sent; `at_s` is when it was captured, on the wall clock; quality: {} where nobody measured."""

    frame_id: int
    jpeg: bytes
    at_s: float
    quality: dict[str, float]


@dataclass(frozen=True)
class Noted:
    """Something that a guard told, as it was written: `content["type"]` names the event."""

    content: dict[str, Any]


Step = Seen | Decided | Executed | Noted


@dataclass(frozen=True)
class Recording:
    """One recorded episode. about: instruction, episode_id, agent, server, version; ended: the last event, {} when the recording broke off before.
    whole: whether it begins with the episode's beginning; a ring's dump does not."""

    path: Path
    about: dict[str, Any]
    steps: tuple[Step, ...]
    ended: dict[str, Any]

    @property
    def instruction(self) -> str:
        """What the robot was told."""
        return str(self.about["instruction"])

    @property
    def decisions(self) -> list[Decided]:
        """All decisions."""
        return [step for step in self.steps if isinstance(step, Decided)]

    @property
    def whole(self) -> bool:
        """Whether the first decision is the episode's first, and no number is missing."""
        return [decided.n for decided in self.decisions] == list(range(len(self.decisions)))


def is_recording(path: Path) -> bool:
    """Whether this is an .mcap file, or a folder with one."""
    return (path.is_file() and path.suffix == ".mcap") or (path.is_dir() and any(path.glob("*.mcap")))


def read_recording(path: Path) -> Recording:
    """The recording in a folder, or an .mcap file. One that broke off (a killed process, a full disk) is read as far as it goes.

    Raises ValueError when there is none, or it is not one of ours.
    """
    if not is_recording(path):
        inside = sorted(folder.name for folder in path.iterdir() if is_recording(folder)) if path.is_dir() else []
        hint = f"; it holds {', '.join(inside)}: give one of them" if inside else "; nvila-edge agent --record DIR makes one"
        raise ValueError(f"{path} is no recording (a folder with an .mcap file){hint}")
    about: dict[str, Any] = {}
    ended: dict[str, Any] = {}
    steps: list[Step] = []
    images: dict[int, bytes] = {}
    for topic, data in _messages(path):
        if topic == IMAGE:
            image = STORE.deserialize_cdr(data, TYPES[IMAGE])
            images = {image.header.stamp.sec * 10**9 + image.header.stamp.nanosec: image.data.tobytes()}  # pyright: ignore[reportAttributeAccessIssue]
        elif TYPES.get(topic) == "std_msgs/msg/String":
            content = json.loads(STORE.deserialize_cdr(data, TYPES[topic]).data)  # pyright: ignore[reportAttributeAccessIssue]
            about = about or (content if topic == INSTRUCTION else {})
            ended = content if topic == ENDED else ended
            steps += _steps(topic, content, images)
    if not about:
        raise ValueError(f"{path} has no {INSTRUCTION}: it is a recording of another program")
    return Recording(path, about, tuple(steps), ended)


def _steps(topic: str, content: dict[str, Any], images: dict[int, bytes]) -> Iterator[Step]:
    if topic == FRAME and content["image_ns"] in images:
        quality = {key: value for key, value in (content["quality"] or {}).items() if key != "type"}
        yield Seen(content["frame_id"], images[content["image_ns"]], content["image_ns"] / 1e9, quality)
    elif topic == DECISION:
        candidates = tuple(float(content["candidates"][text]) for text in SENTENCES) if content["candidates"] else ()
        decision = Decision(
            action_of(content["action"]),
            content["text"],
            float(content["probability"]),
            candidates,
            content["timing_ms"],
            content["instead"],
        )
        yield Decided(content["n"], content["frame_id"], decision, float(content["latency_ms"]))
    elif topic == MOTION:
        motion = Motion(**{key: content["motion"][key] for key in ("moved_m", "turned_deg", "collided")})
        yield Executed(content["n"], content["index"], Primitive[content["primitive"]], motion)
    elif topic == GUARD:
        yield Noted(content)


def action_of(content: dict[str, Any] | None) -> Action | None:
    """The action that messages.action_json wrote. Raises ValueError for another type."""
    match content:
        case None:
            return None
        case {"type": "Forward", "distance_cm": distance_cm}:
            return Forward(distance_cm)
        case {"type": "Turn", "angle_deg": angle_deg}:
            return Turn(angle_deg)
        case {"type": "Stop"}:
            return Stop()
        case _:
            raise ValueError(f"the recording holds an action {content} that this program does not know; it was made by another version")


def _messages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Topic and CDR of all messages, in the order in which they were written."""
    try:
        with Reader(path) as reader:
            read = [(connection.topic, bytes(data)) for connection, _, data in reader.messages()]  # all or none: it may break in the middle
        yield from read
    except (ReaderError, FileNotFoundError, AssertionError, struct.error, OverflowError, ValueError, LookupError):  # what damage looks like
        files = [path] if path.is_file() else sorted(path.glob("*.mcap"))
        for file in files:
            yield from _broken_off(file.read_bytes())


# The records of MCAP (mcap.dev/spec): a byte that names the kind, eight that tell the length, the content
_RECORD, _MAGIC = struct.Struct("<BQ"), b"\x89MCAP0\r\n"
_CHANNEL, _MESSAGE, _CHUNK = 0x04, 0x05, 0x06


def _broken_off(data: bytes, start: int = len(_MAGIC), topics: dict[int, str] | None = None) -> Iterator[tuple[str, bytes]]:
    """The messages of a file that has no end, as our writer makes it: not compressed. A record that is cut off ends it."""
    topics, at = {} if topics is None else topics, start
    while at + _RECORD.size <= len(data):
        kind, length = _RECORD.unpack_from(data, at)
        at, content = at + _RECORD.size + length, data[at + _RECORD.size : at + _RECORD.size + length]
        if len(content) < length:
            return
        if kind == _CHUNK:  # 28 bytes of times, size and checksum, the name of the compression (none), the length of the records
            yield from _broken_off(content, 28 + 4 + int.from_bytes(content[28:32], "little") + 8, topics)
        elif kind == _CHANNEL:
            name_bytes = int.from_bytes(content[4:8], "little")
            topics[int.from_bytes(content[:2], "little")] = content[8 : 8 + name_bytes].decode()
        elif kind == _MESSAGE:  # channel, number, two times, the message
            yield topics[int.from_bytes(content[:2], "little")], content[22:]
