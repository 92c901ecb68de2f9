"""nvila-edge: NVILA on a robot. `NVILA` is loaded on first use, so that importing this package needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvila_edge.model.nvila import NVILA as NVILA

__version__ = "0.1.0"
__all__ = ["NVILA", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "NVILA":
        from nvila_edge.model.nvila import NVILA

        return NVILA
    raise AttributeError(f"module 'nvila_edge' has no attribute {name!r}")
