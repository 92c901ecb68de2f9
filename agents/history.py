"""What an agent remembers having seen: one frame per completed primitive, plus the newest."""

from __future__ import annotations

from nvila_edge.navigation.profiles import PromptProfile
from nvila_edge.navigation.window import window


class History:
    """Frame ids of one episode. A frame taken anew without having moved replaces the newest one."""

    def __init__(self) -> None:
        self._before: list[int] = []  # what was seen before each completed primitive
        self._newest: int | None = None

    def observe(self, frame_id: int) -> None:
        """A frame was captured."""
        self._newest = frame_id

    def completed(self) -> None:
        """A primitive was carried out after the newest frame, which becomes history."""
        assert self._newest is not None, "a primitive follows a frame"
        self._before.append(self._newest)
        self._newest = None

    @property
    def ids(self) -> tuple[int, ...]:
        """All frame ids, oldest first."""
        return (*self._before, *(() if self._newest is None else (self._newest,)))


def frames_for_decision(profile: PromptProfile, history: History) -> tuple[int, ...]:
    """The frame ids that a decision needs, oldest first, without the black ones in front of a short history.

    `stream`: the newest. `navila`: the window over the whole history. Raises ValueError before the first frame.
    """
    ids = history.ids
    if profile.keeps_past:
        window(len(ids), 1)
        return ids[-1:]
    return tuple(ids[index] for index in window(len(ids), profile.frames) if index is not None)
