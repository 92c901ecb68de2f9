"""Free text to an action: our strict rule and three published ones (of NaVILA, NaVILA-Bench and NaVid-VLN-CE). None: it is no action, and what
then happens is the agent's rule (navigation/agent_profiles.py)."""

from __future__ import annotations

import re
from collections.abc import Callable

from nvila_edge.navigation.actions import Action, Forward, Stop, Turn

_STRICT_MOVE = re.compile(r"the next action is move forward (25|50|75) cm\.?")
_STRICT_TURN = re.compile(r"the next action is turn (left|right) (15|30|45) degrees?\.?")
_STRICT_STOP = re.compile(r"(i think i should stop because i have finished the instruction|the next action is stop)\.?")


def parse_strict(text: str) -> Action | None:
    """One of the ten sentences ("degrees" and "The next action is stop." too; case and outer space do not matter), else None: a rejection."""
    clean = " ".join(text.lower().split())
    if match := _STRICT_MOVE.fullmatch(clean):
        return Forward(int(match[1]))
    if match := _STRICT_TURN.fullmatch(clean):
        return Turn(int(match[2]) if match[1] == "left" else -int(match[2]))
    return Stop() if _STRICT_STOP.fullmatch(clean) else None


def _nearest(amount: int, step: int) -> int:
    """NaVILA's rule: multiples of the step stay as they are (0 is one step), others go to the nearest of one, two or three steps."""
    if amount % step == 0:
        return max(amount, step)
    return min((step, 2 * step, 3 * step), key=lambda allowed: abs(allowed - amount))


def parse_navila(text: str) -> Action | None:
    """NaVILA's Habitat evaluator: "stop" anywhere wins, then forward, left, right; a missing amount is 25 cm or 15 degrees; None where it crashed.

    Amounts are read case-sensitively; multiples are not capped (250 cm stays 250 cm).
    """
    if re.search(r"\bstop\b", text, re.IGNORECASE):
        return Stop()
    if re.search(r"\bis move forward\b", text, re.IGNORECASE):
        match = re.search(r"move forward (\d+) cm", text)
        return Forward(_nearest(int(match[1]), 25) if match else 25)
    for side, sign in (("left", 1), ("right", -1)):
        if re.search(rf"\bis turn {side}\b", text, re.IGNORECASE):
            match = re.search(rf"turn {side} (\d+) degree", text)
            return Turn(sign * (_nearest(int(match[1]), 15) if match else 15))
    return None


def parse_navila_bench(text: str) -> Action | None:
    """NaVILA-Bench's evaluator: left, right, forward, stop in this order by substring; amounts by substring, the largest that occurs."""
    lower = text.lower()

    def amount(allowed: tuple[str, str, str]) -> int:
        return next((int(number) for number in allowed if number in lower), int(allowed[-1]))

    if "turn left" in lower:
        return Turn(amount(("45", "30", "15")))
    if "turn right" in lower:
        return Turn(-amount(("45", "30", "15")))
    if "move forward" in lower:
        return Forward(amount(("75", "50", "25")))
    return Stop() if "stop" in lower else None


def parse_navid(text: str) -> Action | None:
    """NaVid's evaluator: stop, forward, left, right in this order by substring, in small letters; the first whole number is the amount, cut down
    to whole steps of 25 cm or 30 degrees: int(num / 30). No number, or less than a step, is no action.

    The last character is not read (it is taken for a full stop): "turn left 30" without one is 3 degrees.
    """
    read = text[:-1]
    if "stop" in read:
        return Stop()
    verb = next((verb for verb in ("forward", "left", "right") if verb in read), None)
    number = re.search(r"-?\d+", read)
    if verb is None or number is None:
        return None
    step = 25 if verb == "forward" else 30
    amount = int(int(number[0]) / step) * step
    if amount <= 0:
        return None
    return Forward(amount) if verb == "forward" else Turn(amount if verb == "left" else -amount)


PARSERS: dict[str, Callable[[str], Action | None]] = {
    "strict": parse_strict,
    "navila": parse_navila,
    "navila-bench": parse_navila_bench,
    "navid": parse_navid,
}
