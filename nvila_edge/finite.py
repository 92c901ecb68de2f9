"""Numbers that are not finite, as every JSON file of ours holds them: the strings "inf", "-inf" and "nan"; `float` reads them back."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """`value` with such numbers as strings, within mappings, lists and tuples too; other things stay as they are."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
