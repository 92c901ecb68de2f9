"""The process that talks to a robot: takes orders over loopback, guards them with a watchdog, tells the robot's state 50 times a second."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import zmq

from agents.limits import VelocityLimits
from agents.protocols import RobotError, VelocityRobot
from agents.robots.wire import MAX_BYTES, Order, State, pack_state, parse_order
from agents.watchdog import Watchdog
from nvila_edge.serving.address import checked_bind

_LOG = logging.getLogger(__name__)
STATE_EVERY_S = 0.02
STALE_S = 0.3  # an order given on a view of the robot older than this is not carried out: it hung in some buffer
LISTENS_S, DRIVES_S = 1.0, 1.0  # how long a silent client is told the state, and how long one that commanded keeps others from it
MAX_CLIENTS = 16
_BATCH = 64  # orders between two states, so that a flood of them silences nobody


@dataclass
class _Client:
    session: str
    heard_s: float
    seq: int = -1


class RobotServer:
    """Serves one robot on loopback. Whoever dies, the watchdog in here stops the robot; when this process dies, the robot's own dead-man does."""

    def __init__(self, robot: VelocityRobot, bind: str, name: str = "", limits: VelocityLimits | None = None) -> None:
        """name: what kind of robot it is, for those who drive it. limits: that no command passes.

        Raises ValueError for an address beyond loopback, RobotError when it is taken.
        """
        checked_bind(bind)
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        for option, value in {
            zmq.LINGER: 0,
            zmq.SNDHWM: 16,
            zmq.RCVHWM: 256,
            zmq.MAXMSGSIZE: MAX_BYTES,
            zmq.IPV6: int("[" in bind),
        }.items():
            self._router.setsockopt(option, value)
        try:
            self._router.bind(bind)
        except zmq.ZMQError as error:
            self._router.close(0)
            self._context.term()
            raise RobotError(f"cannot listen at {bind!r}: {error.strerror}; choose another port") from error
        self.address: str = self._router.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self.watchdog, self._name = Watchdog(robot, limits), name
        self._clients: dict[bytes, _Client] = {}
        self._driver, self._drove_s, self._fault = "", float("-inf"), ""
        self._closing = False
        self.refused = 0  # orders that were none, came late, or came from somebody who does not drive

    def run(self) -> None:
        """Serve until stop()."""
        next_s = time.monotonic()
        while not self._closing:
            self._router.poll(max(1, int(1000 * (next_s - time.monotonic()))))
            self._receive()
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + STATE_EVERY_S
                self._tell()

    def stop(self) -> None:
        """End run(). From any thread or signal handler."""
        self._closing = True

    def close(self) -> None:
        """Halt the robot and free the address."""
        self.watchdog.close()
        self._router.close(0)
        self._context.term()

    def _receive(self) -> None:
        for _ in range(_BATCH):
            try:
                parts = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                if len(parts) != 2:
                    raise ValueError(f"{len(parts)} parts; an order has one")
                self._obey(parts[0], parse_order(parts[1]))
            except (ValueError, RecursionError) as error:  # nesting a thousand deep cannot be quoted
                self.refused += 1
                _LOG.debug("refused: %s", error)

    def _obey(self, identity: bytes, order: Order) -> None:
        """Carry out an order; stopping is everybody's right, at any age. Raises ValueError for what is refused."""
        now_s = time.monotonic()
        if order.kind == "estop":
            self.watchdog.estop(order.reason)
        client = self._clients.get(identity)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS + (order.kind == "estop"):  # who presses is told, too, that it is latched
                raise ValueError(f"all {MAX_CLIENTS} places are taken")
            client = self._clients[identity] = _Client(order.session, now_s)
        client.heard_s, newer, client.seq = now_s, order.seq > client.seq, max(client.seq, order.seq)
        if order.kind in ("halt", "bye") and self._may_drive(order.session, now_s):
            self.watchdog.halt()
            self._driver = "" if order.kind == "bye" else self._driver
        elif order.kind == "reset" and newer and 0 <= now_s - order.as_of_s <= STALE_S:
            self.watchdog.reset()
        elif order.kind == "command":
            if not newer or not 0 <= now_s - order.as_of_s <= STALE_S or not self._may_drive(order.session, now_s):
                raise ValueError(f"late, repeated or not the driver's: {order}")
            self._driver, self._drove_s = order.session, now_s
            self._command(order)

    def _may_drive(self, session: str, now_s: float) -> bool:
        return self._driver in ("", session) or now_s - self._drove_s > DRIVES_S

    def _command(self, order: Order) -> None:
        try:
            self.watchdog.command(order.linear_mps, order.angular_rps)
            self._fault = ""
        except RobotError as error:
            self._fault = str(error)
            self.watchdog.halt()

    def _tell(self) -> None:
        now_s = time.monotonic()
        self._clients = {identity: client for identity, client in self._clients.items() if now_s - client.heard_s < LISTENS_S}
        try:
            pose, fault = self.watchdog.odometry(), self._fault
        except RobotError as error:
            pose, fault = None, str(error)
        driver = self._driver if now_s - self._drove_s <= DRIVES_S else ""
        message = pack_state(
            State(now_s, pose, self.watchdog.commanded, self.watchdog.estopped[:200], fault[:200], driver, self._name[:64])
        )
        for identity in self._clients:
            try:
                self._router.send_multipart([identity, message], zmq.NOBLOCK)
            except zmq.Again:  # it does not read; the newest state will do when it does
                pass
