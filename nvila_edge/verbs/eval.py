"""`nvila-edge eval`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nvila_edge.options.evaluation import EvalOptions


@dataclass(frozen=True)
class Eval(EvalOptions):
    """Measure a policy on a split: results.jsonl, summary.json, report.html, videos. The same command goes on after an interruption."""

    example: ClassVar[str] = "nvila-edge eval --policy engine --split val_unseen --episodes 60 --out runs/eval"
    workers: int = 2
    ray: str | None = None
    """Play on the machines of a Ray cluster: "auto" or HOST:PORT, or "local" for one that is started here; --workers on each, in shards."""

    def run(self) -> None:
        from sim.evaluate import evaluate
        from sim.progress import Display
        from sim.shards import folder_of
        from sim.throughput import last_words

        folder = folder_of(self)
        with Display() as display:
            if self.ray is None:
                summary = evaluate(self, display)
            else:
                from sim.ray_shards import evaluate_on_ray

                summary = evaluate_on_ray(self, self.ray, display)
        figures = "  ".join(f"{name} {summary[name]:.1f}" for name in ("SR", "SPL", "OS", "NE", "nDTW"))
        for what in ("left_out_episodes", "non_finite_episodes"):
            for episode in summary[what][:5]:
                print(f"{what[:-9].replace('_', ' ')}: episode {episode['episode_id']}: {episode['reason']}")
            if len(summary[what]) > 5:
                print(f"{what[:-9].replace('_', ' ')}: {len(summary[what]) - 5} more, see {folder / 'summary.json'}")
        report = folder / "report.html"
        told = f"report: {report}" if report.exists() else "no report: none of this shard's episodes could be played"
        print(f"{summary['episodes']} episodes: {figures}\n{last_words(folder)}{told}")
