"""A thread that waits at sockets is woken by others."""

from __future__ import annotations

import socket


class Waker:
    """A pair of sockets: poll `fileno`, `clear` it when it is readable. `wake` may be called from any thread, also after `close`."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._out.setblocking(False)

    def fileno(self) -> int:
        """What becomes readable."""
        return self._out.fileno()

    def wake(self) -> None:
        """Make it readable."""
        try:
            self._in.send(b"\0")
        except OSError:  # full: the thread is awake anyway; closed: there is nobody to wake
            pass

    def clear(self) -> None:
        """Until the next call."""
        try:
            self._out.recv(4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the sockets back."""
        self._in.close()
        self._out.close()
