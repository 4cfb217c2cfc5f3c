# SPDX-License-Identifier: Apache-2.0
"""Vector quantisation with codebooks that follow the data.

Van den Oord et al., "Neural Discrete Representation Learning", 2017: straight-through gradients, commitment loss, and
codes that are exponential moving averages of what is assigned to them. A code that nothing is assigned to any more is
moved onto a vector of the current batch. Zeghidour et al., "SoundStream", 2021: what one codebook leaves over is
quantised by the next, so that bits go where the spread is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Quantized(NamedTuple):
    """Quantised vectors (N, G * d), their codes (N, L * G), and the commitment loss ()."""

    vectors: Tensor
    codes: Tensor
    commitment: Tensor


class VectorQuantizer(nn.Module):
    """Replaces each of G parts of a vector by a sum of L codes, each the nearest of K to what the sum still lacks.

    Codes come in the order level, part: the coarse ones first.

    Args:
        groups: G. codes: K. dim: d, of one part. levels: L. decay: of the moving averages.
        revive_below: a code assigned less often than this part of an even share is moved to where the data are. The
            higher, the more evenly codes are used, at a little cost in distance.
    """

    codebook: Tensor
    counts: Tensor
    started: Tensor

    def __init__(
        self, groups: int, codes: int, dim: int, levels: int = 1, decay: float = 0.95, revive_below: float = 0.5
    ) -> None:
        super().__init__()
        self.groups, self.codes, self.dim, self.levels = groups, codes, dim, levels
        self.decay, self.revive_below = decay, revive_below
        self.register_buffer("codebook", torch.zeros(levels * groups, codes, dim))
        self.register_buffer("counts", torch.zeros(levels * groups, codes))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self._ready = False  # that it has started, known without asking the device

    def forward(self, vectors: Tensor) -> Quantized:
        """Quantise (N, G * d); in training mode the codebooks follow."""
        parts = vectors.unflatten(-1, (self.groups, self.dim)).transpose(0, 1)  # (G, N, d)
        starting = self.training and not self._ready and not bool(self.started)
        rest = parts.detach().float()
        wanted, codes = [], []
        for level in range(self.levels):
            own = slice(level * self.groups, (level + 1) * self.groups)
            if starting:  # the first batch's vectors become the first codes
                self.codebook[own] = self._draw(rest)
            chosen = torch.cdist(rest, self.codebook[own]).argmin(dim=-1)  # (G, N)
            wanted.append(rest)
            codes.append(chosen)
            rest = rest - self._look_up(chosen, own)
        if starting:
            self.counts.fill_(1.0)
            self.started.fill_(True)
        self._ready = self._ready or self.training
        found = parts.detach().float() - rest
        # Every level pulls the vector to what the levels up to it make of it.
        pull = torch.stack([(parts - (parts.detach() - x)).square().mean() for x in [*wanted[1:], rest]]).mean()
        if self.training:
            self._follow(torch.cat(wanted), torch.cat(codes))
        straight = parts + (found - parts).detach()
        return Quantized(straight.transpose(0, 1).flatten(start_dim=1), torch.cat(codes).T, pull)

    def vectors(self, codes: Tensor) -> Tensor:
        """(N, G * d) of codes (N, L * G)."""
        found = self._look_up(codes.T, slice(None)).unflatten(0, (self.levels, self.groups)).sum(dim=0)
        result: Tensor = found.transpose(0, 1).flatten(start_dim=1)
        return result

    def _look_up(self, codes: Tensor, books: slice) -> Tensor:
        return torch.gather(self.codebook[books], 1, codes[..., None].expand(-1, -1, self.dim))

    def _draw(self, parts: Tensor) -> Tensor:
        """(G, K, d) vectors of the batch (G, N, d), with a little noise since they may repeat."""
        rows = torch.randint(parts.shape[1], (len(parts), self.codes), device=parts.device)
        drawn = torch.gather(parts, 1, rows[..., None].expand(-1, -1, self.dim))
        drawn = drawn + 0.01 * parts.std(dim=(1, 2), keepdim=True, correction=0) * torch.randn_like(drawn)
        if _distributed():
            torch.distributed.broadcast(drawn, 0)
        return drawn

    @torch.no_grad()
    def _follow(self, parts: Tensor, codes: Tensor) -> None:
        """Move codes (L * G, K, d) to the mean of what is assigned to them; nothing here waits for the device."""
        counts = torch.zeros_like(self.counts).scatter_add_(1, codes, torch.ones_like(parts[..., 0]))
        index = codes[..., None].expand(-1, -1, self.dim)
        sums = torch.zeros_like(self.codebook).scatter_add_(1, index, parts)
        if _distributed():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        before = self.counts * self.decay
        self.counts.lerp_(counts, 1.0 - self.decay)
        share = before / self.counts.clamp(min=1e-12)
        moved = share[..., None] * self.codebook + ((1.0 - self.decay) / self.counts.clamp(min=1e-12))[..., None] * sums
        even = self.counts.sum(dim=1, keepdim=True) / self.codes
        dead = self.counts < self.revive_below * even
        fresh = self._draw(parts)
        self.codebook.copy_(torch.where(dead[..., None], fresh, moved))
        self.counts.copy_(torch.where(dead, even, self.counts))


def perplexity(codes: Tensor, size: int) -> float:
    """How many codes are in effective use: exp of the entropy of codes (N, G) of ``size``, averaged over G."""
    used = torch.stack([torch.bincount(column, minlength=size) for column in codes.T]).double()
    share = used / used.sum(dim=1, keepdim=True)
    entropy = -(share * share.clamp(min=1e-12).log()).sum(dim=1)
    return float(entropy.exp().mean())


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
