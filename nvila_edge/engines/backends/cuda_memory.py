"""Device memory, copies and captured graphs on one CUDA stream, through NVIDIA's own bindings: no torch on a robot's computer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from nvila_edge.engines.backends.tensorrt_library import TensorRTError

ALIGNMENT = 256  # bytes; what TensorRT asks of every address


def _runtime() -> Any:
    try:
        from cuda.bindings import runtime  # type: ignore[attr-defined]  a compiled module
    except ImportError:
        raise TensorRTError('the CUDA bindings are not installed; pip install "nvila-edge[tensorrt]"') from None
    return runtime


class Stream:
    """One stream and the calls on it. Raises TensorRTError when the driver or a device is missing, or a call fails."""

    def __init__(self) -> None:
        self._cuda = _runtime()
        self.handle = int(self._checked(self._cuda.cudaStreamCreate()))

    def architecture(self) -> str:
        """ "sm89" and the like, of the current device."""
        attributes = self._cuda.cudaDeviceAttr
        pair = (attributes.cudaDevAttrComputeCapabilityMajor, attributes.cudaDevAttrComputeCapabilityMinor)
        return "sm" + "".join(str(self._checked(self._cuda.cudaDeviceGetAttribute(which, 0))) for which in pair)

    def allocate(self, size: int) -> DeviceMemory:
        """Uninitialised device memory of at least one byte."""
        return DeviceMemory(self, int(self._checked(self._cuda.cudaMallocAsync(max(size, 1), self.handle))))

    def free(self, address: int) -> None:
        """Back into the pool, in the order of the stream."""
        self._cuda.cudaFreeAsync(address, self.handle)

    def zero(self, address: int, size: int) -> None:
        """Bytes 0."""
        self._checked(self._cuda.cudaMemsetAsync(address, 0, size, self.handle))

    def upload(self, address: int, array: np.ndarray) -> None:
        """A contiguous array to the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._checked(self._cuda.cudaMemcpyAsync(address, array.ctypes.data, array.nbytes, kind, self.handle))

    def download(self, array: np.ndarray, address: int) -> None:
        """Into a contiguous array; waits until all work before it is done."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._checked(self._cuda.cudaMemcpyAsync(array.ctypes.data, address, array.nbytes, kind, self.handle))
        self._checked(self._cuda.cudaStreamSynchronize(self.handle))

    def copy_rows(self, target: int, target_pitch: int, source: int, source_pitch: int, width: int, height: int) -> None:
        """`height` rows of `width` bytes from device to device, rows so many bytes apart."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._checked(self._cuda.cudaMemcpy2DAsync(target, target_pitch, source, source_pitch, width, height, kind, self.handle))

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """The stream's work as one graph, launched by calling the result."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._checked(self._cuda.cudaStreamBeginCapture(self.handle, mode))
        try:
            work()
        except BaseException:
            self._cuda.cudaStreamEndCapture(self.handle)  # else the stream stays unusable
            raise
        graph = self._checked(self._cuda.cudaStreamEndCapture(self.handle))
        ready = self._checked(self._cuda.cudaGraphInstantiate(graph, 0))
        self._checked(self._cuda.cudaGraphDestroy(graph))

        def launch() -> None:
            self._checked(self._cuda.cudaGraphLaunch(ready, self.handle))

        weakref.finalize(launch, self._cuda.cudaGraphExecDestroy, ready)
        return launch

    def _checked(self, answer: tuple[Any, ...]) -> Any:
        error, *values = answer
        if int(error) != 0:
            text = self._cuda.cudaGetErrorString(error)[1]
            said = text.decode() if isinstance(text, bytes) else text
            raise TensorRTError(f"CUDA: {said}; `nvila-edge doctor` tells whether a GPU and its driver are there")
        return values[0] if values else None


class DeviceMemory:
    """An allocation that is freed with the object."""

    def __init__(self, stream: Stream, address: int) -> None:
        self._stream, self.address = stream, address

    def __del__(self) -> None:
        self._stream.free(self.address)


def aligned(size: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT
