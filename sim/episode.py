"""Episodes of a split, as programs handle them: what to follow, where from, where to, and the expert's way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.geometry import Pose, yaw_of

Point = tuple[float, float, float]
PAD_INDEX, UNK_INDEX = 0, 1  # R2R_VLNCE's instruction_vocab
ROLES = ("guide", "follower")  # RxR: who spoke and walked the path, and who walked it after the guide's words


@dataclass(frozen=True)
class TimedWord:
    """A word of a spoken instruction and when it was said, in seconds from the start of the recording; NaN where the file has no time."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Speech:
    """What RxR knows of an instruction beyond its text. `language` such as "en-US"; `edit_distance` None where the file has none."""

    language: str
    instruction_id: str = ""
    annotator_id: str = ""
    role: str = ""
    edit_distance: float | None = None
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True)
class Episode:
    """One instruction to follow. Points are feet positions (x, y, z) in metres, +Y up; the rotation is a quaternion x, y, z, w.

    `scene_id` is relative, such as "houses/train_0003/train_0003.glb"; `goals` and `reference_path` are empty in a test split; `speech` is
    None in R2R.
    """

    episode_id: str
    trajectory_id: str
    scene_id: str
    start_position: Point
    start_rotation: tuple[float, float, float, float]
    goals: tuple[Point, ...]
    reference_path: tuple[Point, ...]
    instruction: str
    geodesic_distance_m: float
    tokens: tuple[int, ...] = ()
    speech: Speech | None = None

    @property
    def start(self) -> Pose:
        """The pose that the agent starts in."""
        return Pose(self.start_position, yaw_of(self.start_rotation))

    @property
    def goal(self) -> Point:
        """The goal position (x, y, z) in metres. Raises ValueError in a split without goals."""
        if not self.goals:
            raise ValueError(f"episode {self.episode_id} has no goal (a test split?): choose train, val_seen or val_unseen")
        return self.goals[0]


@dataclass(frozen=True)
class GroundTruth:
    """The expert's way: primitive ids (0 stop, 1 forward, 2 left, 3 right) and the start followed by one point per move."""

    actions: tuple[int, ...]
    locations: tuple[Point, ...]

    @property
    def forward_steps(self) -> int:
        """How many of the actions are forward."""
        return self.actions.count(1)


@dataclass(frozen=True)
class Fault:
    """An entry of a file that cannot be used: the episode's id ("#7" for the eighth entry when it has none) and why."""

    episode_id: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """One split: episodes in file order, ground truth by episode id (empty when there is no file), words by token index; `faults` are the
    entries that could not be used, `truth_faults` those of the ground truth."""

    split: str
    episodes: tuple[Episode, ...]
    ground_truth: dict[str, GroundTruth] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ("<pad>", "<unk>")
    faults: tuple[Fault, ...] = ()
    truth_faults: tuple[Fault, ...] = ()


def encode(text_words: Sequence[str], vocabulary: Sequence[str], length: int) -> tuple[int, ...]:
    """Token ids of the words, zero-padded at the end (or cut) to `length`; unknown words are UNK_INDEX."""
    index = {word: number for number, word in enumerate(vocabulary)}
    ids = [index.get(word, UNK_INDEX) for word in text_words][:length]
    return tuple(ids + [PAD_INDEX] * (length - len(ids)))
