"""Builds the engines of a bundle for one GPU architecture, from the quantised weights that the bundle already holds.

The graphs are written anew in float16 (Q/DQ and INT4 blocks as they are), parsed as strongly typed networks and built with two profiles:
prefill (many positions) and decode (one). What is built lies in `tensorrt/<architecture>/` of the bundle, listed in its manifest.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.bundle import locked, save_manifest
from export.language_graph import write_language_graph
from export.vision_graph import write_projector_graph, write_vision_graph
from nvila_edge.engines.backends.cuda_memory import Stream
from nvila_edge.engines.backends.tensorrt_engines import ABOUT, EngineInfo, Shapes, folder_of, graphs_of, inputs_and_outputs
from nvila_edge.engines.backends.tensorrt_library import Library, TensorRTError, library
from nvila_edge.engines.initialisers import LanguageWeights, VisionWeights
from nvila_edge.engines.manifest import Manifest, file_digest, read_manifest
from nvila_edge.engines.spec import EngineSpec
from nvila_edge.engines.weights import Weight
from nvila_edge.gpu import gpu_is_there

Profile = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]  # input -> least, usual and largest shape
Progress = Callable[[str, int, int], None]


def build_engines(bundle: str | Path, target: str, arch: str | None, progress: Progress) -> Path:
    """Build both engines and list them in the manifest; returns their folder.

    arch: "sm89" and the like, as `Library.architectures` tells; None builds for this machine's GPU. Raises BundleError for a bundle that
    cannot be used, ValueError for an architecture that cannot be built for, TensorRTError when the library is missing or refuses a graph.
    Nothing half-built is listed.
    """
    with locked(Path(bundle)) as root:
        return _build(root, target, arch, progress)


def _build(root: Path, target: str, arch: str | None, progress: Progress) -> Path:
    manifest, found = read_manifest(root), library(target)
    aim, told = aimed(found, arch, this_gpu)
    out = folder_of(root, aim)
    aside = out.with_name(f"{out.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        shapes, graphs = Shapes.of(manifest.spec), graphs_of(manifest.spec)
        with tempfile.TemporaryDirectory(dir=aside) as written:
            for index, (name, graph) in enumerate(_written(root, manifest.spec, Path(written))):
                progress(f"engines for {aim}", index, len(graphs))
                engine = build(found, graph, told, shapes.profiles(name, manifest.spec), inputs_and_outputs(name, manifest.spec))
                (aside / f"{name}.engine").write_bytes(engine)
        info = EngineInfo(target, found.version, aim, shapes, {name: manifest.files[f"{name}.onnx"][0] for name in graphs})
        (aside / ABOUT).write_text(json.dumps(info.to_json(), indent=1, sort_keys=True) + "\n")
        manifest = _without(manifest, str(out.relative_to(root)))
        save_manifest(root, manifest)  # so that a kill between these steps leaves a bundle without engines, not a broken one
        shutil.rmtree(out, ignore_errors=True)
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    built = {str(path.relative_to(root)): file_digest(path) for path in sorted(out.iterdir())}
    save_manifest(root, replace(manifest, files={**manifest.files, **built}))
    progress(f"engines for {aim}", len(graphs), len(graphs))
    return out


def check_target(target: str, archs: Sequence[str | None]) -> Library:
    """The library for a target. Raises ValueError for an architecture that it cannot build for here, TensorRTError when it is not installed."""
    found = library(target)
    for arch in archs:
        aimed(found, arch, this_gpu)
    return found


def this_gpu() -> str | None:
    """The architecture of this machine's GPU, as the runtime will ask for it; None without one. Raises TensorRTError when it does not answer."""
    return Stream().architecture() if gpu_is_there() else None


def aimed(found: Library, arch: str | None, this_gpu: Callable[[], str | None]) -> tuple[str, str | None]:
    """The architecture to build for by its name, and what the builder is told of it: None when it is this machine's own GPU, which every library
    builds for. Raises ValueError for one that cannot be built for here."""
    if arch is not None and arch in found.architectures:
        return arch, arch
    here = this_gpu()
    if here is not None and arch in (None, here):
        return here, None
    allowed = ", ".join([*found.architectures, *([here] if here else [])]) or "none, for this machine has no NVIDIA GPU"
    if arch is None:
        raise ValueError(f"this machine has no NVIDIA GPU to build for; name one with --arch: {allowed}")
    raise ValueError(f"{found.target} {found.version} cannot build for {arch!r} here; allowed: {allowed}")


def _written(root: Path, spec: EngineSpec, folder: Path) -> Iterator[tuple[str, Path]]:
    """The graphs in float16, one at a time; weights in an external file, as the parser maps it."""
    for name in graphs_of(spec):
        path = folder / f"{name}.onnx"
        args = ("float16", folder / f"{name}.data", "float16")
        layers: Iterator[Mapping[str, Weight]]
        if name == "language":
            language = LanguageWeights(root, spec)
            layers = (language.layer(i) for i in range(spec.language.layers))
            write_language_graph(path, spec.language, layers, language.norm(), language.head(), *args)
        elif name == "vision":
            vision = VisionWeights(root, spec)
            layers = (vision.layer(i) for i in range(spec.vision.layers))
            write_vision_graph(path, spec.vision, vision.stem(), layers, vision.projector(), *args)
        else:
            write_projector_graph(path, spec.vision, VisionWeights(root, spec).projector(), *args)
        yield name, path


def build(
    found: Library, graph: Path, arch: str | None, profiles: Sequence[Profile], interface: Mapping[str, tuple[str, tuple[int, ...]]]
) -> bytes:
    """A serialised engine of an ONNX file, read back. Raises TensorRTError with what the parser or builder said, or when its inputs and
    outputs are not `interface`.
    """
    trt, logger = found.module, found.logger()
    builder = trt.Builder(logger)
    network = found.network(builder)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        said = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
        raise TensorRTError(f"{found.target} {found.version} refuses {graph.name}: {'; '.join(said)}")
    _check_interface(network, graph.name, interface)
    config = builder.create_builder_config()
    if arch is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, arch.upper()), 0)
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        for name, (least, usual, largest) in shapes.items():
            profile.set_shape(name, least, usual, largest)
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise TensorRTError(f"{found.target} {found.version} could not build {graph.name}: {'; '.join(logger.said)}")
    serialised = bytes(engine)
    _check_readable(found, serialised, graph.name, interface)
    return serialised


def _without(manifest: Manifest, folder: str) -> Manifest:
    """The manifest without the files of a folder."""
    return replace(manifest, files={name: entry for name, entry in manifest.files.items() if not name.startswith(f"{folder}/")})


def _check_interface(network: Any, graph: str, wanted: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Raises TensorRTError unless the typed network takes and gives exactly what the runtime will bind."""
    tensors = [*(network.get_input(i) for i in range(network.num_inputs)), *(network.get_output(i) for i in range(network.num_outputs))]
    found = {tensor.name: (tensor.dtype.name, tuple(tensor.shape)) for tensor in tensors}
    wrong = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if wrong:
        said = "; ".join(f"{name}: {found.get(name, 'missing')}, wanted {wanted.get(name, 'nothing')}" for name in wrong[:3])
        raise TensorRTError(f"{graph} has other inputs and outputs than the runtime binds: {said}")


def _check_readable(found: Library, engine: bytes, graph: str, wanted: Mapping[str, object]) -> None:
    """Reads the engine back: its header by the library itself (that part needs no GPU), and that it names every input and output."""
    check = getattr(found.module.Runtime(found.logger()), "get_engine_validity", None)
    if check is not None and check(engine)[1] != 0:  # (verdict, diagnostics); without a GPU the verdict is always "invalid"
        raise TensorRTError(f"{found.target} {found.version} cannot read the engine that it built of {graph}")
    missing = [name for name in wanted if name.encode() not in engine]
    if missing:
        raise TensorRTError(f"the engine of {graph} lacks {', '.join(missing)}")
