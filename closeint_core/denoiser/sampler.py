# SPDX-License-Identifier: Apache-2.0
"""Draws two people's motion from the denoiser: hoisted conditions, batched windows, guidance, CUDA graphs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.ddim import DDIMStep, ddim_steps, window_noise
from closeint_core.denoiser.guidance import Guide
from closeint_core.denoiser.network import LIVE_BELOW, Denoiser
from closeint_core.denoiser.schedule import CosineSchedule
from closeint_core.denoiser.state import STATE, PairState, mean_state
from closeint_core.errors import CloseintError

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
LARGEST_BATCH = 256  # windows at once; more are run in turn, so that memory stays bounded

PenetrationInput = Callable[[PairState, Crops], Tensor]
"""(B, T) value of the penetration input for a motion; used by the flavours 257 and 335."""


class Sampler:
    """Samples a denoiser whose weights do not change.

    Args:
        model: in evaluation mode on the wanted device.
        steps: DDIM steps.
        guides: applied between steps, in order.
        penetration: fills the network's penetration input in the steps in which it counts; without it the input
            says "off", as the published demo has it.
        precision: of matrix products, one of ``PRECISIONS``; None is tf32 on CUDA (measured: joints move by 0.2 mm on
            average, one window in 2.3 instead of 2.8 ms, 64 in 6.0 instead of 9.2 on an H200) and float32 elsewhere.
        graphs: replay the whole loop as one CUDA graph for each shape seen; only without guides and penetration.
    """

    def __init__(
        self,
        model: Denoiser,
        steps: int = 5,
        guides: Sequence[Guide] = (),
        penetration: PenetrationInput | None = None,
        precision: str | None = None,
        graphs: bool = True,
    ) -> None:
        if precision is None:
            precision = "tf32" if model.positions.is_cuda else "float32"
        if precision not in PRECISIONS:
            raise CloseintError(f"The precision {precision!r} is not one of {', '.join(PRECISIONS)}.")
        self.model = model.eval()
        self.device = model.positions.device
        self.schedule = CosineSchedule(model.config.diffusion_steps).spaced(steps)
        self.guides = list(guides)
        self.penetration = penetration if model.config.penetration else None
        self.precision = precision
        self.graphs = graphs and self.device.type == "cuda" and not self.guides and self.penetration is None
        self._captured: dict[tuple[object, ...], _Graph] = {}
        # As a tensor on the device: indexing with Python numbers would copy from the host inside a graph.
        self._timesteps = torch.as_tensor(self.schedule.timesteps, device=self.device)
        with torch.no_grad():
            self.fused = model.fuse()

    def sample(self, conditions: Conditions, noise: Tensor | None = None, seed: int = 0) -> PairState:
        """Draw the motion of B windows of T frames.

        Args:
            conditions: of batch shape (B, T, 2), on any device.
            noise: (B, T, 2, 157) standard normal; drawn from ``seed``, window by window, if not given. The same
                seed gives the same result, and window i of a batch what ``seed`` gives it as i-th of any batch.

        Returns:
            State of batch shape (B, T, 2) on the model's device.
        """
        windows, frames = conditions.init_pose6d.shape[:2]
        if noise is None:
            noise = window_noise(windows, frames, STATE, seed)
        if noise.shape != (windows, frames, 2, STATE):
            raise ValueError(f"noise must be {(windows, frames, 2, STATE)}, not {tuple(noise.shape)}")
        conditions, noise = conditions.to(self.device), noise.to(self.device)
        parts = []
        for start in range(0, windows, LARGEST_BATCH):
            part = slice(start, start + LARGEST_BATCH)
            parts.append(self._run(conditions[part], noise[part]))
        return PairState.of(torch.cat(parts) if len(parts) > 1 else parts[0])

    def _run(self, conditions: Conditions, noise: Tensor) -> Tensor:
        if not self.graphs:
            with self._arithmetic():
                return self._loop(conditions, noise)
        key = (tuple(noise.shape), *(_shape(getattr(conditions, f.name)) for f in fields(conditions)))
        if key not in self._captured:
            with self._arithmetic():
                self._captured[key] = _Graph(self._loop, conditions, noise)
        return self._captured[key].replay(conditions, noise)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        before = torch.backends.cuda.matmul.allow_tf32
        half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.precision)
        torch.backends.cuda.matmul.allow_tf32 = self.precision != "float32"
        try:
            with torch.autocast(
                self.device.type, half or torch.bfloat16, enabled=half is not None, cache_enabled=not self.graphs
            ):
                yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    @torch.no_grad()
    def _loop(self, conditions: Conditions, noise: Tensor) -> Tensor:
        """(B, T, 2, 157), the clean motion."""
        model, crops = self.model, conditions.crops
        prepared = model.prepare(conditions)
        mean = mean_state(conditions.init_pose6d).transpose(1, 2)
        x = noise.transpose(1, 2)
        clean = x
        for step in ddim_steps(self.schedule):
            share = float(self.schedule.alphas_cumprod[step.position]) ** 0.5
            if self.guides:
                x = share * (self._guided(x / share + mean, crops, step, "noisy") - mean)
            if self.penetration is not None and step.timestep < LIVE_BELOW and prepared.extras is not None:
                value = self.penetration(PairState.of((x + mean).transpose(1, 2)), crops)
                prepared.extras[..., 0] = value[:, None]
            embedding = model.embed(prepared, self._timesteps[step.position])
            clean = model.denoise(x, embedding, prepared, self.fused).float()
            if self.guides:
                clean = self._guided(clean + mean, crops, step, "clean") - mean
            x = step.from_clean * clean + step.from_noisy * x
        return (clean + mean).transpose(1, 2).contiguous()

    def _guided(self, numbers: Tensor, crops: Crops, step: DDIMStep, method: str) -> Tensor:
        """Guides see (B, T, 2, ...); people come first in the loop."""
        for guide in self.guides:
            numbers = getattr(guide, method)(numbers.transpose(1, 2), crops, step).transpose(1, 2)
        return numbers


class _Graph:
    """One recorded run of the loop, with the tensors that it reads and writes."""

    def __init__(self, loop: Callable[[Conditions, Tensor], Tensor], conditions: Conditions, noise: Tensor) -> None:
        self.inputs = [tensor.clone() for tensor in _tensors(conditions, noise)]
        still = _rebuild(conditions, iter(self.inputs))
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries allocate their workspaces before the recording
            for _ in range(3):
                loop(still, self.inputs[-1])
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = loop(still, self.inputs[-1])

    def replay(self, conditions: Conditions, noise: Tensor) -> Tensor:
        for mine, given in zip(self.inputs, _tensors(conditions, noise), strict=True):
            mine.copy_(given)
        self.graph.replay()
        return self.output.clone()


def _tensors(conditions: Conditions, noise: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    for field in fields(conditions):
        part = getattr(conditions, field.name)
        if isinstance(part, Crops):
            found += [getattr(part, f.name) for f in fields(part)]
        elif part is not None:
            found.append(part)
    return [*found, noise]


def _rebuild(conditions: Conditions, tensors: Iterator[Tensor]) -> Conditions:
    """The same conditions with tensors taken in the order of ``_tensors``."""
    parts: dict[str, Crops | Tensor | None] = {}
    for field in fields(conditions):
        part = getattr(conditions, field.name)
        if isinstance(part, Crops):
            parts[field.name] = Crops(*(next(tensors) for _ in fields(part)))
        else:
            parts[field.name] = None if part is None else next(tensors)
    return Conditions(**parts)  # type: ignore[arg-type]


def _shape(part: object) -> object:
    if isinstance(part, Crops):
        return tuple(part.side.shape)
    return None if part is None else tuple(part.shape)  # type: ignore[attr-defined]
