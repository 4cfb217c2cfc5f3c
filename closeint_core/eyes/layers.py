# SPDX-License-Identifier: Apache-2.0
"""Attention and convolution blocks of the eyes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_FREQUENCIES = (3.1, 6.3, 12.6, 25.1)  # radians over the side of the square
PLACE_FEATURES = 2 * 2 * len(_FREQUENCIES)


class Attention(nn.Module):
    """Attention of some tokens to themselves or to others, with a layer norm before, and added to what was there."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.qkv, self.out, self.heads = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), heads

    def forward(self, tokens: Tensor, others: Tensor | None = None) -> Tensor:
        """(N, K, D) tokens, which look at ``others`` (N, M, D) or themselves."""
        queries = self.norm(tokens)
        dim = tokens.shape[-1]
        if others is None:
            q, k, v = self.qkv(queries).split(dim, -1)
        else:
            q = nn.functional.linear(queries, self.qkv.weight[:dim], self.qkv.bias[:dim])
            k, v = nn.functional.linear(others, self.qkv.weight[dim:], self.qkv.bias[dim:]).split(dim, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        result: Tensor = tokens + self.out(mixed)
        return result


class Mlp(nn.Module):
    """Two linear layers with a layer norm before, added to what was there."""

    def __init__(self, dim: int, factor: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.Sequential(nn.Linear(dim, factor * dim), nn.GELU(), nn.Linear(factor * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., N, C), each after the two layers of its own."""
        result: Tensor = tokens + self.layers(self.norm(tokens))
        return result


def convolved(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3, its norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def place_features(places: Tensor) -> Tensor:
    """Sines and cosines (..., 16) of places (..., 2) in 0..1."""
    angles = (places[..., None] * places.new_tensor(_FREQUENCIES)).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], -1)
