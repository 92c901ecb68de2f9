"""`nvila-edge VERB`: thin. A verb is a frozen dataclass (its options) with run(); each imports what it needs when it runs.

Nothing else in nvila_edge imports agents, sim or export.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import tyro
from tyro.conf import Positional

from nvila_edge import __version__

_ASSETS = Path(__file__).resolve().parent / "assets"
_OURS = ("nvila_edge", "agents", "sim", "export")


@dataclass(frozen=True)
class Demo:
    """Drive the built-in model through houses it has never seen; leaves figures, a report and a video of every episode."""

    example: ClassVar[str] = "nvila-edge demo --out runs/demo"
    out: Path = Path("runs/demo")
    """Folder for results, report and videos; an earlier demo in it is replaced."""
    episodes: int = 12
    """How many episodes, in as many houses as possible."""
    workers: int = 2
    """Simulator processes."""

    def run(self) -> None:
        from sim.demo import run_demo
        from sim.progress import Display

        with Display() as display:
            message = run_demo(self.out, self.episodes, self.workers, display)
        print(message)


@dataclass(frozen=True)
class Serve:
    """Serve a bundle to agents until Ctrl-C."""

    example: ClassVar[str] = "nvila-edge serve --bind tcp://127.0.0.1:5555"
    bundle: Path = _ASSETS / "bundle"
    """Bundle folder; the built-in one when left out."""
    bind: str = "tcp://127.0.0.1:5555"
    """Loopback address to listen on; port * picks a free one."""
    backend: Literal["onnxruntime", "tensorrt", "torch"] = "onnxruntime"
    """What runs the engines; tensorrt needs those that `nvila-edge export --target tensorrt-rtx` built."""

    def run(self) -> None:
        from nvila_edge.serving.main import serve

        def announce(line: dict[str, Any]) -> None:
            print(f"serving {self.bundle} on {line['address']}, profile {line['profile']}; Ctrl-C ends it", flush=True)

        serve(self.bundle, self.bind, announce=announce, backend=self.backend)


@dataclass(frozen=True)
class Agent:
    """Follow one instruction with a camera and a robot; the model runs in a server."""

    example: ClassVar[str] = 'nvila-edge agent --server tcp://127.0.0.1:5555 --camera frames/ --instruction "Go to the sofa." --dry-run'
    server: str
    """Address of a running `nvila-edge serve`."""
    camera: str
    """webcam, webcam:N, /dev/videoN, a folder of images, one image, or a video file."""
    instruction: str
    """Where to go, in words."""
    robot: Literal["dry-run"] = "dry-run"
    """What moves; dry-run only says what it would do."""
    dry_run: bool = False
    """Decide, but move nothing, whatever the robot is."""
    view: int | None = None
    """Port of a page on this computer that shows the camera with the decision drawn over it; 0 picks a free one."""

    def run(self) -> None:
        from agents.main import run_agent
        from agents.view import LiveView

        view = None if self.view is None else LiveView(self.view, self.instruction)
        if view is not None:
            print(f"live view: {view.url}", flush=True)

        def tell(event: Any) -> None:
            _tell(event)
            if view is not None:
                view(event)

        robot = "dry-run" if self.dry_run else self.robot
        ended = run_agent(self.server, self.camera, self.instruction, robot=robot, on_event=tell)
        if ended.fault:
            raise SystemExit(1)


@dataclass(frozen=True)
class Eval:
    """Measure a policy on a split: results.jsonl, summary.json, report.html, videos. The same command goes on after an interruption."""

    example: ClassVar[str] = "nvila-edge eval --policy engine --split val_unseen --episodes 60 --out runs/eval"
    out: Path
    """Folder for everything; one evaluation per folder."""
    env: Literal["house"] = "house"
    """The generated houses."""
    dataset: str = "builtin"
    """"builtin", or a folder that `nvila-edge data houses` made."""
    split: str = "val_unseen"
    """train, val_seen or val_unseen."""
    policy: Literal["engine", "oracle", "random", "forward"] = "engine"
    """engine: a bundle behind a server process; oracle: the expert; random: draws from the expert's actions; forward: always ahead."""
    bundle: Path | None = None
    """Bundle folder for the engine policy, or a checkpoint folder to run it unquantised in torch; the built-in bundle when left out."""
    episodes: int | None = None
    """How many, evenly spread over the split; all when left out."""
    workers: int = 2
    """Simulator processes; results do not depend on it."""
    seed: int = 0
    """Of the random policy and of swapped instructions."""
    instructions: Literal["own", "swapped"] = "own"
    """swapped: each episode gets the instruction of another one of its house whose goal is 5 m or more away."""
    frames: Literal["camera", "black"] = "camera"
    """black: the policy sees nothing."""
    videos: int = 5
    """Videos of the first so many episodes."""

    def run(self) -> None:
        from sim.evaluate import EvalOptions, evaluate
        from sim.progress import Display

        with Display() as display:
            summary = evaluate(EvalOptions(**vars(self)), display)
        figures = "  ".join(f"{name} {summary[name]:.1f}" for name in ("SR", "SPL", "OS", "NE", "nDTW"))
        print(f"{summary['episodes']} episodes: {figures}\nreport: {self.out / 'report.html'}")


@dataclass(frozen=True)
class Report:
    """Write report.html of an evaluation anew, or beside a second one with paired tests."""

    example: ClassVar[str] = "nvila-edge report runs/eval"
    out: Positional[Path]
    """Folder of an evaluation; the report is written there."""
    other: Positional[Path | None] = None
    """Folder of a second evaluation, on the same episodes, to compare with."""

    def run(self) -> None:
        from sim.report import build_report

        print(build_report(self.out, self.other))


@dataclass(frozen=True)
class Chat:
    """Ask a checkpoint or a bundle about images or a video: one question with --prompt, else a conversation line by line."""

    example: ClassVar[str] = 'nvila-edge chat nvila_edge/assets/bundle --image photo.jpg --prompt "Which room is this?"'
    model: Positional[str]
    """Checkpoint folder, hub id (owner/name) or bundle folder."""
    prompt: str | None = None
    """The question; when left out, questions are read until the end of input, "exit" or Ctrl-C."""
    image: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """An image file; may be given several times."""
    video: Path | None = None
    """A video file, or a folder of images in the order of their names."""
    max_new_tokens: int = 256
    """Longest answer."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Of a checkpoint's weights; as stored when left out."""
    device: str | None = None
    """Where a checkpoint runs; cuda when there is one, else cpu."""
    temperature: float = 0.0
    """0 is greedy; above it, answers of a checkpoint are sampled."""
    top_p: float = 1.0
    """Sample from the likeliest tokens with this much probability."""
    seed: int = 0
    """Of sampling."""
    frames: int | None = None
    """How many frames of the video; as the checkpoint says when left out."""
    frames_as_images: bool = False
    """Show the video's frames as single images, past the video encoder, as newer releases of VILA do."""

    def run(self) -> None:
        from nvila_edge.chat import ChatOptions, chat

        chat(ChatOptions(**vars(self)), sys.stdin, sys.stdout, sys.stderr)


@dataclass(frozen=True)
class Bench:
    """Latency and memory of a bundle on this machine: encoding a frame, prefilling, decoding, deciding; p50, p95 and p99."""

    example: ClassVar[str] = "nvila-edge bench nvila_edge/assets/bundle --vs nvila_edge/assets/checkpoint"
    bundle: Positional[Path]
    """Bundle folder."""
    vs: Path | None = None
    """A second bundle, or a checkpoint (unquantised, in torch), measured in turn with the first."""
    decisions: int = 200
    """How many decisions are timed, in episodes of 40."""
    threads: int = 1
    """Threads of the runtime."""
    backend: Literal["onnxruntime", "tensorrt", "torch"] = "onnxruntime"
    """What runs bundles."""
    out: Path | None = None
    """Folder for bench.json and bench.html."""

    def run(self) -> None:
        from export.bench import bench, page, table

        if self.out is not None and self.out.is_file():
            raise ValueError(f"--out {self.out} is a file; give a folder")
        result = bench([self.bundle, *([self.vs] if self.vs else [])], self.decisions, self.threads, self.backend)
        print(table(result))
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "bench.json").write_text(result.to_json() + "\n")
            (self.out / "bench.html").write_text(page(result))


def _calibration(source: str, split: str, houses: int, seed: int) -> Any:
    """What export calibrates with and verify compares on: of a folder, or ("builtin") the expert in generated houses."""
    from export.calibration import Calibration, Recording, read_calibration

    if source != "builtin":
        return read_calibration(source)
    from sim.recordings import expert_recordings

    print(f"recording the expert in {houses} houses of {split} …", flush=True)
    recordings = [Recording(*parts) for parts in expert_recordings(split, houses, 2, seed)]
    return Calibration(recordings, name=f"expert, {houses} houses of {split}, seed {seed}")


@dataclass(frozen=True)
class Export:
    """Make a bundle from a checkpoint: ONNX graphs, quantised weights, tokenizer, manifest."""

    example: ClassVar[str] = "nvila-edge export runs/train/builtin/checkpoint runs/bundle"
    checkpoint: Positional[str]
    """Checkpoint: a folder in any published layout or a hub id; or a bundle, to which engines are added."""
    out: Positional[Path]
    """Bundle folder to make (for a bundle: itself, or where a copy goes)."""
    vision: Literal["w8a8", "fp16", "fp32"] = "w8a8"
    """How the vision tower is stored and run."""
    language: Literal["w4a16", "fp16", "fp32"] = "w4a16"
    """How the language model is stored and run."""
    target: Literal["onnx", "tensorrt", "tensorrt-rtx"] = "onnx"
    """What runs it: ONNX Runtime alone, or engines for a GPU besides."""
    arch: str | None = None
    """GPU architectures to build for, as sm86,sm89 (TensorRT-RTX, on any machine); left out: this machine's GPU."""
    calibration: str = "builtin"
    """"builtin": the expert's decisions in houses of train; or a folder of .npz recordings (export.calibration.write_recording) and pictures."""

    def run(self) -> None:
        from export.bundle import copied_bundle, is_bundle
        from export.exporter import export_bundle
        from export.tensorrt import build_engines, check_target
        from export.verify import Accuracy
        from nvila_edge.progress import Estimate

        estimate = Estimate()

        def progress(what: str, done: int, total: int) -> None:
            print(estimate.line(what, done, total), flush=True)

        archs = self.arch.split(",") if self.arch else [None]
        if self.target != "onnx":
            check_target(self.target, archs)
        elif self.arch:
            raise ValueError(f"--arch {self.arch} needs --target tensorrt-rtx; ONNX graphs are the same for every machine")
        if is_bundle(self.checkpoint):
            if (self.vision, self.language, self.calibration) != ("w8a8", "w4a16", "builtin"):
                raise ValueError(
                    f"{self.checkpoint} is a bundle, quantised already; --vision, --language and --calibration need its checkpoint"
                )
            copied_bundle(Path(self.checkpoint), self.out)
        else:
            seen = _calibration(self.calibration, "train", 12, seed=1)
            judged_on = _calibration("builtin", "val_unseen", 4, seed=2)
            manifest = export_bundle(self.checkpoint, self.out, seen, self.vision, self.language, judged_on.recordings, progress)
            print(
                "\n".join(f"beware: {failure}" for failure in Accuracy(**manifest.about["accuracy"]).failures())
                or "accuracy: within its gates"
            )
        for arch in archs if self.target != "onnx" else ():
            build_engines(self.out, self.target, arch, progress)
        size = sum(file.stat().st_size for file in self.out.rglob("*") if file.is_file())
        print(f"{self.out}: {size / 1e6:.1f} MB")


@dataclass(frozen=True)
class Verify:
    """Compare a bundle with the checkpoint that it was made from, on recorded decisions; fails when it is too far off."""

    example: ClassVar[str] = "nvila-edge verify runs/bundle --against runs/train/builtin/checkpoint"
    bundle: Positional[Path]
    """Bundle folder."""
    against: Path
    """Checkpoint folder (published layout), run unquantised in torch."""
    recordings: str = "builtin"
    """"builtin": the expert's decisions in houses of val_unseen; or a folder as for `nvila-edge export --calibration`."""
    backend: Literal["onnxruntime", "tensorrt", "torch"] = "onnxruntime"
    """What runs the bundle."""

    def run(self) -> None:
        from export.verify import verify_bundle

        seen = _calibration(self.recordings, "val_unseen", 10, seed=2)
        accuracy = verify_bundle(self.bundle, self.against, seen.recordings, self.backend)
        print("\n".join(f"{key:<22} {value}" for key, value in accuracy.to_json().items()))
        failures = accuracy.failures()
        print("\n".join(f"FAIL: {failure}" for failure in failures) or f"the bundle answers as the checkpoint does ({seen.name})")
        if failures:
            raise SystemExit(1)


@dataclass(frozen=True)
class Train:
    """Train a model from a recipe; the same command goes on after an interruption. Uses a GPU when there is one."""

    example: ClassVar[str] = "nvila-edge train builtin --out runs/train dagger.rounds=5"
    recipe: Positional[str]
    """Name of a built-in recipe, or a YAML file."""
    overrides: Positional[tuple[str, ...]] = ()
    """key=value, dots reach into sections."""
    out: Path | None = None
    """Working folder; runs/train/RECIPE when left out."""

    def run(self) -> None:
        from nvila_edge.training.recipe import load_recipe

        recipe = load_recipe(self.recipe, self.overrides)  # before the seconds that torch takes
        from sim.dagger import DaggerRun

        out = self.out or Path("runs/train") / recipe.name
        print(f"checkpoint: {DaggerRun(recipe, out, lambda line: print(line, flush=True)).run()}")


@dataclass(frozen=True)
class DataHouses:
    """Generate houses and episodes: R2R_VLNCE files, GLB scenes, and a report of what the episodes are like."""

    example: ClassVar[str] = "nvila-edge data houses --out runs/houses --split val_unseen --houses 3 --episodes 12"
    out: Path
    """Folder of the dataset."""
    split: Literal["train", "val_seen", "val_unseen"] = "val_unseen"
    """val_seen: other episodes in the houses of train."""
    houses: int = 30
    """How many houses."""
    episodes: int = 300
    """How many episodes, evenly spread."""
    seed: int = 0
    """Of the episodes; houses follow from their names alone."""

    def run(self) -> None:
        from sim.dataset import build_dataset
        from sim.dataset_report import write_report
        from sim.episodes import load_split

        def progress(done: int) -> None:
            print(f"{done} of {self.episodes} episodes", flush=True)

        path = build_dataset(self.out, self.split, self.houses, self.episodes, self.seed, progress=progress)
        figures = write_report(load_split(self.out, self.split), self.out / f"{self.split}.html")
        print(f"{path}\n{self.out / f'{self.split}.html'}: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))


@dataclass(frozen=True)
class Doctor:
    """Check this machine and installation, or describe a checkpoint. Fails for what is broken, not for parts that are not installed."""

    example: ClassVar[str] = "nvila-edge doctor"
    checkpoint: Positional[str | None] = None
    """Checkpoint folder, or hub id of one that is here already: says what it is, and what it needs; the machine when left out."""

    def run(self) -> None:
        if self.checkpoint is not None:
            from nvila_edge.describe import describe
            from nvila_edge.gpu import gpus

            description = describe(self.checkpoint)
            return print("\n".join([str(description), *description.fits(gpus())]))
        from nvila_edge.doctor import FAIL, Check, checks

        def render() -> str:
            from sim.renderer import Renderer

            Renderer(32, 32).close()
            return "off-screen rendering works"

        found = checks(_ASSETS / "bundle", [Check("OpenGL over EGL (sim)", render)])
        for finding in found:
            print(f"{finding.state:<8}  {finding.name}: {finding.text}")
        if any(finding.state == FAIL for finding in found):
            raise SystemExit(1)


VERBS: dict[str, type] = {
    "demo": Demo, "serve": Serve, "agent": Agent, "eval": Eval, "report": Report, "chat": Chat, "export": Export, "verify": Verify,
    "bench": Bench, "train": Train, "data houses": DataHouses, "doctor": Doctor,
}  # fmt: skip


def _tell(event: Any) -> None:
    """One line per event that people care about."""
    from agents.events import Decided, Ended, ServerBack, ServerLost, Withheld

    match event:
        case Decided(decision=decision, latency_ms=latency_ms):
            print(f"{decision.text}  (p {decision.probability:.2f}, {latency_ms:.0f} ms)", flush=True)
        case Withheld(message=message) | ServerLost(message=message):
            print(f"halted: {message}", flush=True)
        case ServerBack(outage_ms=outage_ms):
            print(f"the server is back after {outage_ms / 1000:.1f} s", flush=True)
        case Ended(reason=reason, message=message, primitives=primitives):
            print(f"ended: {reason} after {primitives} steps" + (f" ({message})" if message else ""), flush=True)


def usage() -> str:
    """The list of verbs."""
    lines = "\n".join(f"  {name:<12} {_summary(verb)}" for name, verb in VERBS.items())
    about = "NVILA on a robot's own computer. `nvila-edge VERB --help` shows options and an example."
    return f"usage: nvila-edge VERB [options]\n\n{about}\n\n{lines}"


def _summary(verb: type) -> str:
    return textwrap.shorten((verb.__doc__ or "").split(";")[0].split(":")[0].split(". ")[0].rstrip("."), 100)


def parse(arguments: Sequence[str]) -> Any:
    """The verb with its options, ready to run. Exits with a message, as command-line programs do, for anything that is not allowed."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in VERBS:
            verb = VERBS[name]
            description = f"{verb.__doc__}\n\nexample:\n  {verb.example}"
            return tyro.cli(
                verb, prog=f"nvila-edge {name}", description=description, args=arguments[words:], config=(tyro.conf.FlagCreatePairsOff,)
            )
    groups = {name.split()[0] for name in VERBS if " " in name}
    if arguments and arguments[0] == "--version":
        print(f"nvila-edge {__version__}")
        raise SystemExit(0)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0)
    if arguments[0] in groups and set(arguments[1:]) <= {"-h", "--help"}:
        for name, verb in VERBS.items():
            if name.split()[0] == arguments[0]:
                print(f"nvila-edge {name}: {_summary(verb)}\n  example: {verb.example}")
        raise SystemExit(0)
    print(f"nvila-edge: unknown verb {' '.join(arguments[:1])!r}\n\n{usage()}", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 fine, 1 something failed on the way, 2 the request cannot be, 130 interrupted."""
    verb = parse(list(sys.argv[1:] if arguments is None else arguments))
    try:
        verb.run()
    except KeyboardInterrupt:
        print("\nstopped; what is finished stays", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        from nvila_edge.doctor import mend

        command = mend(error.name)
        if command is None:
            raise
        print(f"error: the package {error.name!r} is not installed; mend it with: {command}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if type(error).__module__.split(".")[0] not in _OURS:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
