"""JSON of ours holds numbers that are not finite as strings."""

from __future__ import annotations

import json
import math

from nvila_edge.finite import finite


def test_what_is_not_finite_becomes_text_that_float_reads() -> None:
    content = {"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": "nan", "c": None}
    said = finite(content)
    assert said == {"a": ["nan", 1.5, ["inf", "-inf"]], "b": "nan", "c": None}
    assert math.isnan(float(said["a"][0])) and float(said["a"][2][1]) == -math.inf
    assert json.loads(json.dumps(said, allow_nan=False)) == said
