"""Where a model runs: providers, threads, devices; and what a decoding step does not copy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nvila_edge import doctor
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.backends import BACKENDS
from nvila_edge.engines.backends import torch as torch_backend
from nvila_edge.engines.backends.onnxruntime import PROVIDERS, open_session
from nvila_edge.engines.cache import KeyValueCache, NewKeyValues
from nvila_edge.engines.greedy import causal
from nvila_edge.shipped import BUNDLE
from tests.tiny import TEXTS, save_tiny_checkpoint, tiny_frames


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


# A cache of 128 MiB; what the resident memory of a process grows by at most in one step over it, first as it is, then with arrays that must be copied.
GROWTH = """
import numpy as np
from pathlib import Path
from nvila_edge.engines import load_bundle
from nvila_edge.shipped import BUNDLE

def kb(name):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))

def step(cache):
    mask = np.zeros((1, cache.capacity + 1), np.float32)
    backend.step(np.zeros((1, engine.spec.language.hidden), np.float32), np.array([5]), mask, cache, np.array([0]))

engine = load_bundle(BUNDLE)
backend, small, large = engine.backend, engine.backend.cache(64), engine.backend.cache(65536)
large.keys[:], large.values[:] = 0.5, 0.25
step(small)
before = kb("VmRSS")
step(large)
plain = kb("VmHWM") - before
large.keys, large.values = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 2, 3)), 3, 2) for a in (large.keys, large.values))
before = kb("VmRSS")
step(large)
print(large.keys.nbytes * 2 // 1024, plain, kb("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_step_on_the_cpu_reads_the_cache_where_it_lies(repository: Path):
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, cwd=repository, timeout=60)
    assert done.returncode == 0, done.stderr
    size, plain, copied = map(int, done.stdout.split())
    assert size == 128 * 1024 and plain < size / 8, f"a step over a cache of {size} kB took {plain} kB"
    assert copied > size / 2, "what is measured would have shown a copy"


def test_new_positions_are_kept_in_any_slots():
    rng, cache = np.random.default_rng(0), KeyValueCache(2, 2, 4, 6)
    new = NewKeyValues(*([rng.standard_normal((1, 2, 5, 4), np.float32) for _ in range(2)] for _ in range(2)))
    for rows, slots in (([0], [4]), ([1, 2, 3], [0, 1, 2]), ([4, 0], [3, 5]), ([2, 3], [5, 1]), ([], [])):
        cache.write(new, rows, slots)
        for layer in range(2):
            for row, slot in zip(rows, slots, strict=True):
                assert np.array_equal(cache.keys[layer, 0, :, slot], new.keys[layer][0, :, row])
                assert np.array_equal(cache.values[layer, 0, :, slot], new.values[layer][0, :, row])


def test_the_cpu_s_provider_is_the_default_and_told():
    engine = load_bundle(BUNDLE)
    assert engine.runs_on == f"ONNX Runtime {onnxruntime.__version__}, CPUExecutionProvider"
    told = next(found for found in doctor.checks(BUNDLE) if found.name == "ONNX Runtime providers")
    assert told.state == doctor.OK and "CPUExecutionProvider" in told.text and "--backend may be onnxruntime" in told.text
    assert set(PROVIDERS) <= set(BACKENDS)


@pytest.mark.parametrize("backend", [name for name in PROVIDERS if name != "onnxruntime"])
def test_a_provider_that_is_not_here_is_refused_by_name(backend: str):
    if PROVIDERS[backend] in onnxruntime.get_available_providers():
        pytest.skip(f"{PROVIDERS[backend]} is here")
    with pytest.raises(ValueError, match=rf"knows .*CPUExecutionProvider has no {PROVIDERS[backend]}; .*nvila-edge\[gpu\]"):
        load_bundle(BUNDLE, backend)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu_in_silence(monkeypatch: pytest.MonkeyPatch):
    if PROVIDERS["onnxruntime-cuda"] in onnxruntime.get_available_providers():
        pytest.skip("it would start")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(PROVIDERS.values()))
    with pytest.raises(ValueError, match="CUDAExecutionProvider does not start here"):
        open_session(BUNDLE / "language.onnx", 1, "CUDAExecutionProvider")


def test_threads_that_the_machine_does_not_have_are_refused():
    cores = os.cpu_count() or 1
    for threads in (0, -1, cores + 1):
        with pytest.raises(ValueError, match=f"--threads {threads}: at least 1 and at most {cores}, the cores of this machine"):
            load_bundle(BUNDLE, threads=threads)


@pytest.mark.parametrize(("there", "wanted"), [(True, ("bfloat16", "cuda")), (False, ("float32", "cpu"))])
def test_a_checkpoint_runs_on_the_gpu_that_is_there(
    there: bool, wanted: tuple[str, str], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[object, ...]] = []
    opened = torch_backend.open_checkpoint(checkpoint, 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch_backend, "open_checkpoint", lambda *given: (asked.append(given), opened)[1])
    load_bundle(checkpoint, "torch")
    assert asked == [(checkpoint, 1, *wanted)]


def test_a_checkpoint_in_bfloat16_answers_as_in_float32_but_for_rounding(checkpoint: Path):
    exact, rounded = (Engine(*torch_backend.open_checkpoint(checkpoint, 1, dtype)) for dtype in ("float32", "bfloat16"))
    assert exact.runs_on.endswith("cpu, float32") and rounded.runs_on.endswith("cpu, bfloat16")
    assert rounded.backend.cache(3).keys.dtype == torch.bfloat16  # type: ignore[attr-defined]
    frames = tiny_frames(10)
    sessions = [(engine.encode(frames), engine.session(TEXTS[0])) for engine in (exact, rounded)]
    for index in range(len(frames)):
        a, b = (session.decide(tokens[index : index + 1]).candidates for tokens, session in sessions)
        assert a != b and np.abs(np.subtract(a, b)).max() < 0.05


class OneDevice(TorchDispatchMode):
    """Refuses operators over tensors of two devices, as CUDA does; copies from one to the other are the exception."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor) and one.dim()]
        if len({one.device for one in given}) > 1 and "copy" not in func.__name__:
            raise RuntimeError(f"{func} over two devices")
        return func(*args, **(kwargs or {}))


def test_everything_a_pass_needs_goes_to_the_device_of_the_model(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    """On torch's meta device, which computes nothing."""
    spec, _, table, backend = torch_backend.open_checkpoint(checkpoint, 1)
    backend._llm.to("meta")  # pyright: ignore[reportArgumentType]  transformers wraps `to`
    backend._encoder._tower.to("meta")
    backend._encoder._projector.to("meta")
    backend = torch_backend.TorchBackend(spec, backend._encoder._tower, backend._encoder._projector, backend._llm, 1)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: torch.zeros(self.shape, dtype=self.dtype))
    size, n = spec.vision.image_size, 4
    with OneDevice():
        with pytest.raises(RuntimeError, match="over two devices"):
            backend._llm.lm_head(torch.zeros(1, spec.language.hidden))
        tokens = backend.encode(np.zeros((2, 3, size, size), np.float32))
        logits, new = backend.prefill(table[:n], np.arange(n), causal(n), backend.cache(0), np.array([1, 3]))
        cache = backend.cache(8)
        cache.write(new, list(range(n)), cache.take(n))
        step, _ = backend.step(table[:1], np.array([n]), np.zeros((1, 9), np.float32), cache, np.array([0]))
    assert cache.keys.device.type == new[0].device.type == "meta" and "meta" in backend.runs_on
    assert tokens.shape == (2, spec.vision.tokens, spec.language.hidden)
    assert logits.shape == (2, spec.language.vocab) and step.shape == (1, spec.language.vocab)
