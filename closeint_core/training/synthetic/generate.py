# SPDX-License-Identifier: Apache-2.0
"""Pairs of people in interaction, made to order: batched, seeded, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path

import roma
import torch
from torch import Tensor

from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.training.synthetic.kinds import KINDS
from closeint_core.training.synthetic.motions import load_motions
from closeint_core.training.synthetic.plan import Draw, Plan, make_plan
from closeint_core.training.synthetic.solve import NearPoints, Posed, Scene, Tools
from closeint_core.training.synthetic.spec import Collection, Kind, Split

CONTACT_DISTANCE = 0.012
"""Metres between two skins that touch."""
MIRROR_JOINTS = torch.tensor([0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22])
"""Index of the joint on the other side of the body."""


@dataclass
class Interactions:
    """N pairs over T frames, metres and radians, right-handed world with Z up and the floor at z = 0.

    Attributes:
        poses: (N, 2, T, 24, 3) axis-angle; joint 0 is the global orientation.
        transl: (N, 2, T, 3), added after skinning as in ``TorchBody``.
        betas: (N, 2, B). fps: (N,).
        kind: (N,) int64, position of the kind's name in ``KINDS.all_names()``.
        contacts: (N, T, 24, 24) bool, part i of person 0 touches part j of person 1.
        planted: (N, 2, T, 2) bool, the left and the right foot stand still on the floor.
        touch_error: (N,) greatest distance (metres) over time between the skins of two places that should touch, or
            from the floor to a place that should rest on it; 0 where none was wanted.
        depth: (N,) greatest depth (metres) of a sampled skin point of one behind the skin of the other, or in the
            floor, of somebody who rests on it.
    """

    poses: Tensor
    transl: Tensor
    betas: Tensor
    fps: Tensor
    kind: Tensor
    contacts: Tensor
    planted: Tensor
    touch_error: Tensor
    depth: Tensor

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, rows: Tensor | slice | list[int]) -> Interactions:
        """Some of the pairs."""
        return Interactions(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def join(cls, parts: Sequence[Interactions]) -> Interactions:
        """One batch of several of as many frames."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def to(self, device: torch.device | str) -> Interactions:
        """The same on another device."""
        return Interactions(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def kind_names(self) -> list[str]:
        """Name of the kind of each pair."""
        names = KINDS.all_names()
        return [names[index] for index in self.kind.tolist()]

    def mirrored(self) -> Interactions:
        """Left and right exchanged: reflected at the plane y = 0."""
        flip = torch.tensor([1.0, -1.0, -1.0], device=self.poses.device)
        order = MIRROR_JOINTS.to(self.poses.device)
        poses = self.poses[..., order, :] * flip
        # The root's axes are the rest frame's (x left) on one side and the world's (y left of +x) on the other.
        root = roma.rotvec_to_rotmat(self.poses[..., 0, :])
        world = torch.diag(torch.tensor([1.0, -1.0, 1.0], device=self.poses.device))
        rest = torch.diag(torch.tensor([-1.0, 1.0, 1.0], device=self.poses.device))
        poses[..., 0, :] = roma.rotmat_to_rotvec(world @ root @ rest)
        # ``transl`` moves the rest pelvis, which lies in the plane of symmetry: reflect the posed pelvis.
        transl = self.transl * torch.tensor([1.0, -1.0, 1.0], device=self.poses.device)
        return Interactions(
            poses, transl, self.betas, self.fps, self.kind,
            self.contacts[:, :, order][:, :, :, order], self.planted.flip(-1), self.touch_error, self.depth,
        )  # fmt: skip

    def swapped(self) -> Interactions:
        """The two people exchanged."""
        return Interactions(
            self.poses.flip(1), self.transl.flip(1), self.betas.flip(1), self.fps, self.kind,
            self.contacts.transpose(2, 3), self.planted.flip(1), self.touch_error, self.depth,
        )  # fmt: skip


class Generator:
    """Makes interactions of one side of the wall between training and test, and of no other.

    Args:
        kinds: names, of any collection; None for every kind of ``split`` in ``collection`` (``spec.Collection``): the
            first, on which bench and films rest, or the wide one. split: may be None if ``kinds`` are of one side.
        body: the body, whose device is used; None for the default body on the CPU.
        steps: of the solver.
        oversample: how many pairs are planned for each one wanted. With more than 1 a batch costs one solve, in which
            the rejected are left out; with 1 what was rejected is made anew, up to three times.
        motions: folder of recorded single-person motion (``humanoid3d_*.txt``) that shapes gait, strikes and dance;
            retargeted here, which takes a few seconds a clip. None for none.

    Raises:
        CloseintError: unknown kinds, kinds from both sides, or ``oversample`` below 1.
    """

    def __init__(
        self,
        kinds: Sequence[str] | None = None,
        split: Split | None = None,
        body: TorchBody | None = None,
        steps: int = 70,
        *,
        oversample: float = 1.0,
        motions: str | Path | None = None,
        collection: Collection = "first",
    ) -> None:
        if oversample < 1:
            raise CloseintError(f"The generator cannot plan {oversample} pairs for each one wanted.", "Pass 1 or more.")
        self.oversample = oversample
        self.kinds: tuple[Kind, ...] = KINDS.choose(kinds, split, collection)
        self.body = body or default_body()
        self.steps = steps
        cpu = self.body.template.device.type == "cpu"
        self._plan_body = self.body if cpu else TorchBody(self.body.data)
        wanted = {name for kind in self.kinds for role in kind.roles for name in role.motion}
        self.motions = load_motions(Path(motions), self._plan_body, wanted) if motions is not None and wanted else None

    @cached_property
    def tools(self) -> Tools:
        """Of the body; they take seconds to make, and are not needed for planning."""
        return tools_of(self.body)

    def __call__(self, count: int, frames: int, seed: int) -> Interactions:
        """``count`` pairs of ``frames`` frames, kinds in equal shares; the same for the same arguments.

        What is not ``acceptable`` is replaced (see ``oversample``). Where that was not enough, the best of what was
        rejected fills the gaps, so filter with ``acceptable`` where every pair must hold.
        """
        if self.oversample > 1:
            return self.make(self.plan(count, frames, seed), count, seed)
        made: list[Interactions] = []
        missing = self._shares(count)
        for attempt in range(4):
            # Later rounds only fill what was rejected, a few more than needed.
            wanted = [0 if n == 0 else n if attempt == 0 else 2 * n + 1 for n in missing]
            if not any(wanted):
                break
            plan = self._plan(wanted, frames, Draw(seed * 7919 + attempt))
            batch = self._solve(plan, Draw(seed * 7919 + 4 + attempt))
            taken = self._take(batch, missing, fill=attempt == 3)
            made.append(batch[torch.cat(taken)])
            missing = [n - len(rows) for n, rows in zip(missing, taken, strict=True)]
        return _shuffled(Interactions.join(made), seed)

    def plan(self, count: int, frames: int, seed: int) -> Plan:
        """What ``make`` needs to make ``count`` pairs: tensors on the CPU, made there without the GPU.

        A thread or another process can plan the next batch while this one is made.
        """
        wanted = [math.ceil(self.oversample * n) for n in self._shares(count)]
        return self._plan(wanted, frames, Draw(seed * 7919))

    def make(self, plan: Plan, count: int, seed: int) -> Interactions:
        """The best ``count`` pairs of a plan for at least as many; ``generator.make(generator.plan(n, t, s), n, s)``
        is ``generator(n, t, s)`` for a generator that oversamples.

        Where a kind lacks acceptable pairs, others that have more than their share step in before what was rejected.
        """
        batch = self._solve(plan, Draw(seed * 7919 + 4))
        taken = torch.cat(self._take(batch, self._shares(count), fill=False))
        rest = torch.ones(len(batch), dtype=torch.bool)
        rest[taken] = False
        others = torch.nonzero(rest)[:, 0]
        order = (badness(batch).cpu()[others] + 1e3 * (~acceptable(batch).cpu()[others])).argsort()
        return _shuffled(batch[torch.cat((taken, others[order][: count - len(taken)]))], seed)

    def _shares(self, count: int) -> list[int]:
        """How many of ``count`` pairs are of each kind."""
        return [count // len(self.kinds) + (i < count % len(self.kinds)) for i in range(len(self.kinds))]

    def _plan(self, wanted: list[int], frames: int, draw: Draw) -> Plan:
        names = KINDS.all_names()
        return Plan.join(
            [
                make_plan(kind, names.index(kind.name), n, frames, draw, self._plan_body, self.motions)
                for kind, n in zip(self.kinds, wanted, strict=True) if n
            ]
        )  # fmt: skip

    def _take(self, batch: Interactions, wanted: list[int], fill: bool) -> list[Tensor]:
        """Rows of the best pairs of each kind, acceptable ones or, to ``fill``, others as well; on the CPU."""
        names = KINDS.all_names()
        number, bad, good = batch.kind.cpu(), badness(batch).cpu(), acceptable(batch).cpu() | fill
        taken = []
        for kind, n in zip(self.kinds, wanted, strict=True):
            rows = torch.nonzero((number == names.index(kind.name)) & good)[:, 0]
            taken.append(rows[bad[rows].argsort()][:n].sort().values)
        return taken

    def _solve(self, plan: Plan, draw: Draw) -> Interactions:
        device = self.body.template.device
        scene = Scene(self.tools, plan.to(device))
        scene.solve(self.steps)
        with torch.no_grad():
            return self._finish(scene, draw)

    def _finish(self, scene: Scene, draw: Draw) -> Interactions:
        plan, surface = scene.plan, self.tools.surface
        total = plan.heading.shape[2]
        frames = torch.arange(total, device=plan.betas.device)
        posed = scene.pose(frames)
        poses = roma.rotmat_to_rotvec(posed.rotations)
        pelvis = posed.skeleton.joints[..., 0, :]
        step = 2
        some = frames[::step]
        posed = scene.pose(some)
        near = scene.find_near(posed)
        off_floor, under_floor = _floor_errors(scene, posed)
        depth = torch.maximum(near.depth.amax((1, 2, 3)).clamp(min=0), under_floor)
        touch_error = torch.maximum(_touch_errors(scene, posed, near, some), off_floor)
        contacts = _contact_pairs(near.depth, near.partner, surface.sample_parts)
        contacts = contacts.repeat_interleave(step, 1)[:, :total]
        heading = draw.uniform(-math.pi, math.pi, len(poses)).to(poses.device)
        made = Interactions(
            poses, pelvis - scene.rest[..., 0, :], plan.betas, plan.fps, plan.kind, contacts, plan.planted > 0.5,
            touch_error, depth,
        )  # fmt: skip
        made = _turned(made, scene.rest[..., 0, :], heading)
        flip = (draw.uniform(0, 1, len(poses)) < 0.5).to(poses.device)
        swap = (draw.uniform(0, 1, len(poses)) < 0.5).to(poses.device)
        made = _where(flip, made.mirrored(), made)
        return _where(swap, made.swapped(), made)


def generate(
    kinds: Sequence[str] | None = None,
    count: int = 32,
    frames: int = 32,
    seed: int = 0,
    *,
    split: Split | None = None,
    body: TorchBody | None = None,
    steps: int = 70,
) -> Interactions:
    """``count`` pairs of ``frames`` frames; see ``Generator``. The same arguments give the same pairs."""
    return Generator(kinds, split, body, steps)(count, frames, seed)


def acceptable(made: Interactions) -> Tensor:
    """(N,) bool: touches are touches and nobody is inside the other."""
    return (made.touch_error < 0.013) & (made.depth < 0.025)


def badness(made: Interactions) -> Tensor:
    """(N,) how far touches are from touching and how deep people are in each other, about 1 where it begins to show."""
    return made.touch_error / 0.012 + made.depth / 0.02


@lru_cache(maxsize=1)
def default_body() -> TorchBody:
    """The bundled body on the CPU; read once."""
    return TorchBody(load_body("default"))


@lru_cache(maxsize=2)
def tools_of(body: TorchBody) -> Tools:
    """The tools of a body, made the first time they are asked for; the body is not to be moved."""
    return Tools(body)


def default_tools() -> Tools:
    """The generator's tools for the bundled body; made once."""
    return tools_of(default_body())


def _shuffled(made: Interactions, seed: int) -> Interactions:
    return made[torch.randperm(len(made), generator=Draw(seed).generator)]


def _where(chosen: Tensor, a: Interactions, b: Interactions) -> Interactions:
    def pick(x: Tensor, y: Tensor) -> Tensor:
        return torch.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    return Interactions(**{f.name: pick(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)})


def _turned(made: Interactions, rest_root: Tensor, heading: Tensor) -> Interactions:
    """Each pair's first midpoint moved to the origin and the pair turned about the vertical by ``heading`` (N,)."""
    zero = torch.zeros_like(heading)
    turn = roma.rotvec_to_rotmat(torch.stack((zero, zero, heading), -1))[:, None, None]
    pelvis = made.transl + rest_root
    centre = pelvis[:, :, :1].mean(1, keepdim=True) * torch.tensor([1.0, 1.0, 0.0], device=pelvis.device)
    pelvis = (turn @ (pelvis - centre)[..., None])[..., 0]
    poses = made.poses.clone()
    poses[..., 0, :] = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(poses[..., 0, :]))
    return Interactions(**{**made.__dict__, "poses": poses, "transl": pelvis - rest_root})


def _touch_errors(scene: Scene, posed: Posed, near: NearPoints, frames: Tensor) -> Tensor:
    """(N,) greatest gap between two places that should touch in the chosen ``frames`` (F,) of a solved scene.

    The gap is that between the skins around the two places: a palm is hollow, its middle need not touch.
    """
    plan, surface = scene.plan, scene.tools.surface
    rows = torch.arange(len(plan.who), device=plan.who.device)
    mine, theirs = scene.touching(scene.places(posed))
    missed = (mine.positions - theirs.positions).norm(dim=-1) - plan.gap[:, None]  # (N, F, C)
    worst = torch.zeros(len(plan.who), device=plan.who.device)
    for column in range(plan.who.shape[1]):
        who, whom = plan.who[:, column], plan.whom[:, column]
        depth, partner = near.depth[rows, who], near.partner[rows, who]  # (N, F, S)
        there = (
            surface.beside_place[plan.theirs[:, column]].gather(1, partner.flatten(1)).unflatten(1, partner.shape[1:])
        )
        counts = there & surface.around_place[plan.mine[:, column]][:, None]
        gap = torch.where(counts, -depth, torch.full_like(depth, 1.0)).amin(-1).clamp(min=0)
        gap = (gap - plan.gap[:, column, None]).clamp(min=0)
        # A hand on the own knee has no partner's skin under it, nor has a mouth near an ear.
        gap = torch.where((who == whom)[:, None] | (plan.gap[:, column] > 0.01)[:, None], missed[..., column], gap)
        gap = torch.maximum(torch.minimum(gap, missed[..., column]), 0.2 * missed[..., column])
        wanted = (plan.weight[:, column][:, frames] > 0.999) & (plan.slack[:, column] == 0)[:, None]
        worst = torch.maximum(worst, torch.where(wanted, gap, torch.zeros_like(gap)).amax(1))
    return worst


def _floor_errors(scene: Scene, posed: Posed) -> tuple[Tensor, Tensor]:
    """Of those who rest on the floor, over time: how far (N,) a resting place is above it, how deep (N,) anyone is."""
    surface, rests = scene.tools.surface, scene.plan.rests
    height = surface.sample_positions(posed.skeleton, scene.shape)[..., 2]  # (N, 2, F, S)
    rows, person, place = torch.nonzero(rests, as_tuple=True)
    beside = torch.where(
        surface.around_place[place][:, None], height[rows, person], torch.full_like(height[:1, 0], 9.0)
    )
    worst = beside.amin(-1).amax(-1).clamp(min=0)
    off = torch.zeros(len(rests), device=rests.device).scatter_reduce(0, rows, worst, "amax")
    under = (-height.amin((2, 3))).clamp(min=0) * rests.amax(-1)
    return off, under.amax(1)


def _contact_pairs(depths: Tensor, partner: Tensor, parts: Tensor) -> Tensor:
    """(N, F, 24, 24) bool from depths (N, 2, F, S) of the samples of each and the other's samples (N, 2, F, S)."""
    pairs, _, frames, count = depths.shape
    touch = depths > -CONTACT_DISTANCE
    out = torch.zeros(pairs, frames, 24 * 24, dtype=torch.bool, device=depths.device)
    for person in (0, 1):
        own = parts.expand(pairs, frames, count)
        other = parts[partner[:, person]]
        index = own * 24 + other if person == 0 else other * 24 + own
        hit = torch.zeros_like(out, dtype=torch.int32)
        hit.scatter_add_(2, index, touch[:, person].int())
        out |= hit > 0
    result: Tensor = out.unflatten(2, (24, 24))
    return result
