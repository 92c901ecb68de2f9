"""What SIGINT, SIGTERM and SIGHUP do to an agent: the robot is halted at once, whatever the main thread is in, and then everything is left in order.

Python runs signal handlers in its main thread only, and only between two of its instructions: a camera's driver or a decoder, which are C, may keep it for
a second and more, and with thinking and moving overlapped the robot drives meanwhile. So a thread is told of the signal by the interpreter's own
C handler (signal.set_wakeup_fd), and halts.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nvila_edge.ending import ending_signals

_HALTS_S = 5.0  # how long the robot is halted again and again while the main thread does not come back


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit and SIGINT KeyboardInterrupt in the main thread, so that everything is left in order.

    A shell starts what it puts into the background with SIGINT ignored: whoever sends it to an agent all the same wants the robot to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = {number: signal.signal(number, end) for number in ending_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def halting_on_signals(cancel: Callable[[str, float], object]) -> Iterator[None]:
    """Call cancel(reason, seconds) (Loop.cancel), on a thread of its own, as soon as SIGINT, SIGTERM or SIGHUP comes. Their handlers run besides, as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told, tells = socket.socketpair()
    tells.setblocking(False)

    def listen() -> None:
        while came := told.recv(16):
            if {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} & set(came):
                cancel("a signal came", _HALTS_S)

    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        tells.close()
        thread.join(1.0)
        told.close()
