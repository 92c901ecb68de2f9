"""What can go wrong between client and server. Every error carries a code for programs and a mend for people."""

from __future__ import annotations


class ServingError(RuntimeError):
    """A failure with a `code` (stable, for programs), a `message` (what was wrong) and a `mend` (what to do about it)."""

    def __init__(self, code: str, message: str, mend: str) -> None:
        super().__init__(f"{message} ({code}); {mend}")
        self.code, self.message, self.mend = code, message, mend


class WireError(ServingError):
    """A message breaks the protocol, or a limit of it."""


class RemoteError(ServingError):
    """The server answered a request with an error."""


class LinkDown(ServingError):
    """The server is gone: its connection broke, it fell silent, it restarted during a request, or it is shutting down."""

    def __init__(self, message: str, mend: str = "start it again (nvila-edge serve), the client reconnects by itself") -> None:
        super().__init__("link_down", message, mend)


class DeadlinePassed(ServingError):
    """The server is up, but the answer did not come in time."""

    def __init__(self, message: str, mend: str = "raise the deadline, or use a faster machine or a smaller model") -> None:
        super().__init__("deadline", message, mend)


class ServerStartError(ServingError):
    """A server process could not be started."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__("server_start", message, mend)
