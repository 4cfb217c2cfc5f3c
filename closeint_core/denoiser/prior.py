# SPDX-License-Identifier: Apache-2.0
"""The interaction prior: a VQ-VAE over windows of two people's motion.

    canonical motion -> linear -> 2 x halve the rate -> blocks -> quantise -> blocks -> 2 x double -> linear -> motion
                     |--------------- linear, of 4 frames -->^ |--> linear, of 4 frames ----------------------->^
    (per person, weights shared; blocks attend over time and to the other person)

The linear paths begin as the principal components of the motion; the blocks add what is not linear. All of it is in
units of how far a number moves the joints (``leverage``): a turn of a hip counts more than that of a hand.

It serves three ways: ``project`` (encode and decode) pulls noisy motion to what people do together, ``PriorEnergy``
measures the distance from that, and with ``CodeModel``, ``draw_interactions`` makes interactions from nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.canonical import CANONICAL, PairFrames, PairMotion, pair_frames
from closeint_core.denoiser.checkpoint import check_shapes, check_weights, load_weights, save_weights
from closeint_core.denoiser.ddim import DDIMStep, ddim_sample, window_noise
from closeint_core.denoiser.layers import ZeroAttention, sinusoid_table
from closeint_core.denoiser.network import check_sizes
from closeint_core.denoiser.quantizer import VectorQuantizer, perplexity
from closeint_core.denoiser.schedule import CosineSchedule
from closeint_core.errors import CloseintError

FORMAT = "closeint-prior/1"
DEFAULT_PRIOR = Path(__file__).parent / "weights" / "prior.safetensors"
STRIDE = 4
"""Frames that one token stands for."""
_LONGEST = 1024
_UNIT = 0.1  # metres that are 1 in scaled numbers
_NOISE_STEPS = 100
_LEAST = 0.04  # metres for a radian: leverage of joints that move no other


@dataclass(frozen=True)
class PriorConfig:
    """Sizes.

    Attributes:
        dim, heads: of the blocks. depth: blocks on each side of the quantiser.
        codes: of a codebook. groups: parts of a latent, ``code_dim`` numbers each. levels: codebooks of each part, each
            for what the one before leaves over.
    """

    dim: int = 160
    heads: int = 5
    depth: int = 2
    codes: int = 64
    groups: int = 16
    code_dim: int = 6
    levels: int = 4

    def __post_init__(self) -> None:
        check_sizes("prior", asdict(self))

    @property
    def token(self) -> int:
        """Codes of a person in ``STRIDE`` frames."""
        return self.groups * self.levels

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PriorConfig:
        """From JSON.

        Raises:
            CloseintError: an unknown key, or a value that is not a whole number.
        """
        for key, value in values.items():
            if key not in asdict(cls()) or type(value) is not int:
                raise CloseintError(f"The prior's configuration has an unknown entry {key} = {value!r}.")
        return cls(**values)


class PairBlock(nn.Module):
    """Attention over time, to the other person, and a feed-forward layer, all residual and behind norms."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.own = ZeroAttention(dim, heads)
        self.other = ZeroAttention(dim, heads)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, T, D) to the same."""
        shape = x.shape
        x = x + self.own(self.norms[0](x).flatten(0, 1)).view(shape)
        seen = self.norms[1](x)
        x = x + self.other(seen.flatten(0, 1), seen.flip(1).flatten(0, 1)).view(shape)
        result: Tensor = x + self.down(gelu(self.up(self.norms[2](x))))
        return result


class Reconstruction(NamedTuple):
    """Canonical numbers (B, T, 2, 147) after coding, codes (B, 2, T / 4, C), commitment loss ()."""

    numbers: Tensor
    codes: Tensor
    commitment: Tensor


class InteractionPrior(nn.Module):
    """The VQ-VAE on canonical numbers (see ``canonical``)."""

    positions: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: PriorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PriorConfig()
        dim, latent = config.dim, config.groups * config.code_dim
        self.register_buffer("positions", sinusoid_table(_LONGEST, dim), persistent=False)
        self.register_buffer("mean", torch.zeros(CANONICAL))
        self.register_buffer("deviation", torch.ones(CANONICAL))
        self.read = nn.Linear(CANONICAL, dim)
        self.downsample = nn.ModuleList(nn.Conv1d(dim, dim, 4, stride=2, padding=1) for _ in range(2))
        self.encoder = nn.ModuleList(PairBlock(dim, config.heads) for _ in range(config.depth))
        self.to_latent = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, latent))
        # Latents of unit spread: else they shrink together early in training, and one code serves for all. One spread
        # for all of them: those that say more are to be told more finely.
        self.spread = nn.BatchNorm1d(1, affine=False)
        self.read_linear = nn.Linear(STRIDE * CANONICAL, latent, bias=False)
        self.write_linear = nn.Linear(latent, STRIDE * CANONICAL, bias=False)
        self.quantizer = VectorQuantizer(config.groups, config.codes, config.code_dim, config.levels)
        self.from_latent = nn.Linear(latent, dim)
        self.decoder = nn.ModuleList(PairBlock(dim, config.heads) for _ in range(config.depth))
        self.upsample = nn.ModuleList(nn.ConvTranspose1d(dim, dim, 4, stride=2, padding=1) for _ in range(2))
        self.last = PairBlock(dim, config.heads)
        self.write = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, CANONICAL))

    @torch.no_grad()
    def start(self, numbers: Tensor, body: TorchBody) -> None:
        """Set scales from canonical numbers (B, T, 2, 147), and the linear paths to their principal components."""
        self.mean.copy_(numbers.reshape(-1, CANONICAL).mean(dim=0))
        self.deviation.copy_(_UNIT / leverage(body).to(numbers))
        scaled = self._tokens((numbers - self.mean) / self.deviation).flatten(end_dim=2)
        basis = torch.linalg.eigh((scaled.T @ scaled).double()).eigenvectors.flip(1).T.to(scaled)
        groups, size = self.config.groups, self.config.code_dim
        # Dealt out so that each part of the latent has strong and weak ones.
        dealt = torch.arange(groups * size).view(size, groups)
        dealt[1::2] = dealt[1::2].flip(1)
        basis = basis[dealt.T.flatten().to(basis.device)]
        spread = (scaled @ basis.T).square().mean().sqrt()
        self.read_linear.weight.copy_(basis / spread)
        self.write_linear.weight.copy_(basis.T * spread)
        for layer in (self.to_latent[1], self.write[1]):
            for parameter in layer.parameters():
                parameter.mul_(0.01)

    def _tokens(self, scaled: Tensor) -> Tensor:
        """(B, 2, T / 4, 4 * 147) of (B, T, 2, 147)."""
        result: Tensor = scaled.transpose(1, 2).unflatten(2, (-1, STRIDE)).flatten(start_dim=3)
        return result

    def latents(self, numbers: Tensor) -> Tensor:
        """(B, 2, T / 4, latent) of canonical numbers (B, T, 2, 147), the last frame held up to a multiple of 4."""
        missing = -numbers.shape[1] % STRIDE
        if missing:
            numbers = torch.cat([numbers, numbers[:, -1:].expand(-1, missing, -1, -1)], dim=1)
        scaled = (numbers - self.mean) / self.deviation
        x = self.read(scaled).transpose(1, 2)
        x = x + self.positions[: x.shape[2]]
        for layer in self.downsample:
            x = _along_time(layer, gelu(x))
        x = x + self.positions[: x.shape[2]]
        for block in self.encoder:
            x = block(x)
        latents = self.to_latent(x) + self.read_linear(self._tokens(scaled))
        result: Tensor = self.spread(latents.reshape(-1, 1)).view(latents.shape)
        return result

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Canonical numbers (B, T, 2, 147) of latents (B, 2, T / 4, latent)."""
        x = self.from_latent(latents) + self.positions[: latents.shape[2]]
        for block in self.decoder:
            x = block(x)
        for layer in self.upsample:
            x = _along_time(layer, gelu(x))
        x = self.last(x + self.positions[: x.shape[2]])
        scaled = self.write(x) + self.write_linear(latents).unflatten(3, (STRIDE, -1)).flatten(2, 3)
        result: Tensor = (scaled * self.deviation + self.mean).transpose(1, 2)
        return result

    def forward(self, numbers: Tensor) -> Reconstruction:
        """Encode, quantise and decode canonical numbers (B, T, 2, 147) of any T."""
        frames = numbers.shape[1]
        latents = self.latents(numbers)
        flat = self.quantizer(latents.flatten(end_dim=2))
        decoded = self.decode_latents(flat.vectors.view(latents.shape))
        return Reconstruction(decoded[:, :frames], flat.codes.view(*latents.shape[:3], -1), flat.commitment)

    def decode(self, codes: Tensor) -> Tensor:
        """Canonical numbers (B, T, 2, 147) of codes (B, 2, T / 4, C)."""
        return self.decode_latents(self.quantizer.vectors(codes.flatten(end_dim=2)).unflatten(0, codes.shape[:3]))

    def decode_nearest(self, latents: Tensor) -> Tensor:
        """Canonical numbers (B, T, 2, 147) of the codes nearest to latents (B, 2, T / 4, latent)."""
        return self.decode_latents(self.quantizer(latents.flatten(end_dim=2)).vectors.view(latents.shape))

    def project(self, motion: PairMotion, up: Tensor) -> PairMotion:
        """The motion nearest to which the codes know one, in the given motion's frame."""
        frames = pair_frames(motion, up)
        return frames.back(self(frames.into(motion)).numbers)


def _along_time(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution over T to (B, 2, T, D)."""
    batch, people = x.shape[:2]
    result: Tensor = layer(x.flatten(0, 1).mT).mT.unflatten(0, (batch, people))
    return result


def leverage(body: TorchBody) -> Tensor:
    """(147,) metres: how far the joints of the mean shape move, as a root mean square, for a change of each canonical
    number by 1."""
    rest = body.rest_joints(torch.zeros(1, device=body.template.device)).reshape(24, 3)
    parents = body.parents
    below = torch.eye(24, dtype=torch.bool)
    for joint in range(23, 0, -1):  # children come after their parents
        below[parents[joint]] |= below[joint]
    arms = (rest[None] - rest[:, None]).square().sum(dim=-1) * below.to(rest)
    turns = arms.mean(dim=1).sqrt().clamp(min=_LEAST)
    return torch.cat([turns.repeat_interleave(6), rest.new_ones(3)])


def prior_losses(
    prior: InteractionPrior, body: TorchBody, reconstruction: Reconstruction, numbers: Tensor
) -> dict[str, Tensor]:
    """Losses of the prior: scaled numbers, joints (m), joint velocity (m a frame), commitment; all ()."""
    ours, truth = (canonical_joints(body, x) for x in (reconstruction.numbers, numbers))
    losses = {
        "numbers": ((reconstruction.numbers - numbers) / prior.deviation).square().mean(),
        "joints": (ours - truth).abs().mean(),
        "commitment": reconstruction.commitment,
    }
    if numbers.shape[1] > 1:
        losses["velocity"] = (ours.diff(dim=1) - truth.diff(dim=1)).abs().mean()
    return losses


def canonical_joints(body: TorchBody, numbers: Tensor) -> Tensor:
    """Joints (B, T, 2, 24, 3) in metres of canonical numbers, on the mean shape, each person in their own frame."""
    still = PairFrames(torch.eye(3, device=numbers.device), numbers.new_zeros(3))
    motion = still.back(numbers)
    betas = numbers.new_zeros(1)
    skeleton = body.skeleton(motion.rotations, betas, motion.pelvis - body.rest_joints(betas)[0])
    return skeleton.joints


class PriorReport(NamedTuple):
    """Codebook use (of ``codes``) and mean joint error in mm of the reconstruction."""

    perplexity: float
    codes: int
    mpjpe_mm: float


@torch.no_grad()
def report(prior: InteractionPrior, body: TorchBody, numbers: Tensor) -> PriorReport:
    """How well a prior knows windows of canonical numbers (B, T, 2, 147); the prior's mode is left as it is."""
    training = prior.training
    result = prior.eval()(numbers)
    prior.train(training)
    error = (canonical_joints(body, result.numbers) - canonical_joints(body, numbers)).norm(dim=-1)
    used = perplexity(result.codes.flatten(end_dim=2), prior.config.codes)
    return PriorReport(used, prior.config.codes, 1000.0 * float(error.mean()))


class CodeModel(nn.Module):
    """Which codes go together: a small diffusion model of latents, from which interactions are drawn.

    It draws the latents of a window all at once and leaves it to the quantiser to make codes of them. One code after
    the other, a window would be a row of hundreds.
    """

    positions: Tensor
    times: Tensor
    shares: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: PriorConfig, dim: int = 160, heads: int = 5, depth: int = 4) -> None:
        super().__init__()
        self.size = (dim, heads, depth)
        self.latent = latent = config.groups * config.code_dim
        schedule = CosineSchedule(_NOISE_STEPS)
        self.register_buffer("positions", sinusoid_table(_LONGEST, dim), persistent=False)
        self.register_buffer("times", sinusoid_table(_NOISE_STEPS, dim), persistent=False)
        shares = torch.as_tensor(schedule.alphas_cumprod, dtype=torch.float32)
        self.register_buffer("shares", shares, persistent=False)
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("deviation", torch.ones(latent))
        self.read = nn.Linear(latent, dim)
        self.read_time = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.blocks = nn.ModuleList(PairBlock(dim, heads) for _ in range(depth))
        self.write = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, latent))

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """Set scales from latents (B, 2, T / 4, latent)."""
        rows = latents.reshape(-1, self.latent)
        self.mean.copy_(rows.mean(dim=0))
        self.deviation.copy_(rows.std(dim=0).clamp(min=1e-4))

    def _velocity(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Noise times sqrt(a) less clean times sqrt(1 - a), of noisy scaled latents and timesteps (B,)."""
        time = self.read_time(self.times[timesteps])[:, None, None]
        x = self.read(noisy) + self.positions[: noisy.shape[2]] + time
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.write(x)
        return result

    def loss(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Mean squared error () on latents (B, 2, T / 4, latent) with noise of that shape at timesteps (B,).

        Of velocities, see ``_velocity`` (Salimans and Ho, "Progressive Distillation", ICLR 2022); latents that vary
        more count more.
        """
        clean = (latents - self.mean) / self.deviation
        share = self.shares[timesteps][:, None, None, None]
        noisy = share.sqrt() * clean + (1.0 - share).sqrt() * noise
        wanted = share.sqrt() * noise - (1.0 - share).sqrt() * clean
        weight = self.deviation / self.deviation.mean()
        return (weight * (self._velocity(noisy, timesteps) - wanted).square()).mean()

    @torch.no_grad()
    def sample(self, count: int, frames: int, seed: int = 0, steps: int = 50) -> Tensor:
        """Latents (count, 2, frames / 4, latent); ``InteractionPrior.decode_nearest`` makes motion of them.

        Args:
            frames: best what it was trained on. steps: of at most 100 of the sampler.
        """
        noise = window_noise(count, -(-frames // STRIDE), self.latent, seed).transpose(1, 2).to(self.mean)

        def clean(x: Tensor, step: DDIMStep) -> Tensor:
            share = self.shares[step.timestep]
            timesteps = torch.full((count,), step.timestep, device=x.device)
            return share.sqrt() * x - (1.0 - share).sqrt() * self._velocity(x, timesteps)

        scaled = ddim_sample(clean, noise, CosineSchedule(_NOISE_STEPS).spaced(steps))
        return scaled * self.deviation + self.mean


@torch.no_grad()
def draw_interactions(
    prior: InteractionPrior, codes: CodeModel, body: TorchBody, count: int, frames: int = 16, seed: int = 0
) -> PairMotion:
    """Interactions drawn from nothing: (count, frames, 2), metres, Z up, the first person facing +X.

    Of the mean shape of ``body``, with the lowest joint as high over the floor, z = 0, as it is over a standing sole.
    """
    numbers = prior.decode_nearest(codes.sample(count, frames, seed))[:, :frames]
    first = numbers.new_tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    axes = torch.stack([first, first * first.new_tensor([-1.0, 1.0, -1.0])])
    motion = PairFrames(axes, numbers.new_zeros(3)).back(numbers)
    shape = numbers.new_zeros(1)
    rest = body.rest_joints(shape)
    posed = body.skeleton(motion.rotations, shape, motion.pelvis - rest[0]).joints
    lowest = posed[..., 2].flatten(start_dim=1).amin(dim=1) - (rest[:, 1].min() - body.template[:, 1].min())
    up = numbers.new_tensor([0.0, 0.0, 1.0])
    return PairMotion(motion.rotations, motion.pelvis - lowest[:, None, None, None] * up)


def save_prior(
    prior: InteractionPrior, path: str | Path, codes: CodeModel | None = None, dtype: torch.dtype = torch.float32
) -> None:
    """Write a prior, and the model of its codes if there is one, as safetensors. float16 halves the file."""
    weights = {f"prior.{name}": tensor for name, tensor in prior.state_dict().items()}
    if codes is not None:
        weights |= {f"codes.{name}": tensor for name, tensor in codes.state_dict().items()}
    config = {"prior": asdict(prior.config), "codes": None if codes is None else list(codes.size)}
    save_weights(path, FORMAT, config, weights, dtype)


@functools.lru_cache(maxsize=1)
def default_prior() -> tuple[InteractionPrior, CodeModel]:
    """The bundled prior and the model of its codes, on the CPU, read once.

    Raises:
        CloseintError: it is not there (exit code 3) or damaged.
    """
    prior, codes = load_prior(DEFAULT_PRIOR)
    if codes is None:
        raise CloseintError(f"{DEFAULT_PRIOR} has no model of its codes.", "Install closeint again.")
    return prior, codes


def load_prior(path: str | Path) -> tuple[InteractionPrior, CodeModel | None]:
    """Read a file of ``save_prior``; in evaluation mode, on the CPU.

    Raises:
        CloseintError: missing (exit code 3), damaged, of another kind, or not fitting its configuration.
    """
    path = Path(path)
    values, weights = load_weights(path, FORMAT)
    sizes = values.get("codes")
    whole = sizes is None or (isinstance(sizes, list) and len(sizes) in (0, 3) and all(type(n) is int for n in sizes))
    if not isinstance(values.get("prior"), dict) or not whole:
        raise CloseintError(f"{path} does not say how its networks are made.", "Choose another file.")
    config = PriorConfig.from_dict(values["prior"])
    makers: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "prior.": (lambda: InteractionPrior(config), config.depth)
    }
    if sizes:
        check_sizes("codes", dict(zip(("dim", "heads", "depth"), sizes, strict=True)))
        makers["codes."] = (lambda: CodeModel(config, *sizes), sizes[2])
    made: dict[str, nn.Module] = {}
    for prefix, (make, depth) in makers.items():
        found = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        check_shapes(make, depth, found, path)
        module = made[prefix] = make()
        checked = check_weights(found, module.state_dict(), path, lambda name: True)
        module.load_state_dict({name: tensor.to(module.state_dict()[name].dtype) for name, tensor in checked.items()})
    prior, codes = made["prior."].eval(), made.get("codes.")
    assert isinstance(prior, InteractionPrior)
    assert codes is None or isinstance(codes, CodeModel)
    return prior, codes.eval() if codes is not None else None
