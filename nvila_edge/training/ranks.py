"""The processes of a run: one, or those that torchrun started. Nothing else knows about them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

DEADLINE = timedelta(minutes=30)  # how long a process waits for another one: rank 0 writes checkpoints of tens of GB meanwhile


@dataclass(frozen=True)
class Ranks:
    """This process among `world`, and its device."""

    rank: int
    world: int
    device: torch.device

    @staticmethod
    def start(device: str | None = None) -> Ranks:
        """Joins the processes that torchrun started, if it did; device None: a GPU when there is one. Raises ValueError for more processes than GPUs."""
        rank, world, local = (int(os.environ.get(key, default)) for key, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if place.type == "cuda":
            if local >= torch.cuda.device_count():
                raise ValueError(f"process {local} has no GPU of its own, there are {torch.cuda.device_count()}; lower --nproc-per-node")
            place = torch.device("cuda", local)
            torch.cuda.set_device(place)
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=DEADLINE)
        return Ranks(rank, world, place)

    @property
    def main(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def sums(self, values: Sequence[float]) -> list[float]:
        """Element-wise sums over the processes."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, value: float) -> float:
        """The largest over the processes."""
        return self._reduced([value], dist.ReduceOp.MAX)[0]

    def _reduced(self, values: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, how)
        return tensor.tolist()

    def stop(self) -> None:
        """Leaves the group."""
        if self.world > 1:
            dist.destroy_process_group()
