"""What runs a model, and with how many threads: asked for by several verbs, checked in one place."""

from __future__ import annotations

import os
from typing import Literal

BackendName = Literal["onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt-rtx", "tensorrt", "torch"]


def checked_threads(threads: int) -> int:
    """The same. Raises ValueError for fewer than one thread, or more than this machine has cores: they would only wait for each other."""
    most = os.cpu_count() or 1
    if not 1 <= threads <= most:
        raise ValueError(f"--threads {threads}: at least 1 and at most {most}, the cores of this machine")
    return threads
