# SPDX-License-Identifier: Apache-2.0
"""Layers of the dual-branch transformer, with the parameter names of the published checkpoints.

What belongs together is one product: both people are one batch, and the scales and shifts of all adaptive norms, which
depend on the condition alone, are computed for all layers at once by ``modulations``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention, silu

NORM_EPS = 1e-6


def sinusoid_table(length: int, dim: int) -> Tensor:
    """(length, dim) positional encoding: sine in even columns, cosine in odd ones, base 10000."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, dim, 2, dtype=torch.float32) * (-math.log(10000.0) / dim))
    table = torch.zeros(length, dim)
    table[:, 0::2] = torch.sin(position * frequency)
    table[:, 1::2] = torch.cos(position * frequency)
    return table


class AdaptiveNorm(nn.Module):
    """LayerNorm without affine, then times (1 + scale) plus shift, both linear in SiLU(embedding)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))

    @property
    def linear(self) -> nn.Linear:
        """The layer that makes scale and shift."""
        layer = self.emb_layers[1]
        assert isinstance(layer, nn.Linear)
        return layer


def modulate(x: Tensor, scale_shift: Tensor) -> Tensor:
    """Normalise x (..., D) and apply (..., 2 D) scale and shift."""
    scale, shift = scale_shift.chunk(2, dim=-1)
    return torch.addcmul(shift, layer_norm(x, x.shape[-1:], eps=NORM_EPS), 1 + scale)


class ZeroAttention(nn.Module):
    """Multi-head attention over time with one extra key and value of zeros, so that a query may attend to nothing."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim}")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, other: Tensor | None = None) -> Tensor:
        """Attend from ``query`` (N, T, D) to itself, or to ``other`` (N, S, D)."""
        dim = query.shape[-1]
        if other is None:
            q, k, v = linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            q = linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
            k, v = linear(other, self.in_proj_weight[dim:], self.in_proj_bias[dim:]).chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        nothing = k.new_zeros(1).expand(*k.shape[:2], 1, k.shape[3])
        mixed = scaled_dot_product_attention(q, torch.cat([k, nothing], dim=2), torch.cat([v, nothing], dim=2))
        result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(start_dim=2))
        return result


class SelfBlock(nn.Module):
    """Parameters of the self-attention part of a block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = AdaptiveNorm(dim)
        self.attention = ZeroAttention(dim, heads)


class CrossBlock(nn.Module):
    """Parameters of the cross-attention part of a block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = AdaptiveNorm(dim)
        self.xf_norm = AdaptiveNorm(dim)
        self.attention = ZeroAttention(dim, heads)


class FeedForward(nn.Module):
    """Parameters of the feed-forward part of a block."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = AdaptiveNorm(dim)
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)


class DualBlock(nn.Module):
    """One layer of the dual-branch transformer; both people share its weights and see each other's last state."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.sa_block = SelfBlock(dim, heads)
        self.ca_block = CrossBlock(dim, heads)
        self.ffn = FeedForward(dim, hidden)

    def norms(self) -> tuple[AdaptiveNorm, ...]:
        """The adaptive norms, in the order in which ``forward`` takes their scales and shifts."""
        return (self.sa_block.norm, self.ca_block.norm, self.ca_block.xf_norm, self.ffn.norm)

    def forward(self, own: Tensor, other: Tensor, modulation: Tensor) -> Tensor:
        """Update ``own`` (N, T, D), seeing ``other`` (N, T, D); modulation (N, T, 8 D) of own's embedding."""
        to_self, to_query, to_key, to_ffn = modulation.chunk(4, dim=-1)
        own = own + self.sa_block.attention(modulate(own, to_self))
        own = own + self.ca_block.attention(modulate(own, to_query), modulate(other, to_key))
        result: Tensor = own + self.ffn.linear2(gelu(self.ffn.linear1(modulate(own, to_ffn))))
        return result


def modulations(embedding: Tensor, fused: tuple[Tensor, Tensor], blocks: int) -> tuple[Tensor, ...]:
    """Scales and shifts (..., 8 D) of every block for ``embedding`` (..., D), as one product with joined layers."""
    return linear(silu(embedding), *fused).chunk(blocks, dim=-1)
