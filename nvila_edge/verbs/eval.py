"""`nvila-edge eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Eval:
    """Measure a policy on a split: results.jsonl, summary.json, report.html, videos. The same command goes on after an interruption."""

    example: ClassVar[str] = "nvila-edge eval --policy engine --split val_unseen --episodes 60 --out runs/eval"
    out: Path
    """Folder for everything; one evaluation per folder."""
    env: Literal["house", "habitat"] = "house"
    """house: the generated houses, with our own renderer; habitat: any scene that Habitat opens (see `nvila-edge doctor habitat`)."""
    dataset: str = "builtin"
    """"builtin", or a folder that `nvila-edge data houses` made; for habitat also R2R_VLNCE or RxR_VLNCE."""
    scenes: Path | None = None
    """habitat: folder that holds mp3d/ or houses/; the dataset's own and data/scene_datasets when left out."""
    profile: str = "vlnce-r2r"
    """habitat: camera, steps, sliding and body of the task: vlnce-r2r, navila-r2r, navid-r2r or rxr-official."""
    split: str = "val_unseen"
    """train, val_seen or val_unseen."""
    role: Literal["", "guide", "follower"] = ""
    """Of RxR: whose instructions and paths."""
    languages: str = ""
    """Of RxR: only these, such as en-US,en-IN; all when left out."""
    policy: Literal["engine", "oracle", "random", "forward"] = "engine"
    """engine: a bundle behind a server process; oracle: the expert; random: draws from the expert's actions; forward: always ahead."""
    bundle: Path | None = None
    """Bundle folder for the engine policy, or a checkpoint folder to run it unquantised in torch; the built-in bundle when left out."""
    agent: str | None = None
    """How the model is asked, read and carried out: ours, ours-text, navila, navila-leak, navila-bench, navid; left out: what the bundle is meant for."""
    max_rejections: float = 0.5
    """Share of the first episodes' answers that may be no action before the evaluation ends as in vain."""
    episodes: int | None = None
    """How many, evenly spread over the split; all when left out."""
    workers: int = 2
    """Simulator processes; results do not depend on it."""
    seed: int = 0
    """Of the random policy and of swapped instructions."""
    instructions: Literal["own", "swapped", "by-hand"] = "own"
    """swapped: each episode gets the instruction of another one of its house whose goal is 5 m or more away. by-hand: only the episodes that people
    have said in their own words (SPLIT_by_hand.json of the dataset)."""
    frames: Literal["camera", "black"] = "camera"
    """black: the policy sees nothing."""
    videos: int = 5
    """Videos of the first so many episodes."""
    shard: str | None = None
    """I/N: only this part of the episodes, in the folder shard-I-of-N within --out; join them with `nvila-edge report OUT --merge SHARD...`."""
    ray: str | None = None
    """Play on the machines of a Ray cluster: "auto" or HOST:PORT, or "local" for one that is started here; --workers on each, in shards."""

    def run(self) -> None:
        from sim.evaluate import EvalOptions, evaluate
        from sim.progress import Display
        from sim.throughput import last_words

        options = EvalOptions(**{name: value for name, value in vars(self).items() if name != "ray"})
        with Display() as display:
            if self.ray is None:
                summary = evaluate(options, display)
            else:
                from sim.ray_shards import evaluate_on_ray

                summary = evaluate_on_ray(options, self.ray, display)
        figures = "  ".join(f"{name} {summary[name]:.1f}" for name in ("SR", "SPL", "OS", "NE", "nDTW"))
        for what in ("left_out_episodes", "non_finite_episodes"):
            for episode in summary[what][:5]:
                print(f"{what[:-9].replace('_', ' ')}: episode {episode['episode_id']}: {episode['reason']}")
            if len(summary[what]) > 5:
                print(f"{what[:-9].replace('_', ' ')}: {len(summary[what]) - 5} more, see {options.folder / 'summary.json'}")
        report = options.folder / "report.html"
        told = f"report: {report}" if report.exists() else "no report: none of this shard's episodes could be played"
        print(f"{summary['episodes']} episodes: {figures}\n{last_words(options.folder)}{told}")
