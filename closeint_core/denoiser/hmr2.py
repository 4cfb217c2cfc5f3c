# SPDX-License-Identifier: Apache-2.0
"""HMR2.0: image features and an initial pose from one person's crop.

Goel et al., "Humans in 4D: Reconstructing and Tracking Humans with Transformers", ICCV 2023. A vision transformer
reads the crop; a transformer decoder with a single token looks at its output and states pose, shape and camera.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from closeint_core.denoiser.checkpoint import check_weights, read_torch_file, state_dict_in
from closeint_core.denoiser.network import LARGEST_SIZE
from closeint_core.denoiser.rotation6d import columns6d_to_matrix
from closeint_core.errors import CloseintError
from closeint_core.foreign_files import read_arrays

PATCH, PADDING = 16, 2
IMAGE_SIZE = 256
CUT = 32
"""Columns of the square crop that are cut off each side: the network sees 256 x 192."""


@dataclass(frozen=True)
class HMR2Config:
    """Sizes; the defaults are those of the published network.

    Attributes:
        dim, depth, heads: of the vision transformer. mlp: its hidden size. tokens: image patches.
        decoder_dim, decoder_depth, decoder_heads, decoder_head_dim, decoder_mlp: of the decoder.
    """

    dim: int = 1280
    depth: int = 32
    heads: int = 16
    mlp: int = 5120
    tokens: int = 192
    decoder_dim: int = 1024
    decoder_depth: int = 6
    decoder_heads: int = 8
    decoder_head_dim: int = 64
    decoder_mlp: int = 1024


class HMR2Output(NamedTuple):
    """What HMR2.0 states of N crops.

    Attributes:
        rotations: (N, 24, 3, 3), the first is the orientation in the camera's frame. betas: (N, 10).
        camera: (N, 3) crop camera. feature: (N, 1024), the decoder's token.
    """

    rotations: Tensor
    betas: Tensor
    camera: Tensor
    feature: Tensor


def _split_heads(x: Tensor, heads: int) -> Tensor:
    result: Tensor = x.unflatten(-1, (heads, -1)).transpose(-2, -3)
    return result


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention of (N, T, H d) projections."""
    mixed = scaled_dot_product_attention(_split_heads(q, heads), _split_heads(k, heads), _split_heads(v, heads))
    return mixed.transpose(-2, -3).flatten(start_dim=-2)


class ImageAttention(nn.Module):
    """Self-attention of the vision transformer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to the same."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        result: Tensor = self.proj(_attend(q, k, v, self.heads))
        return result


class ImageMLP(nn.Module):
    """Two layers with an exact GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to the same."""
        result: Tensor = self.fc2(self.act(self.fc1(x)))
        return result


class ImageBlock(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=1e-6)
        self.attn = ImageAttention(config.dim, config.heads)
        self.norm2 = nn.LayerNorm(config.dim, eps=1e-6)
        self.mlp = ImageMLP(config.dim, config.mlp)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to the same."""
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class PatchEmbed(nn.Module):
    """Image patches to tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH, padding=PADDING)

    def forward(self, images: Tensor) -> Tensor:
        """(N, tokens, D) of (N, 3, 256, 192)."""
        result: Tensor = self.proj(images).flatten(start_dim=2).mT
        return result


class ImageTransformer(nn.Module):
    """The vision transformer."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.tokens, config.dim))
        self.patch_embed = PatchEmbed(config.dim)
        self.blocks = nn.Sequential(*(ImageBlock(config) for _ in range(config.depth)))
        self.last_norm = nn.LayerNorm(config.dim, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """(N, tokens, D) of (N, 3, 256, 192)."""
        # The first position belonged to a class token; it is added to all others.
        x = self.patch_embed(images) + (self.pos_embed[:, 1:] + self.pos_embed[:, :1])
        result: Tensor = self.last_norm(self.blocks(x))
        return result


class PreNorm(nn.Module):
    """A layer behind its norm; ``fn`` and ``norm`` as the checkpoint names them."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The layer's output for normalised x."""
        result: Tensor = self.fn(self.norm(x)) if context is None else self.fn(self.norm(x), context)
        return result


class DecoderSelfAttention(nn.Module):
    """Self-attention of the decoder."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        inner = config.decoder_heads * config.decoder_head_dim
        self.heads = config.decoder_heads
        self.to_qkv = nn.Linear(config.decoder_dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.decoder_dim))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to the same."""
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        result: Tensor = self.to_out(_attend(q, k, v, self.heads))
        return result


class DecoderCrossAttention(nn.Module):
    """Attention of the decoder to the image's tokens."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        inner = config.decoder_heads * config.decoder_head_dim
        self.heads = config.decoder_heads
        self.to_kv = nn.Linear(config.dim, 2 * inner, bias=False)
        self.to_q = nn.Linear(config.decoder_dim, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.decoder_dim))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, T, D), looking at (N, S, image D)."""
        k, v = self.to_kv(context).chunk(2, dim=-1)
        result: Tensor = self.to_out(_attend(self.to_q(x), k, v, self.heads))
        return result


class DecoderMLP(nn.Module):
    """Two layers with an exact GELU between (dropout, the third entry, is off)."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.decoder_dim, config.decoder_mlp),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(config.decoder_mlp, config.decoder_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to the same."""
        result: Tensor = self.net(x)
        return result


class DecoderLayers(nn.Module):
    """Self-attention, cross-attention and MLP, all residual, ``depth`` times."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        dim = config.decoder_dim
        self.layers = nn.ModuleList(
            nn.ModuleList(
                PreNorm(dim, layer)
                for layer in (DecoderSelfAttention(config), DecoderCrossAttention(config), DecoderMLP(config))
            )
            for _ in range(config.decoder_depth)
        )

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, T, D), looking at (N, S, image D)."""
        for layer in self.layers:
            own, cross, mlp = cast(nn.ModuleList, layer)
            x = x + own(x)
            x = x + cross(x, context)
            x = x + mlp(x)
        return x


class Decoder(nn.Module):
    """The transformer decoder with its single token."""

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, config.decoder_dim))
        self.to_token_embedding = nn.Linear(1, config.decoder_dim)
        self.transformer = DecoderLayers(config)

    def forward(self, context: Tensor) -> Tensor:
        """The token (N, D) after looking at (N, S, image D)."""
        # The token's input is the number zero: only the bias is left of its embedding.
        start = self.to_token_embedding.bias + self.pos_embedding[:, 0]
        result: Tensor = self.transformer(start.expand(len(context), 1, -1), context)[:, 0]
        return result


class Head(nn.Module):
    """Pose, shape and camera as corrections to stored means."""

    init_body_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, config: HMR2Config) -> None:
        super().__init__()
        self.transformer = Decoder(config)
        self.decpose, self.decshape, self.deccam = (nn.Linear(config.decoder_dim, size) for size in (144, 10, 3))
        for name, size in (("body_pose", 144), ("betas", 10), ("cam", 3)):
            self.register_buffer(f"init_{name}", torch.zeros(1, size))

    def forward(self, context: Tensor) -> HMR2Output:
        """From the image's tokens (N, S, D)."""
        token = self.transformer(context)
        pose = self.decpose(token) + self.init_body_pose
        return HMR2Output(
            columns6d_to_matrix(pose.float().unflatten(-1, (24, 6))),
            (self.decshape(token) + self.init_betas).float(),
            (self.deccam(token) + self.init_cam).float(),
            token.float(),
        )


class HMR2(nn.Module):
    """The network, parameter names as in the official checkpoint."""

    def __init__(self, config: HMR2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or HMR2Config()
        self.backbone = ImageTransformer(config)
        self.smpl_head = Head(config)

    def forward(self, crops: Tensor) -> HMR2Output:
        """From square crops (N, 3, 256, 256), RGB, ImageNet's mean and deviation (``hmr2_images``)."""
        images = crops[..., CUT:-CUT].to(self.backbone.pos_embed.dtype)
        result: HMR2Output = self.smpl_head(self.backbone(images).to(self.smpl_head.init_cam.dtype))
        return result


def load_hmr2(
    path: str | Path, heads: int | None = None, decoder_heads: int | None = None, mean_params: Path | None = None
) -> HMR2:
    """Read the official Lightning checkpoint.

    Args:
        path: the file; besides the network it holds a discriminator and a body model, which are left out.
        heads, decoder_heads: the one thing weights do not tell; by default those of the published network.
        mean_params: ``smpl_mean_params.npz``, for a checkpoint without the means that the head corrects.

    Returns:
        In evaluation mode, float32, on the CPU.

    Raises:
        CloseintError: missing (exit code 3), damaged, refused, or of another network; names file and key.
    """
    path = Path(path)
    weights = state_dict_in(read_torch_file(path), "state_dict", path)
    if mean_params is not None:
        weights = _means(mean_params) | weights
    return hmr2_from_state_dict(weights, path, heads, decoder_heads)


def _means(path: Path) -> dict[str, Tensor]:
    names = {"pose": ("body_pose", 144), "shape": ("betas", 10), "cam": ("cam", 3)}
    arrays = read_arrays(path, "smpl_mean_params.npz", names)
    found = {}
    for key, (name, size) in names.items():
        value = arrays.get(key)
        if value is None or value.size != size or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise CloseintError(
                f"The mean parameters {path} have no {key} of {size} finite numbers.", "Get the file again."
            )
        found[f"smpl_head.init_{name}"] = torch.from_numpy(value.astype(np.float32).reshape(1, size))
    return found


def hmr2_from_state_dict(
    weights: Mapping[str, Tensor], path: Path, heads: int | None = None, decoder_heads: int | None = None
) -> HMR2:
    """As ``load_hmr2``, from the tensors; ``path`` is for messages."""
    config = _config_of(weights, path, heads or HMR2Config.heads, decoder_heads or HMR2Config.decoder_heads)
    with torch.device("meta"):  # 2.7 GB of random numbers would be drawn only to be replaced
        model = HMR2(config)
    ours = ("backbone.", "smpl_head.")
    found = check_weights(weights, model.state_dict(), path, lambda name: name.startswith(ours))
    model.load_state_dict(found, assign=True)
    return model.eval()


def _config_of(weights: Mapping[str, Tensor], path: Path, heads: int, decoder_heads: int) -> HMR2Config:
    decoder = "smpl_head.transformer.transformer.layers"
    names = {
        "tokens": ("backbone.pos_embed", 1),
        "dim": ("backbone.pos_embed", 2),
        "mlp": ("backbone.blocks.0.mlp.fc1.weight", 0),
        "decoder_dim": ("smpl_head.transformer.pos_embedding", 2),
        "decoder_inner": (f"{decoder}.0.1.fn.to_q.weight", 0),
        "decoder_mlp": (f"{decoder}.0.2.fn.net.0.weight", 0),
    }
    sizes = {}
    for key, (name, axis) in names.items():
        if name not in weights or weights[name].ndim <= axis:
            raise CloseintError(f"The checkpoint {path} lacks {name}.", "It is not the file of HMR2.0.")
        sizes[key] = int(weights[name].shape[axis])
    if not all(1 <= size <= LARGEST_SIZE for size in sizes.values()):
        raise CloseintError(
            f"The checkpoint {path} is of another network than HMR2.0.", "It is not the file of HMR2.0."
        )
    inner = sizes.pop("decoder_inner")
    if sizes["dim"] % heads or inner % decoder_heads:
        raise CloseintError(f"The checkpoint {path} is of another network than HMR2.0.")
    return HMR2Config(
        **(sizes | {"tokens": sizes["tokens"] - 1}),
        depth=_count(weights, r"backbone\.blocks\.(\d{1,4})\."),
        heads=heads,
        decoder_depth=_count(weights, re.escape(decoder) + r"\.(\d{1,4})\."),
        decoder_heads=decoder_heads,
        decoder_head_dim=inner // decoder_heads,
    )


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    numbers = {int(found.group(1)) for name in weights if (found := re.match(pattern, name))}
    if not numbers or max(numbers) >= len(weights):
        raise CloseintError("The checkpoint lacks layers of HMR2.0.", "It is not the file of HMR2.0.")
    return len(numbers)
