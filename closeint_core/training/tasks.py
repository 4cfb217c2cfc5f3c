# SPDX-License-Identifier: Apache-2.0
"""What can be trained: the denoiser, the prior, and the model of the prior's codes.

A task knows its network, what a step's inputs are, what the loss is, and how the result is judged and saved. The loop
itself (``trainer``) knows none of that.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.canonical import pair_frames
from closeint_core.denoiser.checkpoint import load_denoiser, save_denoiser
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.prior import CodeModel, InteractionPrior, load_prior, prior_losses, save_prior
from closeint_core.denoiser.schedule import CosineSchedule
from closeint_core.denoiser.state import STATE, mean_state
from closeint_core.errors import CloseintError
from closeint_core.training.batches import BatchSource, MotionBatch, TrainingBatch
from closeint_core.training.config import OptimizerConfig, TrainingConfig
from closeint_core.training.losses import DenoiserLosses
from closeint_core.training.schedule import OwnStart, draw_own, draw_timesteps, visited_timesteps
from closeint_core.training.synthetic.solve import Tools
from closeint_core.training.validation import Judged, judge_codes, judge_denoiser, judge_prior

DTYPES = {"float32": torch.float32, "float16": torch.float16}
_START_STEPS = 8  # batches whose principal components the prior begins with


class MotionSource(Protocol):
    """Where the prior's windows come from: a function of the step."""

    def motions(self, step: int, plain: bool = False) -> MotionBatch:
        """The windows of a step; if ``plain``, interactions as they are alone."""
        ...


class Task(ABC):
    """One network's training.

    Attributes:
        name: of the log and of the files. network: what is trained. objective: maps the inputs of a step to the loss
            and its terms; it holds the network, so that gradients of several processes meet and all is compiled.
        steps: of the optimiser. optimizer: its settings.
        recordable: the objective can be recorded as a CUDA graph (see ``passes``).
    """

    recordable = False
    name: str
    network: nn.Module
    objective: nn.Module
    steps: int
    optimizer: OptimizerConfig

    @abstractmethod
    def inputs(self, step: int) -> tuple[Any, ...]:
        """What the objective takes in a step; random numbers are drawn from torch's state."""

    @abstractmethod
    def judge(self, network: nn.Module) -> Judged:
        """Measures and pictures on the held-out side; ``network`` is an average of weights."""

    @abstractmethod
    def save(self, network: nn.Module, folder: Path) -> list[Path]:
        """Write weights as the product reads them."""

    def start(self) -> None:  # noqa: B027 - most tasks have nothing to do
        """Before the first step of a run that begins."""

    def rate(self, name: str) -> float:
        """Learning rate of a parameter relative to the others."""
        return 1.0


# -- the denoiser ------------------------------------------------------------------------------------------------


class DenoiserObjective(nn.Module):
    """Noise in, clean motion out: predicts x0 and compares it with the truth.

    Args:
        sampled_steps: of sampling, which starts from nothing where windows learn from the network's own answers.
    """

    shares: Tensor
    factors: Tensor

    def __init__(self, network: Denoiser, losses: DenoiserLosses, precision: str, sampled_steps: int) -> None:
        super().__init__()
        self.network = network
        self._losses = [losses]  # in a list: the body in it is no part of what is trained
        self.narrow = precision == "bf16"
        steps = network.config.diffusion_steps
        table = torch.as_tensor(CosineSchedule(steps).alphas_cumprod, dtype=torch.float32)
        self.register_buffer("shares", table, persistent=False)
        # With x = 0 at the first timestep, DDIM takes the noise to be a multiple of the answer, and keeps to that.
        self.first = int(visited_timesteps(sampled_steps, steps, torch.device("cpu"))[-1])
        kept = (table[self.first] / (1.0 - table[self.first])).sqrt()
        self.register_buffer("factors", table.sqrt() - (1.0 - table).sqrt() * kept, persistent=False)

    def forward(
        self, batch: TrainingBatch, noise: Tensor, timesteps: Tensor, own: OwnStart | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss () and its terms; noise (B, T, 2, 157), timesteps (B,)."""
        mean = mean_state(batch.conditions.init_pose6d)
        share = self.shares[timesteps][:, None, None, None]
        noisy = share.sqrt() * (batch.target - mean) + (1.0 - share).sqrt() * noise
        if own is not None:
            count = len(own)
            made = self.made_of_nothing(batch.conditions[slice(0, count)], timesteps[:count], own)
            noisy = torch.cat((made, noisy[count:]))
        with torch.autocast(noisy.device.type, torch.bfloat16, enabled=self.narrow):
            residual = self.network(noisy, timesteps, batch.conditions)
        terms = self._losses[0](residual.float() + mean, batch)
        return self._losses[0].total(terms), terms

    @torch.no_grad()
    def made_of_nothing(self, conditions: Conditions, timesteps: Tensor, own: OwnStart) -> Tensor:
        """(N, T, 2, 157), what sampling from zeros would hold at ``timesteps`` (N,), had it come there in one step
        from the network's first or second answer; zeros where the network has not looked yet."""
        passes = own.passes[:, None, None, None]
        # An autocast of its own: what it keeps of the weights would lack their gradients in the pass that learns.
        with torch.autocast(timesteps.device.type, torch.bfloat16, enabled=self.narrow):
            prepared, fused = self.network.prepare(conditions), self.network.fuse()
            nothing = conditions.init_pose6d.new_zeros(*conditions.init_pose6d.shape[:-1], STATE).transpose(1, 2)
            start = torch.full_like(timesteps, self.first)
            answer = self.network.denoise(nothing, self.network.embed(prepared, start), prepared, fused).float()
            x = self.factors[own.between][:, None, None, None] * answer
            second = self.network.denoise(x, self.network.embed(prepared, own.between), prepared, fused).float()
        answer = self.factors[timesteps][:, None, None, None] * torch.where(passes > 1, second, answer)
        return torch.where(passes > 0, answer, nothing).transpose(1, 2)


class DenoiserTask(Task):
    """Trains ``denoiser.network.Denoiser``.

    Args:
        body: on the device. held_out: what the network is judged on.
        tools: of that body for the losses; made, which takes seconds, if not given.
    """

    name = "denoiser"
    recordable = True

    def __init__(
        self,
        config: TrainingConfig,
        body: TorchBody,
        source: BatchSource,
        held_out: BatchSource,
        tools: Tools | None = None,
    ) -> None:
        self.config, self.body, self.source, self.held_out = config, body, source, held_out
        device = body.template.device
        if config.initial:
            self.network: Denoiser = load_denoiser(config.initial).to(device)
            if self.network.config != config.denoiser:
                raise CloseintError(
                    f"The weights {config.initial} are of another network ({self.network.config}).",
                    "Make the configuration's 'denoiser' equal to it.",
                )
        else:
            self.network = Denoiser(config.denoiser).to(device)
            start_near_the_mean(self.network)
        losses = DenoiserLosses(body, config.losses, tools)
        self.objective = DenoiserObjective(self.network, losses, config.precision, config.diffusion.sampled_steps).to(
            device
        )
        self.steps, self.optimizer = config.steps, config.optimizer
        self._judged_on: list[TrainingBatch] | None = None

    def inputs(self, step: int) -> tuple[Any, ...]:
        """What the training step takes in this step."""
        batch = self.source.batch(step)
        if batch.conditions.single is None:
            # Said rather than left out, every weight has a gradient in every step, and one compiled program serves all.
            single = batch.target.new_zeros(batch.target.shape[:2])
            batch = replace(batch, conditions=replace(batch.conditions, single=single))
        noise = torch.randn_like(batch.target)
        diffusion, steps = self.config.diffusion, self.network.config.diffusion_steps
        timesteps = draw_timesteps(diffusion, steps, len(noise), noise.device)
        own, timesteps = draw_own(diffusion, steps, timesteps)
        return batch, noise, timesteps, own

    def judge(self, network: nn.Module) -> Judged:
        """The network's figures on what is held out."""
        if self._judged_on is None:
            self._judged_on = windows_of(self.held_out.batch, self.config.validation.windows)
        assert isinstance(network, Denoiser)
        return judge_denoiser(network, self.body, self._judged_on, self.config.validation.pictures)

    def save(self, network: nn.Module, folder: Path) -> list[Path]:
        """Write the network's files into a folder; returns their paths."""
        assert isinstance(network, Denoiser)
        paths = [folder / f"denoiser_{name}.safetensors" for name in DTYPES]
        for path, dtype in zip(paths, DTYPES.values(), strict=True):
            save_denoiser(network, path, dtype)
        return paths


@torch.no_grad()
def start_near_the_mean(network: Denoiser) -> None:
    """Let a new network answer almost nothing, that is with the initial pose and an ordinary camera.

    As PyTorch makes it, it would answer with crop cameras near 0, people kilometres away, and losses to match.
    """
    for head in (network.head, network.shape_head, network.cam_head):
        for parameter in head[1].parameters():
            parameter.mul_(0.01)


def windows_of(batch: Any, count: int) -> list[Any]:
    """Batches of the first steps, together ``count`` windows (``batch`` is a source's method)."""
    found: list[Any] = []
    have = 0
    while have < count:
        part = batch(len(found))
        found.append(part if have + len(part) <= count else part[slice(0, count - have)])
        have += len(part)
    return found


# -- the prior ---------------------------------------------------------------------------------------------------


def canonical_numbers(batch: MotionBatch) -> Tensor:
    """(B, T, 2, 147), see ``denoiser.canonical``."""
    return pair_frames(batch.motion, batch.up).into(batch.motion)


class PriorObjective(nn.Module):
    """Encode, quantise, decode, compare."""

    def __init__(self, network: InteractionPrior, body: TorchBody, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self._body = [body]
        self.narrow = config.precision == "bf16"
        self.weights = config.prior_losses

    def forward(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss () and its terms for canonical numbers (B, T, 2, 147)."""
        with torch.autocast(numbers.device.type, torch.bfloat16, enabled=self.narrow):
            made = self.network(numbers)
        made = made._replace(numbers=made.numbers.float(), commitment=made.commitment.float())
        terms = prior_losses(self.network, self._body[0], made, numbers)
        total = torch.stack([getattr(self.weights, name) * value for name, value in terms.items()]).sum()
        return total, terms


class PriorTask(Task):
    """Trains ``denoiser.prior.InteractionPrior``."""

    name = "prior"

    def __init__(self, config: TrainingConfig, body: TorchBody, source: MotionSource, held_out: MotionSource) -> None:
        self.config, self.body, self.source, self.held_out = config, body, source, held_out
        device = body.template.device
        if config.initial:
            self.network: InteractionPrior = load_prior(config.initial)[0].to(device)
            if self.network.config != config.prior:
                raise CloseintError(
                    f"The weights {config.initial} are of another prior ({self.network.config}).",
                    "Make the configuration's 'prior' equal to it.",
                )
        else:
            self.network = InteractionPrior(config.prior).to(device)
        self.objective = PriorObjective(self.network, body, config)
        self.steps, self.optimizer = config.steps, config.optimizer
        self._judged_on: Tensor | None = None

    def start(self) -> None:
        """Set what the network has to know of its data before the first step."""
        if not self.config.initial:
            parts = [canonical_numbers(self.source.motions(step)) for step in range(_START_STEPS)]
            self.network.start(torch.cat(parts), self.body)

    def inputs(self, step: int) -> tuple[Any, ...]:
        """What the training step takes in this step."""
        return (canonical_numbers(self.source.motions(step)),)

    def judged_on(self) -> Tensor:
        """Canonical numbers of the held-out windows."""
        if self._judged_on is None:
            count = self.config.validation.windows
            self._judged_on = torch.cat(windows_of(lambda step: canonical_numbers(self.held_out.motions(step)), count))
        return self._judged_on

    def judge(self, network: nn.Module) -> Judged:
        """The network's figures on what is held out."""
        assert isinstance(network, InteractionPrior)
        return judge_prior(network, self.body, self.judged_on(), self.config.validation.pictures)

    def save(self, network: nn.Module, folder: Path) -> list[Path]:
        """Write the network's files into a folder; returns their paths."""
        assert isinstance(network, InteractionPrior)
        return save_priors(network, None, folder)


def save_priors(prior: InteractionPrior, codes: CodeModel | None, folder: Path) -> list[Path]:
    """Write ``prior_float32`` and ``prior_float16``."""
    paths = [folder / f"prior_{name}.safetensors" for name in DTYPES]
    for path, dtype in zip(paths, DTYPES.values(), strict=True):
        save_prior(prior, path, codes, dtype)
    return paths


class CodesObjective(nn.Module):
    """Noise in, clean latents out."""

    def __init__(self, network: CodeModel, precision: str) -> None:
        super().__init__()
        self.network = network
        self.narrow = precision == "bf16"

    def forward(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss () of latents (B, 2, T / 4, L), noise of that shape, timesteps (B,)."""
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=self.narrow):
            loss = self.network.loss(latents, noise, timesteps)
        return loss.float(), {"denoising": loss.float()}


class CodesTask(Task):
    """Trains ``denoiser.prior.CodeModel`` on the latents of a finished prior."""

    name = "codes"

    def __init__(self, config: TrainingConfig, prior: InteractionPrior, of_prior: PriorTask) -> None:
        self.config, self.of_prior = config, of_prior
        self.prior = copy.deepcopy(prior).eval().requires_grad_(False)
        device = of_prior.body.template.device
        sizes = config.codes
        self.network: CodeModel = CodeModel(config.prior, sizes.dim, sizes.heads, sizes.depth).to(device)
        self.objective = CodesObjective(self.network, sizes.precision)
        self.steps = sizes.steps
        self.optimizer = replace(config.optimizer, learning_rate=sizes.learning_rate)

    def start(self) -> None:
        """Set what the network has to know of its data before the first step."""
        self.network.start(torch.cat([self._latents(step) for step in range(_START_STEPS)]))

    def _latents(self, step: int) -> Tensor:
        numbers = canonical_numbers(self.of_prior.source.motions(step, plain=True))
        with torch.no_grad():
            return self.prior.latents(numbers)

    def inputs(self, step: int) -> tuple[Any, ...]:
        """What the training step takes in this step."""
        latents = self._latents(step)
        timesteps = torch.randint(len(self.network.shares), (len(latents),), device=latents.device)
        return latents, torch.randn_like(latents), timesteps

    def judge(self, network: nn.Module) -> Judged:
        """The network's figures on what is held out."""
        assert isinstance(network, CodeModel)
        numbers, pictures = self.of_prior.judged_on(), self.config.validation.pictures
        return judge_codes(network, self.prior, self.of_prior.body, numbers, pictures)

    def save(self, network: nn.Module, folder: Path) -> list[Path]:
        """Write the network's files into a folder; returns their paths."""
        assert isinstance(network, CodeModel)
        return save_priors(self.prior, network, folder)


def count_parameters(network: nn.Module) -> int:
    """Trained numbers of a network."""
    return int(np.sum([parameter.numel() for parameter in network.parameters()]))
