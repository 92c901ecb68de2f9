"""One instruction being followed through a server: keeps the frames and the past, to give them again to a server that lost them."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Action
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.profiles import checked_instruction, profile
from nvila_edge.serving import wire
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import RemoteError
from nvila_edge.serving.jpeg import encode_jpeg

KEPT_FRAMES = 1024  # an episode of 500 steps has 501, and as many again may be taken anew after interruptions
KEPT_BYTES = 256 * 1024 * 1024  # 1024 frames of 640 x 480 are about 60 MB
_MAX_ROUNDS = 2 + KEPT_FRAMES // wire.MAX_RESEND  # of asking and resending, for one decision


class RemoteEpisode:
    """The client's side of a session.

    Frames are kept as JPEG, at most 1024 and 256 MiB of them. `past` holds the decisions that were begun, (frame id, action index) each; it is sent with every
    request of the `stream` profile, so that any server can rebuild the session exactly.
    """

    def __init__(self, client: Client, instruction: str, profile: str) -> None:
        """Raises ValueError for an instruction that is empty or longer than 2,000 characters."""
        checked_instruction(instruction)
        self.instruction = instruction
        self.session = uuid.uuid4().hex
        self.profile = profile
        self.past: list[tuple[int, int]] = []
        self._client = client
        self._kept: OrderedDict[int, tuple[bytes, float | None]] = OrderedDict()
        self._asked = self._kept_bytes = 0

    def send(self, frame_id: int, rgb: np.ndarray, captured_s: float | None = None) -> None:
        """Keep a frame, uint8 [H, W, 3] RGB, captured at `captured_s` on the monotonic clock, and send it. Does not wait, and does not fail when
        the server is gone. Raises WireError for an array that is no such frame or too large."""
        self._drop(frame_id)
        self._kept[frame_id] = encode_jpeg(rgb), captured_s
        self._kept_bytes += len(self._kept[frame_id][0])
        while len(self._kept) > 1 and (len(self._kept) > KEPT_FRAMES or self._kept_bytes > KEPT_BYTES):
            self._drop(next(iter(self._kept)))
        self._client.send_frame(self.session, frame_id, *self._kept[frame_id])

    def _drop(self, frame_id: int) -> None:
        jpeg, _ = self._kept.pop(frame_id, (b"", None))
        self._kept_bytes -= len(jpeg)

    def keeps(self, frame_id: int) -> bool:
        """Whether that frame was sent and is still kept."""
        return frame_id in self._kept

    def decide(self, frame_ids: tuple[int, ...], timeout_s: float, blocked: bool = False) -> Decision:
        """The next action, seen from these frames (sent before; oldest first). A new request number every time; sends again what the server
        misses. `blocked`: the last forward step met something. Does not enter the past: call begun() when the action begins.

        Raises LinkDown, DeadlinePassed, RemoteError or WireError.
        """
        return self._ask("decide", frame_ids, timeout_s, past=self.past if profile(self.profile).keeps_past else [], blocked=blocked)

    def say(self, frame_ids: tuple[int, ...], timeout_s: float, max_new_tokens: int) -> Decision:
        """What the model says by itself, as `decide` asks: a Decision without action, whose text is to be read. Raises what `decide` raises."""
        return self._ask("say", frame_ids, timeout_s, max_new_tokens=max_new_tokens)

    def _ask(self, kind: str, frame_ids: tuple[int, ...], timeout_s: float, **more: Any) -> Decision:
        self._asked += 1
        expires_s = time.monotonic() + timeout_s
        fields = {"instruction": self.instruction, "n": self._asked, "frames": frame_ids, **more}
        for _ in range(_MAX_ROUNDS):
            left_s = max(0.001, expires_s - time.monotonic())
            deadline_ms = min(wire.MAX_DEADLINE_MS, max(1, int(1000 * left_s)))
            reply = self._client.request(kind, self.session, left_s, deadline_ms=deadline_ms, **fields)
            if reply.get("type") == "decision":
                captured_s = wire.stamp(reply, "captured_s")
                age_ms = None if captured_s is None else 1000 * (time.monotonic() - captured_s)
                return replace(wire.parse_decision(reply), age_ms=age_ms)
            self._resend(wire.integers(reply, "frames", 1, wire.MAX_RESEND))
        raise RemoteError("missing", "the server keeps missing frames that were sent to it", "give it more memory or shorter episodes")

    def begun(self, frame_id: int, action: Action) -> None:
        """An action decided on that frame is being carried out: from now on it is part of the past."""
        if action in ACTIONS:
            self.past.append((frame_id, ACTIONS.index(action)))

    def close(self) -> None:
        """Let the server forget the session."""
        self._client.bye(self.session)

    def _resend(self, frame_ids: tuple[int, ...]) -> None:
        for frame_id in frame_ids:
            if frame_id not in self._kept:
                message = f"the server needs frame {frame_id}, which is no longer kept (the newest {KEPT_FRAMES} are, up to {KEPT_BYTES >> 20} MiB)"
                raise RemoteError("history_lost", message, "begin a new episode")
            self._client.send_frame(self.session, frame_id, *self._kept[frame_id])
