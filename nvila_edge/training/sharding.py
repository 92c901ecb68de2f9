"""FSDP2 over the processes of a run: parameters, gradients and optimizer states in shards."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from nvila_edge.training.ranks import Ranks
from nvila_edge.training.step import TrainingStep


def shard(step: TrainingStep, ranks: Ranks, precision: str) -> None:
    """Shards a step in place; nothing with one process.

    Every decoder layer is a unit. Tower, projector and embeddings stay whole during a pass (they belong to the root): processes may then run them as
    often as their own media want. Gradients are summed over the processes in float32; weights are kept in float32.
    """
    if ranks.world == 1:
        return
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if precision != "float32" else MixedPrecisionPolicy()
    )
    layer: Any
    for layer in step.model.llm.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(step, mesh=mesh, mp_policy=policy)
