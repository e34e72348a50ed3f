"""Dropout whose masks cost a tenth of the usual: one random number decides eight cells."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LEVELS = 256
"""A byte decides a cell, so the share dropped is a multiple of 1/256."""


class Dropout(nn.Module):
    """As torch.nn.Dropout, to a share rounded to 1/256.

    Masks come from `chance`, torch's own generator where there is none. `shared` is a dimension
    whose cells share one mask.
    """

    def __init__(self, p: float, shared: int | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 0.99:
            raise ValueError(f"dropout must be in [0, 0.99], got {p}")
        self.dropped = round(p * _LEVELS)
        self.shared = shared
        self.chance: torch.Generator | None = None

    def forward(self, hidden: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if not self.training or self.dropped == 0:
            return hidden
        shape = list(hidden.shape)
        if self.shared is not None:
            shape[self.shared] = 1
        keep = _bytes(shape, hidden.device, self.chance) >= self.dropped
        # A product with numbers: filling by a mask walks cell by cell, three times as long.
        return hidden * (keep.to(hidden.dtype) * (_LEVELS / (_LEVELS - self.dropped)))


def _bytes(shape: list[int], device: torch.device, chance: torch.Generator | None) -> Tensor:
    """Uniform random bytes."""
    count = 1
    for size in shape:
        count *= size
    words = torch.empty(-(-count // 8), dtype=torch.long, device=device)
    words.random_(-(2**63), None, generator=chance)
    return words.view(torch.uint8)[:count].view(shape)


def draw_masks_from(network: nn.Module, chance: torch.Generator) -> None:
    """Let every dropout of `network` draw from `chance`, whatever else draws meanwhile."""
    for part in network.modules():
        if isinstance(part, Dropout):
            part.chance = chance
