"""`python -m agents.robots.estop tcp://127.0.0.1:5600 [--reset]`: presses the latched e-stop of a robot's process, whoever drives it, or resets it.

Prints the state that follows. Exit status 0 when that state confirms it, 2 when nothing does: then the robot has to be stopped by other means.
"""

from __future__ import annotations

import argparse
import sys
import time

from agents.protocols import RobotError
from agents.robots.remote import Remote
from agents.robots.wire import State

ANSWER_S = 2.5  # for a first state; orders are repeated until then
CONFIRM_S = 2.0  # for one that shows what was ordered
_REASON = "pressed by hand"


def press(address: str, answer_s: float = ANSWER_S) -> State:
    """Latch it; the state that shows it latched and zero commanded. Raises ValueError for an address that cannot be, RobotError without that state."""
    with Remote(address, answer_s, CONFIRM_S, press=_REASON) as robot:
        expires_s = time.monotonic() + CONFIRM_S
        while True:
            state = robot.state
            if state.estopped and state.commanded == (0.0, 0.0):
                return state
            if time.monotonic() > expires_s:
                raise RobotError(f"the robot's process at {address} does not confirm the e-stop")
            robot.estop(_REASON)
            time.sleep(0.02)  # its state comes 50 times a second


def reset(address: str, answer_s: float = ANSWER_S) -> State:
    """Unlatch it; the state that shows it. Raises as press() does."""
    with Remote(address, answer_s, CONFIRM_S) as robot:
        robot.reset()
        return robot.state


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m agents.robots.estop", description="Press, or reset, the e-stop of a robot's process.")
    parser.add_argument("address", help="where it listens, such as tcp://127.0.0.1:5600")
    parser.add_argument("--reset", action="store_true", help="unlatch it; the robot stands until the next command")
    arguments = parser.parse_args()
    try:
        state = (reset if arguments.reset else press)(arguments.address)
    except (ValueError, RobotError) as error:
        end = "the e-stop may be latched still" if arguments.reset else "the robot may be moving: stop it by its own e-stop, or its power"
        sys.stderr.write(f"error: {error}\nnothing confirms the {'reset' if arguments.reset else 'e-stop'}; {end}\n")
        return 2
    linear_mps, angular_rps = state.commanded
    latched = f"latched ({state.estopped})" if state.estopped else "not latched"
    fault = f"; fault: {state.fault}" if state.fault else ""
    sys.stdout.write(f"e-stop of {state.robot or 'the robot'}: {latched}; commanded {linear_mps:g} m/s, {angular_rps:g} rad/s{fault}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
