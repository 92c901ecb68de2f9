"""What the camera sees with the last decision drawn over it, as a page for a browser on this computer (motion JPEG over loopback)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np

from agents.events import Captured, Decided, Ended, Event
from nvila_edge.navigation.actions import Forward, Turn
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.http import Call, HttpServer, Reply

WIDTH_PX = 640
_WAIT_S = 5.0
_BOUNDARY = "frame"
_PAGE = b"<!doctype html><title>nvila-edge</title><body style='margin:0;background:#111'><img src=/live style='width:100%;max-width:960px'>"
_INK, _SHADE = (255, 255, 255), (0, 0, 0)


def drawn(rgb: np.ndarray, instruction: str, decision: Decision | None) -> np.ndarray:
    """uint8 [H, W, 3] RGB: the picture, WIDTH_PX wide, with the instruction, the decision, its probability and an arrow of where it leads."""
    height = round(rgb.shape[0] * WIDTH_PX / rgb.shape[1])
    canvas = cv2.resize(rgb, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    canvas[-64:] = canvas[-64:] // 3
    _write(canvas, instruction[:80], height - 42, 0.5)
    if decision is not None:
        _write(canvas, f"{decision.text}  p {decision.probability:.2f}", height - 14, 0.6)
        _arrow(canvas, decision)
    return canvas


def _write(canvas: np.ndarray, text: str, y: int, size: float) -> None:
    for colour, thickness in ((_SHADE, 3), (_INK, 1)):
        cv2.putText(canvas, text, (10, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)


def _arrow(canvas: np.ndarray, decision: Decision) -> None:
    """From the middle of the lower edge: ahead, or to the side that it turns to; a square for a stop."""
    height, width = canvas.shape[:2]
    start = (width // 2, height - 80)
    match decision.action:
        case Forward(distance_cm=distance_cm):
            end = (start[0], start[1] - round(height * 0.4 * distance_cm / 75))
        case Turn(angle_deg=angle_deg):
            end = (start[0] - round(width * 0.3 * angle_deg / 45), start[1] - height // 6)
        case _:
            cv2.rectangle(canvas, (start[0] - 20, start[1] - 20), (start[0] + 20, start[1] + 20), (220, 50, 50), -1)
            return
    cv2.arrowedLine(canvas, start, end, (80, 220, 80), 6, cv2.LINE_AA, tipLength=0.25)


class LiveView:
    """Serves the page until it is closed, for one instruction or many. It is told events, and never keeps the loop waiting."""

    def __init__(self, port: int, instruction: str) -> None:
        """Loopback only, and for this computer's programs (serving/http.py); port 0 picks a free one. Raises ServerStartError when it is taken,
        ValueError when it is no port."""
        self._instruction, self._decision = instruction, None
        self._changed, self._jpeg, self._number, self._over = threading.Condition(), b"", 0, False
        self._server = HttpServer(port, {"GET /": lambda call: Reply(200, _PAGE, "text/html"), "GET /live": self._live}, option="--view")
        self.url = f"{self._server.url}/"

    def __call__(self, event: Event) -> None:
        """Shows captures with the decision that was made last."""
        match event:
            case Decided(decision=decision):
                self._decision = decision
            case Captured(frame=frame):
                _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(drawn(frame.rgb, self._instruction, self._decision), cv2.COLOR_RGB2BGR))
                with self._changed:
                    self._jpeg, self._number = jpeg.tobytes(), self._number + 1
                    self._changed.notify_all()
            case Ended():
                self._decision = None

    def close(self) -> None:
        """Ends the page's stream and the server."""
        with self._changed:
            if self._over:
                return
            self._over = True
            self._changed.notify_all()
        self._server.close()

    def _live(self, call: Call) -> Reply:
        return Reply(200, self._pictures(call), f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    def _pictures(self, call: Call) -> Iterator[bytes]:
        """Each picture once, until this is closed or the browser has gone away."""
        seen = 0
        while not call.gone():
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._over or self._number > seen, _WAIT_S)
                if self._over:
                    return
                fresh, seen, jpeg = self._number > seen, self._number, self._jpeg
            if fresh:
                yield f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode() + jpeg + b"\r\n"
