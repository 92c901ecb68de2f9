"""The frames of one session as a decision finds them: encoded already, or waiting as JPEG."""

from __future__ import annotations

import time

import numpy as np

from nvila_edge.serving.errors import WireError
from nvila_edge.serving.jpeg import decode_jpeg
from nvila_edge.serving.metrics import Metrics
from nvila_edge.serving.sessions import ServedEngine, SessionState
from nvila_edge.serving.work import Work


class SessionFrames:
    """The frames of one session that are here, encoded or waiting; encodes them when they are asked for. For the inference thread."""

    def __init__(self, engine: ServedEngine, state: SessionState, work: Work, metrics: Metrics) -> None:
        self._engine, self._state, self._work, self._metrics = engine, state, work, metrics

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._state.tokens or self._work.has_frame(self._state.name, frame_id)

    def __getitem__(self, frame_id: int) -> np.ndarray:
        """Tokens [tokens, hidden]. Raises WireError when the JPEG cannot be decoded or the frame fell out meanwhile."""
        tokens = self._state.tokens.get(frame_id)
        if tokens is not None:
            return tokens
        waiting = self._work.take_frame(self._state.name, frame_id)
        if waiting is None:
            raise WireError("frame_lost", f"frame {frame_id} fell out of the queue", "send fewer frames between two decisions")
        return self.encode(frame_id, waiting.jpeg)

    def encode(self, frame_id: int, jpeg: bytes) -> np.ndarray:
        """Encode a frame and keep its tokens [tokens, hidden]. Raises WireError when the JPEG cannot be decoded."""
        started_s = time.perf_counter()
        tokens = self._engine.encode(decode_jpeg(jpeg)[None])[0]
        self._state.tokens.put(frame_id, tokens)
        spent_s = time.perf_counter() - started_s
        self._state.vision_s += spent_s
        self._metrics.count("frames_encoded_total")
        self._metrics.observe("vision", spent_s)
        return tokens
