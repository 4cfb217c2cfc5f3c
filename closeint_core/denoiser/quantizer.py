# SPDX-License-Identifier: Apache-2.0
"""Vector quantisation with a codebook that follows the data.

Van den Oord et al., "Neural Discrete Representation Learning", 2017: straight-through gradients, commitment loss, and
codes that are exponential moving averages of what is assigned to them. A code that nothing is assigned to any more is
moved onto a vector of the current batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Quantized(NamedTuple):
    """Quantised vectors (N, G * d), their codes (N, G), and the commitment loss ()."""

    vectors: Tensor
    codes: Tensor
    commitment: Tensor


class VectorQuantizer(nn.Module):
    """Replaces each of G parts of a vector by the nearest of K codes (a codebook for each part).

    Args:
        groups: G. codes: K. dim: d, of one part. decay: of the moving averages.
        revive_below: a code assigned less often than this part of an even share is moved to the data, preferably to
            vectors that are far from every code.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    started: Tensor

    def __init__(self, groups: int, codes: int, dim: int, decay: float = 0.95, revive_below: float = 0.1) -> None:
        super().__init__()
        self.groups, self.codes, self.dim = groups, codes, dim
        self.decay, self.revive_below = decay, revive_below
        self.register_buffer("codebook", torch.zeros(groups, codes, dim))
        self.register_buffer("counts", torch.zeros(groups, codes))
        self.register_buffer("sums", torch.zeros(groups, codes, dim))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, vectors: Tensor) -> Quantized:
        """Quantise (N, G * d); in training mode the codebook follows."""
        parts = vectors.unflatten(-1, (self.groups, self.dim)).transpose(0, 1)  # (G, N, d)
        if self.training:
            with torch.no_grad():
                if not self.started:
                    self._start(parts)
        nearest, codes = torch.cdist(parts.detach().float(), self.codebook).min(dim=-1)  # (G, N)
        if self.training:
            with torch.no_grad():
                self._follow(parts.detach().float(), codes, nearest)
        chosen = self._look_up(codes)
        commitment = (parts - chosen).square().mean()
        straight = parts + (chosen - parts).detach()
        return Quantized(straight.transpose(0, 1).flatten(start_dim=1), codes.T, commitment)

    def vectors(self, codes: Tensor) -> Tensor:
        """(N, G * d) of codes (N, G)."""
        return self._look_up(codes.T).transpose(0, 1).flatten(start_dim=1)

    def _look_up(self, codes: Tensor) -> Tensor:
        return torch.gather(self.codebook, 1, codes[..., None].expand(-1, -1, self.dim))

    def _start(self, parts: Tensor) -> None:
        """The first batch's vectors become the first codes."""
        self.codebook.copy_(self._draw(parts, torch.ones_like(parts[..., 0])))
        self.counts.fill_(1.0)
        self.sums.copy_(self.codebook)
        self.started.fill_(True)

    def _draw(self, parts: Tensor, weights: Tensor) -> Tensor:
        """(G, K, d) vectors of the batch by weights (G, N), with a little noise since they may repeat."""
        rows = torch.multinomial(weights.float() + 1e-6, self.codes, replacement=True)
        drawn = torch.gather(parts.float(), 1, rows[..., None].expand(-1, -1, self.dim))
        drawn = drawn + 0.01 * parts.float().std() * torch.randn_like(drawn)
        if _distributed():
            torch.distributed.broadcast(drawn, 0)
        return drawn

    def _follow(self, parts: Tensor, codes: Tensor, nearest: Tensor) -> None:
        counts = torch.zeros_like(self.counts).scatter_add_(1, codes, torch.ones_like(codes, dtype=self.counts.dtype))
        index = codes[..., None].expand(-1, -1, self.dim)
        sums = torch.zeros_like(self.sums).scatter_add_(1, index, parts)
        if _distributed():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        self.counts.lerp_(counts, 1.0 - self.decay)
        self.sums.lerp_(sums, 1.0 - self.decay)
        total = self.counts.sum(dim=1, keepdim=True)
        dead = self.counts < self.revive_below * total / self.codes
        if dead.any():
            fresh = self._draw(parts, nearest.square())
            share = (total / self.codes).expand_as(self.counts)
            self.counts.copy_(torch.where(dead, share, self.counts))
            self.sums.copy_(torch.where(dead[..., None], fresh * share[..., None], self.sums))
        self.codebook.copy_(self.sums / self.counts[..., None])


def perplexity(codes: Tensor, size: int) -> float:
    """How many codes are in effective use: exp of the entropy of codes (N, G) of ``size``, averaged over G."""
    used = torch.stack([torch.bincount(column, minlength=size) for column in codes.T]).double()
    share = used / used.sum(dim=1, keepdim=True)
    entropy = -(share * share.clamp(min=1e-12).log()).sum(dim=1)
    return float(entropy.exp().mean())


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
