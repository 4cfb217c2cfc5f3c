# SPDX-License-Identifier: Apache-2.0
"""The dual-branch denoiser: two people's noisy motion in, their clean motion out.

Shapes: B windows, T frames, 2 people. Public functions take (B, T, 2, ...); inside, people come before frames,
(B, 2, T, ...), so that both are one batch for attention over time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from closeint_core.denoiser.conditions import Conditions, KeypointEncoder
from closeint_core.denoiser.layers import DualBlock, modulations, sinusoid_table
from closeint_core.denoiser.state import BETAS, CAMERA, POSE, STATE
from closeint_core.errors import CloseintError

MAX_POSITIONS = 5000
LARGEST_SIZE = 16384
"""The largest size of a network that is believed; layers of it have 1 GB of weights each."""
LIVE_BELOW = 20
"""Extra condition inputs (penetration, keypoints) count at timesteps below this; before, they have fixed values."""
KEYPOINT_INPUTS = 78
PENETRATION_OFF = -1.0


def check_sizes(what: str, sizes: dict[str, Any]) -> None:
    """Refuse a network's sizes that cannot be, or that no machine could hold.

    Raises:
        CloseintError: a size is not in 1..``LARGEST_SIZE``, or the heads do not share ``dim`` evenly.
    """
    for name, value in sizes.items():
        if type(value) is int and not 1 <= value <= LARGEST_SIZE:
            raise CloseintError(f"{what}.{name} is {value}, not in 1..{LARGEST_SIZE}.", "Correct it.")
    if sizes["dim"] % sizes["heads"] or sizes["dim"] % 2:
        raise CloseintError(
            f"{what}.dim is {sizes['dim']}, which is odd or cannot be shared by {sizes['heads']} heads.",
            "Take an even multiple of the heads.",
        )


@dataclass(frozen=True)
class DenoiserConfig:
    """What makes a denoiser.

    Attributes:
        condition: ``hmr2`` (image feature and crop) or ``keypoints`` (``conditions.KeypointEncoder``).
        penetration, keypoints: whether these extra inputs follow the condition (the published flavours 257, 334, 335).
        dim, depth, heads, hidden: of the transformer. feature: size of the image feature.
        encoder_depth: layers over time of the keypoint encoder.
        diffusion_steps: of the cosine schedule it was trained with.
    """

    condition: str = "hmr2"
    penetration: bool = False
    keypoints: bool = False
    dim: int = 256
    depth: int = 4
    heads: int = 8
    hidden: int = 512
    feature: int = 1024
    encoder_depth: int = 2
    diffusion_steps: int = 100

    def __post_init__(self) -> None:
        if self.condition not in ("hmr2", "keypoints"):
            raise CloseintError(f"The denoiser's condition {self.condition!r} is neither 'hmr2' nor 'keypoints'.")
        check_sizes("denoiser", asdict(self))

    @property
    def extras(self) -> int:
        """Number of extra condition inputs."""
        return int(self.penetration) + KEYPOINT_INPUTS * int(self.keypoints)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DenoiserConfig:
        """From JSON.

        Raises:
            CloseintError: an unknown key, or a value of the wrong type.
        """
        known = asdict(cls())
        for key, value in values.items():
            if key not in known:
                raise CloseintError(f"The denoiser's configuration has an unknown key {key!r}.")
            if type(value) is not type(known[key]):
                raise CloseintError(f"The denoiser's configuration has {key} = {value!r}.")
        return cls(**values)


class FusedWeights(NamedTuple):
    """Weights of layers that read the same input, joined into one product (see ``Denoiser.fuse``)."""

    modulation: tuple[Tensor, Tensor]
    heads: tuple[Tensor, Tensor]


class Prepared(NamedTuple):
    """The parts of the condition that do not change from step to step.

    Attributes:
        embedding: (B, 2, T, D), feature_embed of the condition, extras left out.
        crop_info: (B, 2, T, 3). paired: (B, 1, T, 1), 0 in frames with a single person, or None.
        extras: (B, 2, T, E) at timesteps below ``LIVE_BELOW``, or None. Penetration is filled in by the sampler.
    """

    embedding: Tensor
    crop_info: Tensor
    paired: Tensor | None
    extras: Tensor | None


class TimeEmbedding(nn.Module):
    """Linear, SiLU, Linear of the sinusoid of a timestep."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, rows: Tensor) -> Tensor:
        """(..., D) from rows (..., D) of the sinusoid table."""
        result: Tensor = self.time_embed(rows)
        return result


class Head(nn.Sequential):
    """LayerNorm and Linear."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, size))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias that do the same on normalised input: W (g n + c) + b = (W g) n + (W c + b)."""
        norm, layer = cast(nn.LayerNorm, self[0]), cast(nn.Linear, self[1])
        return layer.weight * norm.weight, layer.weight @ norm.bias + layer.bias


class Denoiser(nn.Module):
    """The network; parameter names are those of the published checkpoints. A picture is in ``closeint_core.denoiser``.

    It predicts the clean residual to the mean of ``state.mean_state`` from a noisy one.
    """

    positions: Tensor

    def __init__(self, config: DenoiserConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DenoiserConfig()
        dim = config.dim
        self.register_buffer("positions", sinusoid_table(MAX_POSITIONS, dim), persistent=False)
        self.embed_timestep = TimeEmbedding(dim)
        self.motion_embed = nn.Linear(STATE, dim)
        self.feature_embed = nn.Linear(dim + config.extras, dim)
        self.blocks = nn.ModuleList(DualBlock(dim, config.heads, config.hidden) for _ in range(config.depth))
        if config.condition == "hmr2":
            self.project = nn.Sequential(nn.LayerNorm(config.feature + 3), nn.Linear(config.feature + 3, dim))
        else:
            self.condition_encoder = KeypointEncoder(dim, config.heads, config.encoder_depth)
        self.head, self.shape_head, self.cam_head = (Head(dim + 3, size) for size in (POSE, BETAS, CAMERA))

    def fuse(self) -> FusedWeights:
        """Join the adaptive norms' layers and the three heads; differentiable, to be redone when weights change."""
        norms = [norm.linear for block in self.blocks if isinstance(block, DualBlock) for norm in block.norms()]
        heads = [self.head, self.shape_head, self.cam_head]
        folded = [head.folded() for head in heads]
        return FusedWeights(
            (torch.cat([layer.weight for layer in norms]), torch.cat([layer.bias for layer in norms])),
            (torch.cat([weight for weight, _ in folded]), torch.cat([bias for _, bias in folded])),
        )

    def prepare(self, conditions: Conditions) -> Prepared:
        """Compute once what every step of the sampling loop uses.

        Raises:
            CloseintError: the conditions lack what this flavour of the network needs.
        """
        crop_info = conditions.crops.info()
        if self.config.condition == "hmr2":
            if conditions.features is None:
                raise CloseintError("This denoiser needs HMR2.0 features, and there are none.", exit_code=3)
            condition = self.project(torch.cat([conditions.features, crop_info], dim=-1))
        else:
            condition = self.condition_encoder(conditions, self.positions)
        dim = self.config.dim
        embedding = linear(condition, self.feature_embed.weight[:, :dim], self.feature_embed.bias)
        extras = None
        if self.config.extras:
            extras = embedding.new_zeros(*embedding.shape[:-1], self.config.extras)
            if self.config.penetration:
                extras[..., 0] = PENETRATION_OFF
            if self.config.keypoints:
                extras[..., -KEYPOINT_INPUTS:] = conditions.crop_keypoints().flatten(start_dim=-2)
            extras = extras.transpose(1, 2)
        paired = None
        if conditions.single is not None:
            paired = 1.0 - conditions.single.to(embedding.dtype)[:, None, :, None]
        return Prepared(embedding.transpose(1, 2), crop_info.transpose(1, 2), paired, extras)

    def time_embedding(self, timesteps: Tensor) -> Tensor:
        """(..., D) of integer timesteps (...)."""
        result: Tensor = self.embed_timestep(self.positions[timesteps])
        return result

    def embed(self, prepared: Prepared, timesteps: Tensor) -> Tensor:
        """The embedding (B, 2, T, D) that steers every block, at timesteps (B,) or a single one ()."""
        live = (timesteps < LIVE_BELOW).reshape(-1, 1, 1, 1)
        embedding = prepared.embedding + self.time_embedding(timesteps.reshape(-1))[:, None, None]
        if prepared.extras is not None:
            off = torch.zeros_like(prepared.extras[:1, :1, :1])
            if self.config.penetration:
                off[..., 0] = PENETRATION_OFF
            extras = torch.where(live, prepared.extras, off)
            embedding = embedding + linear(extras, self.feature_embed.weight[:, self.config.dim :])
        return embedding

    def denoise(self, x: Tensor, embedding: Tensor, prepared: Prepared, fused: FusedWeights | None = None) -> Tensor:
        """Clean residual (B, 2, T, 157) from a noisy one; people before frames in all arguments."""
        fused = fused or self.fuse()
        batch, people, frames = x.shape[:3]
        h = self.motion_embed(x) + self.positions[:frames]
        for block, modulation in zip(
            self.blocks, modulations(embedding, fused.modulation, len(self.blocks)), strict=True
        ):
            other = h.flip(1)
            if prepared.paired is not None:
                other = other * prepared.paired
            flat = (tensor.reshape(batch * people, frames, -1) for tensor in (h, other, modulation))
            h = block(*flat).view(batch, people, frames, -1)
        read = torch.cat([h, prepared.crop_info], dim=-1)
        return linear(layer_norm(read, read.shape[-1:]), *fused.heads)

    def forward(self, x: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        """Clean residual (B, T, 2, 157) of noisy ``x`` (B, T, 2, 157) at ``timesteps`` (B,); for training."""
        prepared = self.prepare(conditions)
        return self.denoise(x.transpose(1, 2), self.embed(prepared, timesteps), prepared).transpose(1, 2)
