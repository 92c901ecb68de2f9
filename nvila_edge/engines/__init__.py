"""Engines: one interface over ONNX Runtime, TensorRT and torch. Importing this package loads none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine as Engine
    from nvila_edge.engines.engine import load_bundle as load_bundle
    from nvila_edge.engines.manifest import BundleError as BundleError

__all__ = ["BundleError", "Engine", "load_bundle"]


def __getattr__(name: str) -> Any:
    if name == "BundleError":
        from nvila_edge.engines.manifest import BundleError

        return BundleError
    if name in ("Engine", "load_bundle"):
        from nvila_edge.engines import engine

        return getattr(engine, name)
    raise AttributeError(f"module 'nvila_edge.engines' has no attribute {name!r}")
