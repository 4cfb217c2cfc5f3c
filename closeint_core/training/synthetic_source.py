# SPDX-License-Identifier: Apache-2.0
"""Windows of synthetic interactions, seen by simulated cameras and detectors: endless, on the device, never stored.

A pool of interactions is kept in memory and renewed chunk by chunk while the network trains, so that making them costs
a share of the time that can be chosen. Every step cuts other windows out of the pool and looks at them with other
cameras and other errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import ORDINARY_FOCAL
from closeint_core.denoiser.canonical import PairMotion
from closeint_core.denoiser.network import MAX_POSITIONS
from closeint_core.denoiser.state import PairState
from closeint_core.errors import CloseintError
from closeint_core.reconstruction.window_conditions import window_conditions
from closeint_core.training.augmentation import loosened, repaired
from closeint_core.training.batches import MotionBatch, Share, TrainingBatch
from closeint_core.training.observation import DetectorErrors, SimulatedObservations, observe
from closeint_core.training.plan_workers import Planned, planners_of
from closeint_core.training.synthetic.generate import Generator, Interactions
from closeint_core.training.synthetic.solve import halpe_points
from closeint_core.training.synthetic.spec import Collection

_UP = (0.0, 0.0, 1.0)
_FARTHEST_FOCAL = 1.4  # a wrong focal length is wrong by this factor at most


@dataclass(frozen=True)
class DataConfig:
    """What is made and what is cut out of it.

    Attributes:
        kinds: names of interactions; empty for all of the split in ``collection``, ``first`` or ``wide`` (see
            ``synthetic.spec.Collection``).
        pool: interactions in memory on each device. chunk: made at once. clip: frames of each.
        renew: steps after which the oldest chunk is made anew; 0 never.
        ahead: steps whose windows are cut out and observed at once: a GPU is told as much for many as for few.
        frames: of a window. strides: every how many frames a window takes, in equal shares.
        alone: share of windows in which nobody sees the other (the network learns to do without).
        hidden: share of windows in which one person is unseen for a while, up to the whole window.
        unknown_focal: share of windows in which the focal length is the guess that is made for ordinary footage.
        loosened, repaired: shares of windows whose joints are turned at random, and whose second person is another's
            (see ``variation``).
        noise: spread (log) of the detectors' errors from step to step.
        solver_steps, oversample: of the generator (see there).
        planners: threads, beside a GPU processes, that plan interactions ahead while others are solved.
        motions: folder of single-person motion that shapes gait, strikes and dance; empty for none.
    """

    kinds: tuple[str, ...] = ()
    collection: Collection = "first"
    pool: int = 4096
    chunk: int = 512
    clip: int = 48
    renew: int = 100
    ahead: int = 4
    frames: int = 16
    strides: tuple[int, ...] = (1, 1, 2)
    alone: float = 0.12
    hidden: float = 0.2
    unknown_focal: float = 0.5
    loosened: float = 0.35
    repaired: float = 0.15
    noise: float = 0.3
    solver_steps: int = 70
    oversample: float = 1.8
    planners: int = 4
    motions: str = ""

    def __post_init__(self) -> None:
        for name in ("pool", "chunk", "clip", "ahead", "frames", "solver_steps"):
            _require(getattr(self, name) >= 1, f"data.{name} must be above 0")
        for name in ("renew", "planners"):
            _require(getattr(self, name) >= 0, f"data.{name} must not be negative")
        for name in ("alone", "hidden", "unknown_focal", "loosened", "repaired"):
            _require(0 <= getattr(self, name) <= 1, f"data.{name} is a share and must lie in 0..1")
        _require(self.frames <= MAX_POSITIONS, f"data.frames must not be above {MAX_POSITIONS}")
        _require(len(self.strides) > 0 and min(self.strides) >= 1, "data.strides are numbers above 0, at least one")
        _require(0 <= self.noise < float("inf"), "data.noise must not be negative")
        _require(1 <= self.oversample < float("inf"), "data.oversample must be 1 or more")

    @property
    def longest_window(self) -> int:
        """Frames of a clip that a window of the largest stride covers."""
        return (self.frames - 1) * max(self.strides) + 1


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CloseintError(f"{what}.", "Correct it.")


class SyntheticSource:
    """Batches of one side of the wall between training and test (see ``batches.BatchSource``).

    Args:
        body: on the device on which everything is made. share: which batches.
        notice: told how many parts of the pool are made, of how many.
    """

    def __init__(
        self,
        config: DataConfig,
        body: TorchBody,
        share: Share,
        notice: Callable[[int, int], None] | None = None,
    ) -> None:
        self.config, self.body, self.count, self.split = config, body, share.count, share.split
        self.device = body.template.device
        self.seed, self.rank, self.world = share.seed, share.rank, share.world
        self.generator = Generator(
            config.kinds or None, share.split, body, config.solver_steps,
            oversample=config.oversample, motions=config.motions or None,
            collection=config.collection,
        )  # fmt: skip
        self.chunks = max(1, config.pool // config.chunk)
        self._ages = [-1] * self.chunks  # which making of each chunk is in the pool
        self._pool: Interactions | None = None
        self._planners = planners_of(self.generator, config.planners)
        self._plans: dict[tuple[int, int], Planned] = {}
        self._notice = notice
        self._observed: tuple[int, TrainingBatch] | None = None
        self._rest = body.rest_joints(torch.zeros(1, device=self.device))

    # -- the pool ------------------------------------------------------------------------------------------------

    def _age(self, chunk: int, step: int) -> int:
        """How often a chunk has been made by a step: one is renewed every ``renew`` steps, in turn."""
        if not self.config.renew:
            return 0
        renewals = step // self.config.renew
        return (renewals + self.chunks - 1 - chunk) // self.chunks

    def prepare(self, step: int) -> Interactions:
        """The pool as it is at a step."""
        wanted = [(chunk, self._age(chunk, step)) for chunk in range(self.chunks)]
        missing = [(chunk, age) for chunk, age in wanted if self._ages[chunk] != age]
        for number, (chunk, age) in enumerate(missing):
            # Planned ahead by other threads: those that this step still lacks, then the next one to be renewed.
            for later in [*missing[number : number + self.config.planners + 1], *self._next(step)]:
                self._plan(*later)
            self._put(chunk, self._make(chunk, age))
            self._ages[chunk] = age
            if self._notice is not None:
                self._notice(chunk + 1, self.chunks)
        assert self._pool is not None
        return self._pool

    def _next(self, step: int) -> list[tuple[int, int]]:
        """The chunk that will be renewed after a step."""
        if not self.config.renew:
            return []
        later = step + self.config.renew
        return [(c, age) for c in range(self.chunks) if (age := self._age(c, later)) != self._age(c, step)][:1]

    def _seed(self, chunk: int, age: int) -> int:
        number = ((age * self.chunks + chunk) * self.world + self.rank) * 2 + (self.split == "test")
        return self.seed * 1_000_003 + number

    def _plan(self, chunk: int, age: int) -> None:
        """Have a chunk planned in the background; a generator that makes rejected pairs anew plans by itself."""
        if self.config.oversample > 1 and (chunk, age) not in self._plans:
            self._plans[chunk, age] = self._planners(self.config.chunk, self.config.clip, self._seed(chunk, age))

    def _make(self, chunk: int, age: int) -> Interactions:
        count, seed = self.config.chunk, self._seed(chunk, age)
        planned = self._plans.pop((chunk, age), None)
        if planned is None:
            return self.generator(count, self.config.clip, seed)
        return self.generator.make(planned(), count, seed)

    def _put(self, chunk: int, made: Interactions) -> None:
        if self._pool is None:
            parts = {f.name: getattr(made, f.name) for f in fields(made)}
            repeated = {name: x.repeat(self.chunks, *[1] * (x.ndim - 1)) for name, x in parts.items()}
            self._pool = Interactions(**repeated)
        rows = slice(chunk * self.config.chunk, (chunk + 1) * self.config.chunk)
        for f in fields(made):
            getattr(self._pool, f.name)[rows] = getattr(made, f.name)

    # -- windows -------------------------------------------------------------------------------------------------

    def _draw(self, step: int) -> torch.Generator:
        number = (step * self.world + self.rank) * 2 + (self.split == "test")
        return torch.Generator().manual_seed((self.seed * 7_368_787 + number) % (1 << 63))

    def windows(self, step: int, steps: int = 1, plain: bool = False) -> Interactions:
        """Windows of ``frames`` frames, as the step draws them for itself and for those that follow it; if ``plain``,
        neither loosened nor repaired."""
        pool, config, draw = self.prepare(step), self.config, self._draw(step)
        count = steps * self.count
        rows = torch.randint(len(pool), (count,), generator=draw)
        strides = torch.as_tensor(config.strides)[torch.randint(len(config.strides), (count,), generator=draw)]
        span = (config.frames - 1) * strides
        start = (torch.rand(count, generator=draw) * (pool.poses.shape[2] - span)).long()
        frames = start[:, None] + strides[:, None] * torch.arange(config.frames)
        flip, swap = torch.rand(2, count, generator=draw) < 0.5
        rows, frames, strides, flip, swap = (x.to(self.device) for x in (rows, frames, strides, flip, swap))
        cut = _cut(pool[rows], frames)
        cut = replace(cut, fps=cut.fps / strides)
        cut = _choose(flip, cut.mirrored(), cut)
        cut = _choose(swap, cut.swapped(), cut)
        if plain or self.split == "test":  # judged are interactions as they are
            return cut
        again, loose = torch.rand(2, count, generator=draw)
        cut = repaired(cut, self.body, draw, again < config.repaired)
        return loosened(cut, draw, (loose < config.loosened) | (again < config.repaired))

    def motions(self, step: int, plain: bool = False) -> MotionBatch:
        """The same windows for the prior, in the world."""
        made = self.windows(step, plain=plain)
        rotations = roma.rotvec_to_rotmat(made.poses).transpose(1, 2)
        pelvis = (self.body.rest_joints(made.betas)[:, :, None, 0] + made.transl).transpose(1, 2)
        return MotionBatch(PairMotion(rotations, pelvis), pelvis.new_tensor(_UP))

    def batch(self, step: int) -> TrainingBatch:
        """The windows of a step, observed."""
        position = step % self.config.ahead
        first = step - position
        if self._observed is None or self._observed[0] != first:
            self._observed = None  # its memory serves the next
            self._observed = first, self._observe(first, self.config.ahead)
        return self._observed[1][slice(position * self.count, (position + 1) * self.count)]

    def _observe(self, step: int, steps: int) -> TrainingBatch:
        """The windows of ``steps`` steps, observed."""
        made, draw = self.windows(step, steps), self._draw(step)
        draw.manual_seed(draw.initial_seed() ^ 0x5DEECE66D)
        count = len(made)
        level = torch.exp(self.config.noise * torch.randn(count, 1, 1, 1, generator=draw))
        errors = DetectorErrors()
        on_device = level[..., None].to(self.device)
        errors = replace(
            errors, noise=errors.noise * level, landmark_noise=errors.landmark_noise * on_device,
            depth_noise=errors.depth_noise * on_device,
        )  # fmt: skip
        seed = int(torch.randint(1 << 40, (), generator=draw))
        seen = observe(made, self.body, seed, errors, tools=self.generator.tools)
        hide = self._hide(count, draw).to(self.device)
        alone = (torch.rand(count, generator=draw) < self.config.alone).float().to(self.device)
        guess = (torch.rand(count, generator=draw) < self.config.unknown_focal).to(self.device)
        return observed_batch(made, self.body, seen, self._rest, hide, alone, guess)

    def _hide(self, count: int, draw: torch.Generator) -> Tensor:
        """(count, 2, T) bool, where nobody finds a person: a run of frames, at times all of them."""
        frames = self.config.frames
        chosen = torch.rand(count, generator=draw) < self.config.hidden
        length = torch.randint(frames // 4, frames + 1, (count,), generator=draw)
        start = (torch.rand(count, generator=draw) * (frames + length) - length).long()
        time = torch.arange(frames)
        run = (time >= start[:, None]) & (time < (start + length)[:, None])
        who = torch.rand(count, generator=draw) < 0.5
        run = run & chosen[:, None]
        return torch.stack([run & who[:, None], run & ~who[:, None]], 1)


def observed_batch(
    made: Interactions,
    body: TorchBody,
    seen: SimulatedObservations,
    rest_joints: Tensor,
    hide: Tensor | None = None,
    alone: Tensor | None = None,
    guess: Tensor | None = None,
) -> TrainingBatch:
    """Interactions and how they were seen as a batch.

    Args:
        made: B windows. seen: of them. rest_joints: (24, 3) of the mean shape. hide: (B, 2, T) where a person is taken
            away. alone: (B,) 1 where the network is not to see the other. guess: (B,) bool, the focal length given is
            the one assumed for ordinary footage.
    """
    keypoints, landmarks = seen.keypoints2d, seen.landmarks3d
    if hide is not None:
        keypoints = keypoints.masked_fill(hide[..., None, None], math.nan)
        landmarks = landmarks.masked_fill(hide[..., None, None], math.nan)
    cameras = seen.cameras
    size, focal = cameras.size.float(), cameras.K[:, 0, 0]
    given = focal
    if guess is not None:
        assumed = ORDINARY_FOCAL * size.amax(1)
        given = torch.where(guess, focal * (assumed / focal).clamp(1 / _FARTHEST_FOCAL, _FARTHEST_FOCAL), focal)
    single = None
    if alone is not None:
        single = alone[:, None].expand(-1, keypoints.shape[2]).contiguous()
    conditions = window_conditions(
        keypoints.transpose(1, 2), landmarks.transpose(1, 2), seen.landmarks3d_confidence.transpose(1, 2),
        size, given, rest_joints, single,
    )  # fmt: skip
    rotations = roma.rotvec_to_rotmat(made.poses)
    root = cameras.R[:, None, None] @ rotations[..., 0, :, :]
    rotations = torch.cat([root[..., None, :, :], rotations[..., 1:, :, :]], -3).transpose(1, 2)
    rest = body.rest_joints(made.betas)[:, None, :, 0]  # (B, 1, 2, 3)
    pelvis = cameras.view(rest + made.transl.transpose(1, 2))
    # With another focal length the pair as a whole is elsewhere; how far the two are apart stays what it is.
    middle = pelvis[..., 2].mean((1, 2), keepdim=True)
    depth = pelvis[..., 2] + middle * (given / focal - 1)[:, None, None]
    image = pelvis[..., :2] / pelvis[..., 2:].clamp(min=0.05) * (focal / given)[:, None, None, None]
    pelvis = torch.cat([image * depth[..., None], depth[..., None]], -1)
    betas = made.betas[:, None].expand(*pelvis.shape[:-1], made.betas.shape[-1])
    target = PairState.of_motion(rotations, betas, pelvis - rest, conditions.crops)
    with torch.no_grad():
        skeleton = body.skeleton(rotations, made.betas[:, None], pelvis - rest)
        points = halpe_points(body)(skeleton, made.betas[:, None])
    return TrainingBatch(
        conditions,
        target.numbers(),
        conditions.crops.project(points),
        cameras.R[:, :, 2],
        made.contacts,
        made.fps,
        torch.ones(pelvis.shape[:-1], dtype=torch.bool, device=pelvis.device),
    )


def _cut(made: Interactions, frames: Tensor) -> Interactions:
    """Frames (N, T) of each pair."""
    rows = torch.arange(len(frames), device=frames.device)[:, None]

    def of_people(x: Tensor) -> Tensor:
        return x.transpose(1, 2)[rows, frames].transpose(1, 2)

    return replace(
        made, poses=of_people(made.poses), transl=of_people(made.transl), contacts=made.contacts[rows, frames],
        planted=of_people(made.planted),
    )  # fmt: skip


def _choose(chosen: Tensor, a: Interactions, b: Interactions) -> Interactions:
    parts = {}
    for f in fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        parts[f.name] = torch.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x, y)
    return Interactions(**parts)
