"""The engine: encode frames, follow instructions, answer prompts. Written once over the three calls of a backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nvila_edge.engines import generate as free_text
from nvila_edge.engines.backends import BACKENDS, Backend
from nvila_edge.engines.inputs import Inputs
from nvila_edge.engines.manifest import EMBEDDING, NAME, BundleError, Manifest, read_manifest
from nvila_edge.engines.session import Session, StreamSession, WindowSession
from nvila_edge.engines.spec import EngineSpec
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK, ChatTokenizer
from nvila_edge.navigation.agent_profiles import OURS
from nvila_edge.options.backend import checked_threads

MAX_INSTRUCTION_TOKENS = 448  # attention over them costs their square, and 2,000 characters can be 8,000 tokens


class Engine(Inputs):
    """A loaded model: `encode` (see Inputs), `session`, `generate`."""

    def __init__(self, spec: EngineSpec, tokenizer: ChatTokenizer, embedding: np.ndarray, backend: Backend, agent: str = OURS.name) -> None:
        super().__init__(spec, tokenizer, embedding, backend)
        self.backend = backend
        self.agent = agent  # that the model is meant for, by name

    @property
    def runs_on(self) -> str:
        """The backend's library, and what of the machine it works on."""
        return self.backend.runs_on

    def session(self, instruction: str) -> Session:
        """A session that follows `instruction` under the model's prompt profile. Raises ValueError for an empty or overlong instruction."""
        if IMAGE_MARK in instruction or VIDEO_MARK in instruction:
            raise ValueError(f"the instruction contains {IMAGE_MARK} or {VIDEO_MARK}, which stand for pictures; say it in words only")
        length = len(self.tokenizer.encode(instruction))
        if length > MAX_INSTRUCTION_TOKENS:
            raise ValueError(
                f"the instruction has {length} tokens; at most {MAX_INSTRUCTION_TOKENS} are allowed, about 300 words: shorten it"
            )
        return StreamSession(self, instruction) if self.profile.keeps_past else WindowSession(self, instruction)

    def generate(
        self,
        prompt: str,
        images: free_text.Pictures | None = None,
        video: free_text.Pictures | None = None,
        max_new_tokens: int = 64,
    ) -> str:
        """The greedy answer to one user turn; "<image>" and "<vila/video>" in the prompt mark the media, in order: PIL images or uint8
        [H, W, 3] RGB arrays. Raises ValueError when marks and media do not match, or `max_new_tokens` is below 1."""
        return free_text.generate(self, prompt, images, video, max_new_tokens)


def load_bundle(folder: str | Path, backend: str = "onnxruntime", threads: int = 1) -> Engine:
    """Open a bundle, after checking every file's hash; backend "torch" also opens a checkpoint folder, unquantised: in bfloat16 on a GPU
    where there is one, else in float32.

    threads: cores that one pass may use. Raises BundleError (a ValueError) for a folder that cannot be used and ValueError for an unknown
    backend, one that this machine cannot run, and a number of threads that it does not have.
    """
    root = Path(folder)
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; allowed: {', '.join(BACKENDS)}")
    checked_threads(threads)
    if backend == "torch" and not (root / NAME).is_file():
        import torch

        from nvila_edge.engines.backends.torch import device_and_dtype, open_checkpoint

        device, dtype = device_and_dtype(torch.cuda.is_available())
        return Engine(*open_checkpoint(root, threads, dtype, device))
    manifest = read_manifest(root)
    spec = manifest.spec
    try:
        embedding = np.load(root / EMBEDDING, mmap_mode="r", allow_pickle=False)
        tokenizer = ChatTokenizer.from_folder(root, spec.template)
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"{root} cannot be read ({error}); export it again (nvila-edge export CKPT OUT)") from error
    if embedding.shape != (spec.language.vocab, spec.language.hidden):
        raise BundleError(
            f"{root / EMBEDDING} has shape {list(embedding.shape)}, the manifest says {[spec.language.vocab, spec.language.hidden]}"
        )
    return Engine(spec, tokenizer, embedding, _open(root, manifest, backend, threads), manifest.agent)


def _open(root: Path, manifest: Manifest, backend: str, threads: int) -> Backend:
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            from nvila_edge.engines.backends.torch_quantised import open_on_gpu

            return open_on_gpu(root, manifest.spec)
        from nvila_edge.engines.backends.torch import open_quantised

        return open_quantised(root, manifest.spec, threads)
    if backend == "tensorrt":
        from nvila_edge.engines.backends.tensorrt import TensorRTBackend

        return TensorRTBackend(root, manifest)
    from nvila_edge.engines.backends.onnxruntime import PROVIDERS, OnnxRuntimeBackend

    return OnnxRuntimeBackend(root, manifest.spec, threads, PROVIDERS[backend])
