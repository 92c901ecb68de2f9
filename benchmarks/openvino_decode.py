"""The other side of benchmarks/cpu_engines.py: OpenVINO on our own language.onnx (INT4 blocks, keys and values as inputs), one decoding step per line of input.

Needs openvino, best in an environment of its own. Prints "ready", then a line for every step. Keys and values are plain inputs here, as our sessions need
them; a model with OpenVINO's own state would be faster by the copies of them.
"""

from __future__ import annotations

import sys

import numpy as np
import openvino


def main() -> None:
    """Arguments: graph, threads, context."""
    path, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = openvino.Core().read_model(path)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    rng, feed = np.random.default_rng(0), {}
    for one in compiled.inputs:
        name = one.get_any_name()
        if name.startswith("past_"):
            _, heads, _, size = one.get_partial_shape()
            feed[name] = rng.standard_normal((1, heads.get_length(), context, size.get_length()), np.float32)
        elif name == "inputs_embeds":
            feed[name] = np.zeros((1, 1, one.get_partial_shape()[2].get_length()), np.float32)
    feed |= {"position_ids": np.array([[context]]), "logit_positions": np.array([0])}
    feed["attention_mask"] = np.zeros((1, 1, 1, context + 1), np.float32)
    request = compiled.create_infer_request()
    request.infer(feed)
    print("ready", flush=True)
    for _ in sys.stdin:
        request.infer(feed)
        print("done", flush=True)


if __name__ == "__main__":
    main()
