"""Whether the other side is there: state kept by heartbeats and connection events, with waits that all have a bound."""

from __future__ import annotations

import threading
import time
from typing import Protocol

PING_EVERY_S = 0.1
ALIVE_S = 0.3  # a pong older than this and nothing moves
SILENCE_S = 0.45  # a silence longer than this and the server counts as gone: a robot drops its queue and says so within 0.5 s
_STARVED_S = 0.05  # what our own I/O thread gets to catch up before a silence is believed


class Link(Protocol):
    """What the agent's loop knows of its server."""

    @property
    def alive(self) -> bool:
        """Connected, not shutting down, and heard of within the last 300 ms."""
        ...

    def settle(self) -> bool:
        """Wait until it is alive (True) or certainly gone (False): the connection broke, or the silence lasts too long."""
        ...

    def wait_alive(self, timeout_s: float) -> bool:
        """Wait until it is alive, at most that long; whether it is."""
        ...


class LocalLink:
    """The link of a policy that runs in this process: always alive."""

    alive = True

    def settle(self) -> bool:
        """True."""
        return True

    def wait_alive(self, timeout_s: float) -> bool:
        """True."""
        return True


class Heartbeat:
    """The state of a connection, written by an I/O thread and read by others. `changed` guards and announces every change."""

    def __init__(self, silence_s: float) -> None:
        self.changed = threading.Condition()
        self.boot = ""
        self._silence_s = silence_s
        self._connected = False
        self._draining = False
        self._pong_s = float("-inf")

    @property
    def alive(self) -> bool:
        """Connected, not shutting down, and heard of within the last 300 ms."""
        return self._connected and not self._draining and time.monotonic() - self._pong_s <= ALIVE_S

    def pong(self, boot: str, draining: bool) -> None:
        """A pong came."""
        with self.changed:
            self._pong_s, self.boot, self._draining = time.monotonic(), boot, draining
            self.changed.notify_all()

    def connection(self, connected: bool) -> None:
        """The transport connected or broke."""
        with self.changed:
            self._connected, self._draining = connected, False
            self._pong_s = float("-inf")
            self.changed.notify_all()

    def gone(self, asked_s: float) -> bool:
        """Whether no new request will be answered, for somebody who has been waiting since `asked_s` (monotonic clock)."""
        return self._draining or self.broken(asked_s)

    def broken(self, asked_s: float) -> bool:
        """Whether the connection broke or was silent for too long; a server that shuts down still answers what it was asked."""
        if not self._connected:
            return True
        return time.monotonic() > max(max(self._pong_s, asked_s - ALIVE_S) + self._silence_s, asked_s + _STARVED_S)

    def settle(self) -> bool:
        """Wait until it is alive (True) or certainly gone (False); at most the silence that was given."""
        asked_s = time.monotonic()
        with self.changed:
            while not self.alive:
                if self.gone(asked_s):
                    return False
                self.changed.wait(0.01)
        return True

    def wait_alive(self, timeout_s: float) -> bool:
        """Wait until it is alive, at most that long; whether it is."""
        with self.changed:
            return self.changed.wait_for(lambda: self.alive, timeout_s)
