"""Projectors: space-to-channel compression, then an MLP into the language model's width (facts/nvila.md section 1.2)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class SpaceToChannel(nn.Module):
    """Joins blocks of `rows` x `columns` patches into one token; the grid is zero-padded at the bottom and right to a multiple.

    x [N, P, C] with P a square number, row-major -> [N, P', rows * columns * C]; channels ordered (0,0), (0,1), (1,0) ... within a block.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x_NPC: Tensor) -> Tensor:
        n, patches, channels = x_NPC.shape
        side = round(patches**0.5)
        if side * side != patches:
            raise ValueError(f"space-to-channel needs a square grid of patches; got {patches}")
        grid = x_NPC.view(n, side, side, channels)
        grid = nn.functional.pad(grid, (0, 0, 0, -side % self.columns, 0, -side % self.rows))
        height, width = grid.shape[1] // self.rows, grid.shape[2] // self.columns
        grid = grid.view(n, height, self.rows, width, self.columns, channels).transpose(2, 3)
        return grid.reshape(n, height * width, self.rows * self.columns * channels)


def _mlp_downsample(rows: int, columns: int) -> Callable[[int, int], nn.Sequential]:
    def build(channels: int, hidden: int) -> nn.Sequential:
        wide = rows * columns * channels
        return nn.Sequential(
            SpaceToChannel(rows, columns), nn.LayerNorm(wide), nn.Linear(wide, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    return build


def _mlp_downsample_3x3_fix(channels: int, hidden: int) -> nn.Sequential:
    wide, middle = 9 * channels, 3 * channels
    return nn.Sequential(
        SpaceToChannel(3, 3), nn.LayerNorm(wide), nn.Linear(wide, middle), nn.GELU(), nn.LayerNorm(middle), nn.Linear(middle, hidden),
        nn.GELU(), nn.Linear(hidden, hidden),
    )  # fmt: skip


# mlp_downsample_8x2 is ours: with an 8x8 grid it leaves four column tokens a frame, each a bearing (facts/learning.md).
PROJECTORS: dict[str, Callable[[int, int], nn.Sequential]] = {
    "linear": lambda channels, hidden: nn.Sequential(nn.Linear(channels, hidden)),
    "mlp_downsample": _mlp_downsample(2, 2),
    "mlp_downsample_2x2_fix": _mlp_downsample(2, 2),
    "mlp_downsample_3x3_fix": _mlp_downsample_3x3_fix,
    "mlp_downsample_8x2": _mlp_downsample(8, 2),
}


class Projector(nn.Module):
    """The projector of that type: [N, patches, channels] -> [N, tokens, hidden]. Raises ValueError for an unknown type."""

    def __init__(self, kind: str, channels: int, hidden: int) -> None:
        super().__init__()
        if kind not in PROJECTORS:
            raise ValueError(f"unknown projector type {kind!r}; known: {', '.join(sorted(PROJECTORS))}")
        self.kind = kind
        self.layers = PROJECTORS[kind](channels, hidden)

    def forward(self, x_NPC: Tensor) -> Tensor:
        return self.layers(x_NPC)
