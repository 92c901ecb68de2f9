"""An Intel RealSense, colour with depth laid over it, through the pipeline of pyrealsense2; or a recording of one, through the very same pipeline.

"Frame didn't arrive" is what owners of these cameras report most (librealsense #6628, #7048, #14242). So every wait has a deadline, misses are counted, and a
camera that stays silent is reset, opened again, and in the end named.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyrealsense2  # pyright: ignore[reportMissingImports]

from agents.cameras.picture import make_frame
from agents.protocols import CameraError, Frame, Lens, RecordingOver

rs: Any = pyrealsense2  # it tells no types
_RETRY_EVERY_S = 0.25  # between attempts to open: a camera that was reset is back on the bus after one to several seconds
_MAX_AGE_S = 5.0  # a hardware stamp that is older, or from the future, is no stamp of this computer's clock


@dataclass(frozen=True)
class RealSenseSettings:
    """What is asked of the camera, and how long it is waited for.

    wait_s: for a picture; reconnects: how often it is opened anew before it is given up; reopen_s: how long one such attempt may take.
    640x480 at 30 is offered by every D400 for both streams.
    """

    width_px: int = 640
    height_px: int = 480
    fps: int = 30
    wait_s: float = 1.0
    reconnects: int = 2
    reopen_s: float = 8.0


class Device:
    """A camera on the bus, the one with that serial number or any."""

    def __init__(self, serial: str = "") -> None:
        self._serial = serial
        self.name = f"RealSense {serial}".strip()

    def start(self, settings: RealSenseSettings) -> tuple[Any, Any]:
        """Pipeline and profile. Raises RuntimeError with the library's words, or at once when it is not there (the library would wait 15 s for it)."""
        serials = [each.get_info(rs.camera_info.serial_number) for each in rs.context().query_devices()]
        if not serials or self._serial not in ("", *serials):
            raise RuntimeError("no such camera on the bus")
        config = rs.config()
        if self._serial:
            config.enable_device(self._serial)
        config.enable_stream(rs.stream.depth, settings.width_px, settings.height_px, rs.format.z16, settings.fps)
        config.enable_stream(rs.stream.color, settings.width_px, settings.height_px, rs.format.rgb8, settings.fps)
        pipeline = rs.pipeline()
        return pipeline, pipeline.start(config)

    def reset(self, profile: Any) -> None:
        """Take the camera off the bus and on again, as pulling its plug would."""
        profile.get_device().hardware_reset()


class Tape:
    """A recording (.db3) that plays as fast as it is read. With `unplugs`, its end is what pulling the plug is, instead of the end of a recording."""

    def __init__(self, path: Path, unplugs: bool = False) -> None:
        self.path, self.unplugs = path, unplugs
        self.name = f"RealSense recording {path}"

    def start(self, settings: RealSenseSettings) -> tuple[Any, Any]:
        """Pipeline and profile. Raises RuntimeError with the library's words, or when the file is gone."""
        if not self.path.is_file():
            raise RuntimeError(f"no file {self.path}")
        config = rs.config()
        config.enable_device_from_file(str(self.path), repeat_playback=False)
        pipeline = rs.pipeline()
        profile = pipeline.start(config)
        profile.get_device().as_playback().set_real_time(False)
        return pipeline, profile

    def reset(self, profile: Any) -> None:
        """A file needs none."""


class RealSense:
    """Frames with depth. `misses` counts waits in vain, `reconnects` how often it was opened anew; `lens` is that of the newest frame."""

    def __init__(self, source: Device | Tape, settings: RealSenseSettings | None = None) -> None:
        """Raises ValueError when it cannot be opened, naming the cameras that are there."""
        self._source, self._settings = source, settings or RealSenseSettings()
        self._count, self._last_number = 0, -1
        self.misses = self.reconnects = 0
        self.lens: Lens | None = None
        self._align = rs.align(rs.stream.color)
        try:
            self._begin()
        except RuntimeError as error:
            raise ValueError(f"{source.name} cannot be opened: {error}; cameras that are there: {_present()}") from error

    @property
    def has_depth(self) -> bool:
        """Whether it may be looked through at any time for what is in the way; of a recording every picture is shown once, to the loop."""
        return isinstance(self._source, Device) or self._source.unplugs

    def capture(self) -> Frame:
        """The next picture with its depth; a camera's is one that came after the call. Waits, and opens the camera anew when it stays silent.

        Raises CameraError when it is given up, RecordingOver at the end of a recording.
        """
        for attempt in range(self._settings.reconnects + 1):
            frames = self._wait()
            if frames is not None:
                return self._frame(*frames)
            self.misses += 1
            if isinstance(self._source, Tape) and not self._source.unplugs:
                raise RecordingOver(f"{self._source.name} is over after {self._count} frames")
            if attempt < self._settings.reconnects and not self._reconnect():
                break
        settings = self._settings
        raise CameraError(
            f"{self._source.name} gave no picture for {settings.wait_s:g} s ({self.misses} times, opened anew {self.reconnects} times); "
            f"cameras that are there: {_present()}. Plug it into a USB 3 port, with a short cable"
        )

    def close(self) -> None:
        """Gives the camera back. Never raises."""
        pipeline, self._pipeline = self._pipeline, None
        try:
            if pipeline is not None:
                pipeline.stop()
        except RuntimeError:
            return  # it had stopped by itself, with its device

    def _begin(self) -> None:
        self._pipeline: Any = None
        self._pipeline, self._profile = self._source.start(self._settings)
        self._scale_m = float(self._profile.get_device().first_depth_sensor().get_depth_scale())
        self._last_number = -1

    def _reconnect(self) -> bool:
        """Reset and open it, within `reopen_s`; whether it worked."""
        expires_s = time.monotonic() + self._settings.reopen_s
        try:
            self._source.reset(self._profile)
        except RuntimeError:
            pass  # it is gone from the bus: perhaps somebody plugs it in again
        self.close()
        while True:
            try:
                self._begin()
            except RuntimeError:
                if time.monotonic() + _RETRY_EVERY_S > expires_s:
                    return False
                time.sleep(_RETRY_EVERY_S)
            else:
                self.reconnects += 1
                return True

    def _wait(self) -> tuple[Any, Any] | None:
        """Aligned colour and depth of a number that was not had yet; None when none comes within `wait_s`."""
        if self._pipeline is None:
            return None
        if isinstance(self._source, Device):
            while self._pipeline.poll_for_frames():
                pass  # what waited in the queue was seen before the robot came to rest
        expires_s = time.monotonic() + self._settings.wait_s
        while (left_s := expires_s - time.monotonic()) > 0:
            there, frames = self._pipeline.try_wait_for_frames(max(1, int(1000 * left_s)))
            if not there:
                return None
            aligned = self._align.process(frames)
            colour, depth = aligned.get_color_frame(), aligned.get_depth_frame()
            if colour and depth and colour.get_frame_number() != self._last_number:
                self._last_number = colour.get_frame_number()
                return colour, depth
        return None

    def _frame(self, colour: Any, depth: Any) -> Frame:
        picture, depth_m = np.asanyarray(colour.get_data()), np.asanyarray(depth.get_data()) * np.float32(self._scale_m)
        bgr = colour.get_profile().format() in (rs.format.bgr8, rs.format.bgra8)
        frame = make_frame(self._count, picture, _captured_s(colour), depth_m, bgr=bgr)
        lens, scale = colour.get_profile().as_video_stream_profile().get_intrinsics(), frame.rgb.shape[1] / picture.shape[1]
        self.lens = Lens(lens.fx * scale, lens.fy * scale, lens.ppx * scale, lens.ppy * scale)
        self._count += 1
        return frame


def _captured_s(frame: Any) -> float:
    """When a frame was exposed, on the monotonic clock, if its stamp is of this computer's clock; else now."""
    now_s = time.monotonic()
    if frame.get_frame_timestamp_domain() in (rs.timestamp_domain.global_time, rs.timestamp_domain.system_time):
        age_s = time.time() - frame.get_timestamp() / 1000
        if 0 <= age_s <= _MAX_AGE_S:
            return now_s - age_s
    return now_s


def _present() -> str:
    """Names and serial numbers of the cameras on the bus."""
    found = rs.context().query_devices()
    names = [f"{each.get_info(rs.camera_info.name)} ({each.get_info(rs.camera_info.serial_number)})" for each in found]
    return ", ".join(names) or "none"


def open_realsense(which: str = "") -> RealSense:
    """A recording when `which` ends with .db3, else the camera with that serial number, "" for any. Raises ValueError."""
    if which.endswith(".db3"):
        return RealSense(Tape(Path(which)))
    if which.endswith(".bag"):
        raise ValueError(
            f"{which}: recordings are read in the .db3 format of pyrealsense2 2.59; record it anew, or convert it with its tools"
        )
    return RealSense(Device(which))
