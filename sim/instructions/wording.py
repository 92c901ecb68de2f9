"""How meanings are put into words, as data: clause templates, sentence openings and joints, for two wordings.

"train" is for houses named train_*; "unseen" is held out for val_unseen: other templates, openings and joints, but no word that "train"
lacks, since the tokenizer is made from the training text. Slots: {side} left/right, {where} "on your left" .. "straight ahead", {flank}
"on your left", {leaving} {entering} {room} rooms, {landmark} "red sofa", {near} "next to" .. "in front of".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.instructions.names import COLOUR_NAMES, FRONT_PHRASES, NEAR_PHRASES, ROOM_NAMES, SIDE_PHRASES, THING_NAMES

Templates = dict[str, tuple[str, ...]]

# fmt: off
TRAIN: Templates = {
    "turn": (
        "turn {side}", "turn to the {side}", "make a {side}", "make a {side} turn", "take a {side}", "rotate to the {side}",
        "swing {side}", "go to the {side}", "face {side}", "head to your {side}",
    ),
    "around": (
        "turn around", "turn all the way around", "turn back", "spin around", "turn to face the other way",
        "rotate to the opposite direction", "turn in the opposite direction", "rotate until you face the other way", "make a u-turn",
        "go back the other way",
    ),
    "straight": (
        "walk straight ahead", "go straight", "walk forward", "go straight ahead", "move forward", "head straight on", "continue forward",
        "keep going straight", "keep walking in this direction",
    ),
    "leaving": (
        "leave the {leaving}", "exit the {leaving}", "walk out of the {leaving}", "go out of the {leaving}", "step out of the {leaving}",
        "head out of the {leaving}", "get out of the {leaving}", "move out of the {leaving}", "come out of the {leaving}",
        "exit through the door of the {leaving}",
    ),
    "entering": (
        "go into the {entering}", "enter the {entering}", "walk into the {entering}", "step into the {entering}",
        "head into the {entering}", "move into the {entering}", "make your way into the {entering}",
        "go through the door to the {entering}", "continue into the {entering}", "go through the doorway and enter the {entering}",
    ),
    "leaving entering": (
        "leave the {leaving} and enter the {entering}", "walk out of the {leaving} into the {entering}",
        "go from the {leaving} into the {entering}", "exit the {leaving} to the {entering}", "leave the {leaving} for the {entering}",
        "step out of the {leaving} and into the {entering}", "head out of the {leaving} and go into the {entering}",
        "exit the {leaving} and walk into the {entering}", "leave the {leaving} through the door to the {entering}",
    ),
    "leaving side": (
        "leave the {leaving} through the door {where}", "exit the {leaving} by the door {where}",
        "walk out of the {leaving} through the doorway {where}", "go out of the {leaving} using the door {where}",
        "take the door {where} out of the {leaving}", "use the door {where} to leave the {leaving}",
        "step out of the {leaving} through the opening {where}", "head out of the {leaving} by the exit {where}",
        "exit the {leaving} through the door {where}",
    ),
    "side": (
        "go through the door {where}", "take the door {where}", "walk through the doorway {where}", "use the door {where}",
        "pass through the door {where}", "enter the door {where}", "go into the doorway {where}", "step through the opening {where}",
        "head out by the door {where}",
    ),
    "side entering": (
        "go through the door {where} into the {entering}", "enter the {entering} {where}", "take the door {where} to the {entering}",
        "walk into the {entering} {where}", "walk through the doorway {where} and enter the {entering}",
        "go into the {entering} through the door {where}", "use the door {where} to enter the {entering}",
        "step into the {entering} {where}", "head through the opening {where} into the {entering}",
    ),
    "leaving side entering": (
        "leave the {leaving} through the door {where} into the {entering}", "take the door {where} from the {leaving} to the {entering}",
        "walk out of the {leaving} through the door {where} and into the {entering}",
        "exit the {leaving} by the doorway {where} into the {entering}",
        "go from the {leaving} into the {entering} through the door {where}",
        "use the door {where} to get from the {leaving} to the {entering}", "leave the {leaving} and enter the {entering} {where}",
        "go out of the {leaving} and into the {entering} {where}",
    ),
    "beside": (
        "go through the door next to the {landmark}", "take the door by the {landmark}", "walk through the doorway beside the {landmark}",
        "use the door next to the {landmark}", "go out through the door close to the {landmark}",
        "step through the opening by the {landmark}", "enter the door near the {landmark}", "take the exit beside the {landmark}",
    ),
    "beside entering": (
        "go through the door next to the {landmark} into the {entering}", "take the door by the {landmark} to the {entering}",
        "walk into the {entering} through the doorway beside the {landmark}",
        "use the door next to the {landmark} to enter the {entering}", "enter the {entering} through the door near the {landmark}",
        "step through the opening by the {landmark} into the {entering}", "go into the {entering} using the door close to the {landmark}",
        "take the exit beside the {landmark} into the {entering}",
    ),
    "pass": (
        "walk past the {landmark} {flank}", "go past the {landmark} {flank}", "pass the {landmark} {flank}",
        "keep the {landmark} {flank}", "walk by the {landmark} {flank}", "move past the {landmark} {flank}",
        "continue past the {landmark} {flank}", "head past the {landmark} {flank}", "pass by the {landmark} {flank}",
        "continue with the {landmark} {flank}",
    ),
    "arrive": (
        "stop {near} the {landmark}", "wait {near} the {landmark}", "stop when you are {near} the {landmark}",
        "come to a stop {near} the {landmark}", "stop and wait {near} the {landmark}", "halt {near} the {landmark}",
        "stay {near} the {landmark}", "finish {near} the {landmark}", "stop once you are {near} the {landmark}",
        "stand {near} the {landmark}",
    ),
    "arrive at": (
        "walk up to the {landmark} and stop", "go to the {landmark} and wait there", "stop once you reach the {landmark}",
        "go up to the {landmark} and stop there", "stop at the {landmark}", "wait at the {landmark}",
        "head for the {landmark} and stop when you reach it", "walk to the {landmark} and stop",
    ),
    "arrive room": (
        "stop {near} the {landmark} in the {room}", "wait in the {room} {near} the {landmark}",
        "stop in the {room} {near} the {landmark}", "wait {near} the {landmark} in the {room}",
        "come to a stop {near} the {landmark} in the {room}", "stay in the {room} {near} the {landmark}",
        "halt {near} the {landmark} in the {room}", "finish in the {room} {near} the {landmark}",
    ),
    "inside": (
        "in the {room}", "once in the {room}", "inside the {room}", "once you are in the {room}", "when you are in the {room}",
        "now in the {room}", "when you reach the {room}", "when you enter the {room}",
    ),
    "opening": ("", "", "", "", "then ", "next, ", "after that, ", "from there, ", "now "),
    "joint": (", ", ", then "),
    "last joint": (" and ", ", and ", ", then ", " and then "),
    "final joint": (" and ", ", then ", " and then ", ", and finally ", ", and then "),
}

UNSEEN: Templates = {
    "turn": ("turn to your {side}", "take a {side} turn", "rotate {side}", "swing to the {side}"),
    "around": (
        "turn around to face the other way", "spin all the way around", "turn back the other way",
        "rotate to face the opposite direction",
    ),
    "straight": ("walk straight on", "head straight ahead", "keep walking forward", "continue straight ahead"),
    "leaving": (
        "make your way out of the {leaving}", "leave through the door of the {leaving}", "continue out of the {leaving}",
        "exit from the {leaving}",
    ),
    "entering": (
        "walk through the door into the {entering}", "make your way to the {entering}", "pass into the {entering}",
        "go on into the {entering}",
    ),
    "leaving entering": (
        "go out of the {leaving} and enter the {entering}", "walk from the {leaving} to the {entering}",
        "leave the {leaving} and step into the {entering}", "get out of the {leaving} and into the {entering}",
    ),
    "leaving side": (
        "take the doorway {where} to exit the {leaving}", "leave the {leaving} using the opening {where}",
        "use the exit {where} to get out of the {leaving}", "step through the door {where} to leave the {leaving}",
    ),
    "side": (
        "walk through the opening {where}", "take the doorway {where}", "head through the door {where}",
        "go out through the exit {where}",
    ),
    "side entering": (
        "step through the door {where} into the {entering}", "head into the {entering} {where}",
        "take the doorway {where} and go into the {entering}", "enter the {entering} using the opening {where}",
    ),
    "leaving side entering": (
        "leave the {leaving} using the door {where} and enter the {entering}",
        "walk from the {leaving} to the {entering} through the opening {where}",
        "exit the {leaving} and step into the {entering} {where}",
    ),
    "beside": (
        "head through the door close to the {landmark}", "take the doorway next to the {landmark}",
        "walk through the opening near the {landmark}",
    ),
    "beside entering": (
        "head through the door close to the {landmark} to the {entering}", "take the doorway next to the {landmark} into the {entering}",
        "enter the {entering} by the opening beside the {landmark}",
    ),
    "pass": (
        "keep walking past the {landmark} {flank}", "walk on with the {landmark} {flank}", "make your way past the {landmark} {flank}",
        "keep going with the {landmark} {flank}",
    ),
    "arrive": (
        "wait when you are {near} the {landmark}", "come to a halt {near} the {landmark}", "finish once you are {near} the {landmark}",
        "stop there {near} the {landmark}",
    ),
    "arrive at": (
        "walk to the {landmark} and wait", "stop when you reach the {landmark}", "go to the {landmark} and halt there",
        "make your way to the {landmark} and stop",
    ),
    "arrive room": (
        "halt in the {room} {near} the {landmark}", "finish {near} the {landmark} in the {room}",
        "come to a halt {near} the {landmark} in the {room}",
    ),
    "inside": ("once inside the {room}", "once you reach the {room}", "when in the {room}"),
    "opening": ("", "", "", "now, ", "then, from there, ", "and then, "),
    "joint": ("; then ", ", and after that ", ", and from there ", "; "),
    "last joint": ("; then ", " and after that ", ", and from there ", "; next, "),
    "final joint": (" and finally ", "; finally ", ", and after that ", ", then finally "),
}
# fmt: on


@dataclass(frozen=True)
class Wording:
    """A named set of templates."""

    name: str
    templates: Templates


WORDINGS = {"train": Wording("train", TRAIN), "unseen": Wording("unseen", UNSEEN)}


def wording_for(house_name: str) -> Wording:
    """The wording of a house's instructions: held out for val_unseen_*, the training wording for all else."""
    return WORDINGS["unseen" if house_name.startswith("val_unseen") else "train"]


def words_in(text: str) -> list[str]:
    """Lower-case words of a text, punctuation dropped: the units of the instruction vocabulary."""
    return re.findall(r"[a-z0-9]+(?:[-'][a-z0-9]+)*", text.lower())


def vocabulary(wording: Wording) -> tuple[str, ...]:
    """Every word that a text in this wording can hold, sorted."""
    texts = [re.sub(r"\{\w+\}", " ", template) for group in wording.templates.values() for template in group]
    texts += [name for names in (*THING_NAMES.values(), *ROOM_NAMES.values(), *SIDE_PHRASES.values()) for name in names]
    texts += [*COLOUR_NAMES, *NEAR_PHRASES, *FRONT_PHRASES]
    return tuple(sorted({word for text in texts for word in words_in(text)}))
