"""`nvila-edge replay`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tyro.conf import Positional

from nvila_edge.options.backend import BackendName
from nvila_edge.shipped import BUNDLE


@dataclass(frozen=True)
class Replay:
    """Show a recording's frames to a model again and compare its decisions with the recorded ones, each after what was executed then."""

    example: ClassVar[str] = "nvila-edge replay runs/walk --bundle nvila_edge/assets/bundle --out runs/replay"
    run_folder: Positional[Path]
    """Recording: the folder that `nvila-edge agent --record` wrote, or an .mcap file."""
    bundle: Path | None = None
    """Bundle that answers; the built-in one when neither this nor --server is given."""
    server: str | None = None
    """Address of a running server that answers instead."""
    backend: BackendName = "onnxruntime"
    """What runs the bundle."""
    keys: Path | None = None
    """Folder of this client's keys, for a server on another computer."""
    out: Path | None = None
    """Folder for replay.json and replay.html."""

    def run(self) -> None:
        from agents.recording.reader import read_recording

        if self.bundle is not None and self.server is not None:
            raise ValueError("--bundle and --server both say who answers; give one of them")
        if self.out is not None and self.out.is_file():
            raise ValueError(f"--out {self.out} is a file; give a folder")
        recording = read_recording(self.run_folder)
        comparison = self._compare(recording)
        print(_table(comparison))
        if not recording.whole:
            print("beware: the recording does not begin with its episode or misses decisions; a model may answer otherwise for that alone")
        if self.out is not None:
            self._write(comparison, self.out)

    def _compare(self, recording: Any) -> Any:
        from agents.replay import replay

        if self.server is not None:
            return replay(recording, self.server, keys=self.keys)
        from nvila_edge.serving.process import start_server

        bundle = self.bundle or BUNDLE
        with start_server(bundle, backend=self.backend) as server:
            return replay(recording, server.address, str(bundle))

    def _write(self, comparison: Any, out: Path) -> None:
        from agents.recording.messages import plain
        from sim.report.recording import write_page

        out.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "n": pair.recorded.n, "recorded": pair.recorded.decision.text, "now": pair.now.text, "agrees": pair.agrees, "shift": pair.shift,
                "latency_ms": pair.latency_ms, "recorded_latency_ms": pair.recorded.latency_ms,
            }
            for pair in comparison.pairs
        ]  # fmt: skip
        content = {"recording": comparison.recording.about, "whose": comparison.whose, **comparison.figures(), "decisions_list": rows}
        (out / "replay.json").write_text(json.dumps(plain(content), indent=1, ensure_ascii=False) + "\n")
        print(write_page(comparison.recording, comparison, out / "replay.html"))


def _table(comparison: Any) -> str:
    lines = []
    for pair in comparison.pairs:
        if not pair.agrees:
            shift = "" if pair.shift is None else f"  shift {pair.shift:.2f}"
            lines.append(f"decision {pair.recorded.n}: {pair.recorded.decision.text!r} -> {pair.now.text!r}{shift}")
    figures = comparison.figures()
    agreed = sum(pair.agrees for pair in comparison.pairs)
    shown = [*lines[:20], *([f".. and {len(lines) - 20} more"] if len(lines) > 20 else [])]
    rows = [
        ("agreement", f"{100 * figures['agreement']:.1f} % ({agreed} of {len(comparison.pairs)} decisions)"),
        ("probability shift", f"mean {figures['shift_mean']:.4f}, most {figures['shift_max']:.4f}"),
        ("recorded, capture to action", f"p50 {figures['recorded_p50_ms']:.1f} ms, p95 {figures['recorded_p95_ms']:.1f} ms"),
        ("now, question to answer", f"p50 {figures['now_p50_ms']:.1f} ms, p95 {figures['now_p95_ms']:.1f} ms"),
    ]
    return "\n".join([*shown, *(f"{name:<28} {value}" for name, value in rows)])
