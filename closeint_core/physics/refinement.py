# SPDX-License-Identifier: Apache-2.0
"""Makes a finished clip physically plausible: nobody inside the other, contacts closed, feet planted.

All frames of a window and both people are solved at once. The unknowns are changes of joint rotations and
translations; the shapes stay. What pulls: the observed keypoints, the motion as it came, smoothness, joint limits,
the floor, contacts, and springs on the exact meshes that push every vertex out of the partner by the shortest way
(their direction is agreed over neighbouring vertices and frames, so a limb leaves whole instead of being squeezed
through). What touches and what penetrates is looked for again at the start of every round.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import Skeleton, TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.physics import energies
from closeint_core.physics.contact import clip_contacts
from closeint_core.physics.contact_pairs import VertexPairs, part_pairs
from closeint_core.physics.minimise import minimise
from closeint_core.physics.penetration import clip_penetration
from closeint_core.physics.separation import Separation, Springs, find_penetration, join_springs, point_apart
from closeint_core.physics.separation import vertices_at as skinned
from closeint_core.physics.spheres import BodySpheres, spheres_of
from closeint_core.physics.windows import blend_in, window_spans
from closeint_core.progress import Progress

_DEEP = 0.015  # metres from which on an overlap is deep
_TANGLED = 0.035  # metres from which on the nearest way out may be the wrong one

# How far, in radians, a joint is moved as readily as any other: limbs before the spine, the root last.
_REACH = torch.tensor(
    [0.10, .25, .25, .10, .3, .3, .10, .2, .2, .10, .10, .10, .12, .15, .15, .15, .35, .35, .4, .4, .25, .25, .1, .1]
)  # fmt: skip


@dataclass(frozen=True)
class RefineOptions:
    """How a clip is refined.

    Attributes:
        rounds: times that contacts and penetration are looked for. iterations: evaluations in each.
        tolerance: metres of penetration left alone.
        keep: weight of the motion as it came. seen: weight of the observed keypoints.
        reach: metres from which on a contact that the evidence speaks of is not closed.
        acceptable: metres of penetration up to which a result is taken even if the clip had less.
    """

    rounds: int = 10
    iterations: int = 30
    tolerance: float = 0.003
    keep: float = 1.0
    seen: float = 1.5
    reach: float = 0.15
    acceptable: float = 0.005


@dataclass
class RefineReport:
    """Energies, weighted, before and after, how many rounds were needed, and the greatest depth (metres) before;
    JSON types in ``as_dict``."""

    before: dict[str, float]
    after: dict[str, float]
    rounds: int
    depth: float

    def as_dict(self) -> dict[str, Any]:
        """For the clip's metadata."""
        return {
            "before": {name: round(value, 4) for name, value in self.before.items()},
            "after": {name: round(value, 4) for name, value in self.after.items()},
            "rounds": self.rounds,
        }


def refine(
    clip: InteractionClip,
    options: RefineOptions | None = None,
    progress: Progress | None = None,
    data: str | Path | None = None,
    body: TorchBody | None = None,
) -> InteractionClip:
    """A copy of ``clip`` made plausible; metadata gets ``refinement`` with every energy before and after.

    A clip of one person, or of people who never come near each other, keeps its pair as it is and only has its feet
    and smoothness looked after.

    Args:
        body: the clip's body, if it is loaded already; ``data`` is the folder to load it from otherwise.

    Raises:
        CloseintError: the clip holds values that are not finite, or its body is missing.
        Cancelled: the progress object asked to stop.
    """
    options, progress = options or RefineOptions(), progress or Progress()
    for name in ("poses", "transl", "betas"):
        if not np.isfinite(getattr(clip, name)).all():
            raise CloseintError(f"The clip's {name} hold values that are not finite.", "Reconstruct it again.")
    body = body or TorchBody(load_body(clip.body, Path(data) if data else None))
    spheres = spheres_of(body) if clip.people == 2 else None
    quats = torch.zeros(*clip.poses.shape[:3], 4)
    transl = torch.as_tensor(clip.transl).clone()
    reports = []
    filled = 0
    windows = window_spans(clip.frames)
    for number, (start, stop) in enumerate(windows):
        part = slice(start, stop)
        window = Refinement(body, _cut(clip, part), spheres, options)
        reports.append(window.solve(progress, number, len(windows)))
        new = roma.rotmat_to_unitquat(window.rotations())
        blend_in(quats, transl, new, window.translations(), start, filled)
        filled = stop
    poses = roma.unitquat_to_rotvec(torch.nn.functional.normalize(quats, dim=-1)).numpy()
    result = clip.copy(poses=poses.astype(np.float32), transl=transl.numpy().astype(np.float32))
    report = RefineReport(
        _mean([one.before for one in reports]),
        _mean([one.after for one in reports]),
        max(one.rounds for one in reports),
        max(one.depth for one in reports),
    )
    metadata = report.as_dict()
    if clip.people == 2:
        depths = (report.depth, clip_penetration(result, body.data))
        metadata["max_penetration_mm"] = [round(1000 * depth, 2) for depth in depths]
        if depths[1] > max(depths[0], options.acceptable):
            progress.warn("The refinement would have made the penetration worse, so the clip was left as it was.")
            result = clip.copy()
        result.contacts = clip_contacts(result, body.data)
    kept = {key: value for key, value in clip.metadata.items() if key != "quality"}
    return result.copy(metadata={**kept, "refinement": metadata}).validate()


def _cut(clip: InteractionClip, part: slice) -> InteractionClip:
    moving = len(clip.camera_K) > 1
    return clip.copy(
        poses=clip.poses[:, part],
        transl=clip.transl[:, part],
        keypoints2d=clip.keypoints2d[:, part],
        visible=clip.visible[:, part],
        contacts=clip.contacts[:, part],
        foot_contacts=clip.foot_contacts[:, part],
        camera_K=clip.camera_K[part] if moving else clip.camera_K,
        camera_R=clip.camera_R[part] if moving else clip.camera_R,
        camera_t=clip.camera_t[part] if moving else clip.camera_t,
    )


def _mean(values: list[dict[str, float]]) -> dict[str, float]:
    names = {name: None for one in values for name in one}
    return {name: float(np.mean([one.get(name, 0.0) for one in values])) for name in names}


class Refinement:
    """The unknowns of one window and their energies.

    It has what ``separation`` asks of a solver: body, spheres, betas, transl, rotations().
    """

    def __init__(
        self, body: TorchBody, clip: InteractionClip, spheres: BodySpheres | None, options: RefineOptions
    ) -> None:
        self.body, self.spheres, self.clip, self.options = body, spheres, clip, options
        self.betas = torch.as_tensor(clip.betas, dtype=torch.float32)
        self.old_rotations = roma.rotvec_to_rotmat(torch.as_tensor(clip.poses, dtype=torch.float32))
        self.old_transl = torch.as_tensor(clip.transl, dtype=torch.float32)
        self.transl = self.old_transl
        self.turn = torch.zeros_like(self.old_rotations[..., 0])
        self.shift = torch.zeros_like(self.old_transl)
        self.halpe = body.points("halpe")
        self.parts = torch.as_tensor(body.data.parts, dtype=torch.long)
        with torch.no_grad():
            self.rest = body.rest_vertices(self.betas)
            skeleton = body.skeleton(self.old_rotations, self.betas[:, None], self.old_transl)
            if spheres is not None:
                self.radii = spheres.radii(self.betas)
        self._gather(clip, skeleton)
        self.springs: Separation | None = None
        self.spacing = 1.0
        self.drawn = VertexPairs.join([])

    def _gather(self, clip: InteractionClip, skeleton: Skeleton) -> None:
        """Evidence in the shape in which every evaluation needs it."""
        observed = torch.as_tensor(clip.keypoints2d, dtype=torch.float32)
        seen = observed.isfinite().all(-1)
        self.weights = torch.where(seen, observed[..., 2].nan_to_num(0).clamp(0, 1), torch.zeros(()))
        self.observed = observed[..., :2].nan_to_num(0)
        self.camera = [torch.as_tensor(x, dtype=torch.float32) for x in (clip.camera_K, clip.camera_R, clip.camera_t)]
        depth = (skeleton.joints[:, :, :1] @ self.camera[1].mT + self.camera[2][:, None])[..., 2]
        self.metres_per_pixel = (depth / self.camera[0][:, 0, 0][:, None]).clamp(min=1e-4)
        # The direction in which a single camera knows least: along its rays.
        self.ray = torch.nn.functional.normalize(
            skeleton.joints[:, :, 0] + (self.camera[1].mT @ self.camera[2][..., None])[..., 0], dim=-1
        )
        feet = torch.as_tensor(clip.foot_contacts, dtype=torch.float32)
        self.planted = torch.where(feet > 0.5, feet, torch.zeros(())).repeat_interleave(3, -1)
        self.sole = energies.sole_offsets(self.body.data)
        vectors = roma.rotmat_to_rotvec(self.old_rotations)
        # A motion beyond the usual limits may stay there, but not go further.
        self.limit_low = torch.minimum(energies.LIMIT_LOW, vectors)
        self.limit_high = torch.maximum(energies.LIMIT_HIGH, vectors)
        self.evidence = hysteresis(clip.contacts) if clip.people == 2 else np.zeros(clip.contacts.shape, bool)

    # -- the state ---------------------------------------------------------------------------------------------------

    def rotations(self) -> Tensor:
        """(P, T, 24, 3, 3) joint rotations as they stand."""
        return self.old_rotations @ roma.rotvec_to_rotmat(self.turn)

    def translations(self) -> Tensor:
        """(P, T, 3) translations as they stand."""
        return self.old_transl + self.shift

    # -- the energies ------------------------------------------------------------------------------------------------

    def energy(self, push: float) -> dict[str, Tensor]:
        """Every term, weighted; ``push`` is the weight of contacts and springs."""
        options = self.options
        rotations, transl = self.rotations(), self.translations()
        self.transl = transl  # where separation looks for it
        skeleton = self.body.skeleton(rotations, self.betas[:, None], transl)
        keypoints = self.halpe(skeleton, self.betas[:, None])
        rate = 30.0 / self.clip.fps
        vectors = roma.rotmat_to_rotvec(rotations)
        over = (vectors - self.limit_high).clamp(min=0) + (self.limit_low - vectors).clamp(min=0)
        feet = keypoints[:, :, energies.FOOT_POINTS]
        heights = feet[..., 2] - self.sole
        along = (self.shift * self.ray).sum(-1)
        across = (self.shift - along[..., None] * self.ray).square().sum(-1)
        terms = {
            "pose": options.keep * 0.5 * energies.huber(self.turn.square().sum(-1) / _REACH**2, 2.0).sum(-1).mean(),
            "place": options.keep * (across.mean() / 0.05**2 + along.square().mean() / 0.20**2),
            "reprojection": options.seen * self._reprojection(keypoints),
            "smooth": 0.3 * energies.acceleration(skeleton.joints, 0.012 * rate**2),
            "limits": over[..., 1:, :].square().sum((-1, -2)).mean() / 0.08**2,
            "sink": heights.clamp(max=0).square().sum(-1).mean() / 0.004**2,
            "stand": self._stand(heights),
            "skate": self._skate(feet, rate),
        }
        if self.spheres is not None:
            centres = self.spheres.centres(skeleton, self.betas[:, None])
            terms["overlap"] = self.spacing * energies.sphere_overlap(centres, self.radii)
            if self.springs is not None:
                terms |= {name: push * value for name, value in self.springs(cast(Any, self), rotations).items()}
            if len(self.drawn):
                terms["contact"] = push * self._contact(skeleton)
        return terms

    def _reprojection(self, keypoints: Tensor) -> Tensor:
        K, R, t = self.camera
        seen = keypoints @ R.mT + t[:, None]
        pixels = seen[..., :2] / seen[..., 2:].clamp(min=0.05)
        pixels = pixels * torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)[:, None] + K[:, None, :2, 2]
        return energies.reprojection(pixels, self.observed, self.weights, self.metres_per_pixel, 0.02, 0.15)

    def _stand(self, heights: Tensor) -> Tensor:
        """Planted feet reach the floor with their lowest point; the heel of a step may be up."""
        lowest = -0.01 * torch.logsumexp(-heights.unflatten(-1, (2, 3)) / 0.01, -1) + 0.01
        planted = self.planted.unflatten(-1, (2, 3))[..., 0]
        return (planted * lowest.clamp(min=0).square()).sum(-1).mean() / 0.01**2

    def _skate(self, feet: Tensor, rate: float) -> Tensor:
        if feet.shape[1] < 2:
            return feet.new_zeros(())
        both = torch.minimum(self.planted[:, 1:], self.planted[:, :-1])
        return 0.5 * energies.foot_skate(feet[..., :2], both, 0.003 * rate)

    def _contact(self, skeleton: Skeleton) -> Tensor:
        frame = torch.as_tensor(self.drawn.frame)
        ends = []
        for person, vertex in ((0, self.drawn.a), (1, self.drawn.b)):
            who = torch.full_like(frame, person)
            ends.append(skinned(self.body, skeleton, self.rest, who, frame, torch.as_tensor(vertex)))
        gap = (((ends[0] - ends[1]).square().sum(-1) + 1e-12).sqrt() - 0.003).clamp(min=0)
        weight = torch.as_tensor(self.drawn.weight)
        return (weight * energies.huber(gap.square(), 0.03)).sum() / 0.006**2 / self.shift[..., 0].numel()

    # -- the optimiser -----------------------------------------------------------------------------------------------

    def solve(self, progress: Progress, number: int = 0, windows: int = 1) -> RefineReport:
        """All rounds; stops early when nothing is deeper than the tolerance."""
        options = self.options
        total = windows * (options.rounds + 2) * options.iterations
        with torch.no_grad():
            before = {name: float(value) for name, value in self.energy(1.0).items()}
        done = number * (options.rounds + 2) * options.iterations
        rounds, self.deepest_before = 0, 0.0
        if self.spheres is None:
            self._run(options.iterations, 1.0, progress, done, total)
        else:
            rounds = self._take_apart(progress, done, total)
        with torch.no_grad():
            after = {name: float(value) for name, value in self.energy(1.0).items()}
        if not all(np.isfinite(value) for value in after.values()):
            raise CloseintError("The refinement did not come to a finite result.", "Reconstruct the clip again.")
        return RefineReport(before, after, rounds, self.deepest_before)

    def _take_apart(self, progress: Progress, done: int, total: int) -> int:
        """Rounds of looking and solving until nothing is deeper than the tolerance; returns how many it took."""
        options = self.options
        recent: list[Springs] = []
        urgency = torch.ones(self.clip.frames)
        among: np.ndarray | None = None
        found = self._look_again()
        self.deepest_before = float(found.depth.max()) if len(found.depth) else 0.0
        if self.deepest_before > _TANGLED:
            # So deep, the nearest way out may be the wrong one: first let the evidence say where the bodies are,
            # with their spheres alone in each other's way.
            self.spacing = 4.0
            self._run(2 * options.iterations, 1.0, progress, done, total)
            self.spacing = 1.0
            found = self._look_again()
        for number in range(options.rounds):
            deepest = torch.zeros(self.clip.frames).scatter_reduce(0, found.frame, found.depth, "amax")
            worst = float(deepest.max())
            if number > 1 and worst <= options.tolerance:
                if among is None:
                    return number
                found, among = self._look_again(), None
                deepest = torch.zeros(self.clip.frames).scatter_reduce(0, found.frame, found.depth, "amax")
                worst = float(deepest.max())
                if worst <= options.tolerance:
                    return number
            # Springs of the last rounds stay, so that what came out does not slide back in; older ones point
            # where the bodies no longer are.
            recent = [*recent, found][-3 if worst < _TANGLED else -1 :]
            pushing = [one for one in recent if len(one.depth)]
            if number == 1 and not pushing and not len(self.drawn):
                return 1  # nobody is near anybody
            if number > 2:
                # What is still inside is pushed harder, and its neighbours in time with it.
                late = torch.nn.functional.max_pool1d((deepest > options.tolerance).float()[None], 5, 1, 2)[0]
                urgency = (urgency * (1 + late)).clamp(max=8.0)
            self.springs = None
            if pushing:
                self.springs = Separation(functools.reduce(join_springs, pushing), self.parts, knee=0.01)
                self.springs.weight = self.springs.weight * urgency[self.springs.springs.frame]
            # The deeper, the more the evidence has to say about which way is out.
            push = min((1.0 if worst < _DEEP else 0.25 if worst < _TANGLED else 0.06) * 2.0**number, 4.0)
            step = done + (number + 1) * options.iterations
            # A deep overlap is a long way, and its springs turn as it opens.
            self._run(options.iterations * (2 if worst > _DEEP else 1), push, progress, step, total)
            # Most frames are done soon; what is near trouble is looked at every time, the rest at the end.
            troubled = torch.nn.functional.max_pool1d((deepest > 0).float()[None], 7, 1, 3)[0].numpy()
            among = np.flatnonzero(troubled) if number else None
            found = self._look_again(among)
        return options.rounds

    def _run(self, iterations: int, push: float, progress: Progress, done: int, total: int) -> None:
        person_frames = self.shift[..., 0].numel()
        minimise(
            [self.turn, self.shift],
            lambda: torch.stack(list(self.energy(push).values())).sum() * person_frames,
            iterations,
            12,
            lambda calls: progress.update("refining", done + calls, total),
        )

    def _look_again(self, among: np.ndarray | None = None) -> Springs:
        """What is inside what, and which contacts are to be closed, as the bodies stand now.

        Args:
            among: frames to look for penetration in; None is all of them.
        """
        with torch.no_grad():
            rotations, self.transl = self.rotations(), self.translations()
            chosen = np.arange(self.clip.frames) if among is None else among
            springs = find_penetration(self.body, rotations[:, chosen], self.transl[:, chosen], self.betas, 0.0)
            springs = replace(springs, frame=torch.as_tensor(chosen)[springs.frame])
            springs = point_apart(springs, cast(Any, self))
            frames = np.flatnonzero(self.evidence.any((0, 2)))
            drawn = []
            for start in range(0, len(frames), 32):
                chosen = frames[start : start + 32]
                vertices = self.body(rotations[:, chosen], self.betas[:, None], self.transl[:, chosen]).vertices.numpy()
                pairs = part_pairs(vertices, self.body.data.parts, self.evidence[:, chosen], self.options.reach)
                drawn.append(replace(pairs, frame=chosen[pairs.frame]))
            self.drawn = VertexPairs.join(drawn)
        return springs


def hysteresis(probability: np.ndarray, on: float = 0.6, off: float = 0.4, axis: int = 1) -> np.ndarray:
    """Contacts that do not flicker: they begin above ``on`` and last until below ``off``, looked at from both ends.

    Args:
        probability: any shape, time along ``axis``.

    Returns:
        bool, the same shape: runs above ``off`` that somewhere reach ``on``.
    """
    moved = np.moveaxis(probability, axis, 0)
    held = moved >= off
    start = held & ~np.concatenate([np.zeros_like(held[:1]), held[:-1]])
    run = np.cumsum(start, 0)  # number of the run in its own column
    columns = np.arange(held[0].size).reshape(held.shape[1:])
    key = np.where(held, run * held[0].size + columns, -1)
    sure = np.unique(key[held & (moved >= on)])
    return np.moveaxis(held & np.isin(key, sure), 0, axis)
