"""A camera whose pictures and mounting are looked at while it is used; what is wrong with them is said, once each."""

from __future__ import annotations

from collections.abc import Callable

from agents.cameras.mounting import mounting, mounting_warnings
from agents.protocols import Frame, Lens, OpenCamera
from nvila_edge.navigation.agent_profiles import CameraSetup

BLURRED = (
    20.0  # variance of the Laplacian: frames of the built-in houses have 243 and more, and 9 pixels of motion blur leave 75 (median of 90)
)
DARK, BRIGHT = 0.6, 0.4  # shares of pixels without any detail
_IN_A_ROW = 3  # one blurred frame is a turn, three are a dirty lens


class Watched:
    """The camera that it wraps, with the same interface. `warn` is told when three frames in a row are blurred, too dark or too bright, and, when the
    first frame with depth comes, how the mounting differs from `wanted`."""

    def __init__(self, camera: OpenCamera, wanted: CameraSetup, warn: Callable[[str], None]) -> None:
        self._camera, self._wanted, self._warn = camera, wanted, warn
        self._rows = {"blurred": 0, "dark": 0, "bright": 0}
        self._mounting_checked = False

    def capture(self) -> Frame:
        """As the wrapped camera."""
        frame = self._camera.capture()
        if frame.quality is not None:
            quality = frame.quality
            self._count(
                "blurred",
                quality.sharpness < BLURRED,
                f"pictures are blurred (sharpness {quality.sharpness:.0f}): clean the lens, move slower",
            )
            self._count("dark", quality.dark > DARK, f"{quality.dark:.0%} of the picture is black: more light, or a longer exposure")
            self._count("bright", quality.bright > BRIGHT, f"{quality.bright:.0%} of the picture is white: a shorter exposure")
        lens: Lens | None = getattr(self._camera, "lens", None)
        if not self._mounting_checked and frame.depth_m is not None and lens is not None:
            self._mounting_checked = True
            for text in mounting_warnings(mounting(frame.depth_m, lens), lens, frame.rgb.shape[1], self._wanted):
                self._warn(text)
        return frame

    def close(self) -> None:
        """Gives the camera back."""
        self._camera.close()

    def _count(self, what: str, wrong: bool, text: str) -> None:
        self._rows[what] = self._rows[what] + 1 if wrong else 0
        if self._rows[what] == _IN_A_ROW:
            self._warn(text)
