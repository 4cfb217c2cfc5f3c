# SPDX-License-Identifier: Apache-2.0
"""Solves a clip again around corrections, in the clip's own world.

The unknowns are changes of the motion near the corrections: joint rotations and translations of both people, faded
out to nothing at the edge of a window in time, so that the rest of the clip cannot change. Pinned rotations are part
of the starting point and are never moved; everything else is a trade between the corrections, what was seen, the
contacts that were there, and leaving the motion as it was.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.data import PARENTS, load_body
from closeint_core.body.skinning import lbs
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.physics import energies
from closeint_core.physics.contact_pairs import (
    VertexPairs,
    close_pairs,
    nearest_pairs,
    touching_pairs,
)
from closeint_core.physics.joint_limits import LIMIT_HIGH, LIMIT_LOW
from closeint_core.physics.minimise import minimise
from closeint_core.physics.over_time import frame_step
from closeint_core.physics.separation import (
    Separation,
    Springs,
    find_penetration,
    join_springs,
    point_apart,
    vertices_at,
)
from closeint_core.physics.spheres import BodySpheres
from closeint_core.progress import Progress
from closeint_core.reconstruction.corrections import Corrections, RefineSettings
from closeint_core.reconstruction.fit import PairFit
from closeint_core.reconstruction.pinned_report import join_reports, marked_vertices, measure_span

_CONTEXT = 2  # unchanged frames at either end, which the accelerations reach into
_ABLE = 0.3  # freedom from which on a frame can mend penetration
_FRAMES_AT_ONCE = 4
_MOST_DEPTH = 0.004  # metres of penetration that are left alone

# How far, in radians, a joint is moved as readily as any other: limbs before the spine, the root last.
_REACH = torch.tensor(
    [0.2, .5, .5, .15, .6, .6, .15, .3, .3, .15, .15, .15, .2, .25, .25, .25, .7, .7, .8, .8, .4, .4, .15, .15]
)  # fmt: skip


def solve_around(
    clip: InteractionClip, corrections: Corrections, settings: RefineSettings, progress: Progress
) -> InteractionClip:
    """See ``corrections.refine_around``, whose arguments have been checked."""
    data = load_body(clip.body, Path(settings.data) if settings.data else None)
    body = TorchBody(data)
    blend = max(2, round(settings.blend_seconds * clip.fps))
    spans = find_spans(corrections.frames(), clip.frames, blend)
    spheres = BodySpheres(body) if clip.people == 2 else None
    result = clip.copy(poses=clip.poses.copy(), transl=clip.transl.copy(), contacts=clip.contacts.copy())
    reports = []
    with _one_thread():
        for number, (start, stop) in enumerate(spans):
            span = Span(body, clip, corrections, start, stop, blend, spheres)
            span.solve(settings, progress, number, len(spans))
            span.write(result, corrections)
            measuring = functools.partial(progress.update, "measuring", number, len(spans))
            own = slice(span.start, span.stop)
            reports.append(
                measure_span(clip, result, data, corrections, own, span.marks, span.held_within(), measuring)
            )
    progress.update("measuring", len(spans), len(spans))
    report = join_reports(reports, corrections, settings, progress)
    # Figures of the whole clip that were measured before no longer hold.
    metadata = {key: value for key, value in clip.metadata.items() if key != "quality"}
    return result.copy(metadata={**metadata, "refinement": report}).validate()


def find_spans(corrected: np.ndarray, frames: int, blend: int) -> list[tuple[int, int]]:
    """Runs (start, stop) of frames that may change: all within ``blend`` of a corrected frame."""
    free = np.zeros(frames + 1, bool)
    for frame in corrected:
        free[max(frame - blend, 0) : min(frame + blend + 1, frames)] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The tensors are small: handing them to a second thread costs more than it gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fade(distance: Tensor, blend: int) -> Tensor:
    """1 at distance 0, 0 from blend + 1 frames on, level at both ends."""
    return 0.5 + 0.5 * torch.cos(torch.pi * (distance.float() / (blend + 1)).clamp(max=1))


def spread_pins(frames: Tensor, values: Tensor, count: int, blend: int) -> Tensor:
    """Offsets known in a few frames, spread over all of them.

    Between neighbours that are at most ``blend`` frames apart they are interpolated; elsewhere they fade out. In the
    known frames the result is exactly the value given.

    Args:
        frames: (K,) sorted, distinct, in 0..count - 1. values: (K, C).

    Returns:
        (count, C).
    """
    steps = torch.arange(count)
    after = torch.searchsorted(frames, steps)  # first pin at or after the step
    before = torch.searchsorted(frames, steps, right=True) - 1  # last pin at or before it
    last = len(frames) - 1
    left, right = frames[before.clamp(min=0)], frames[after.clamp(max=last)]
    has_left, has_right = before >= 0, after <= last
    gap = right - left
    fade_left = _fade(steps - left, blend) * has_left
    fade_right = _fade(right - steps, blend) * has_right
    mix = (steps - left) / gap.clamp(min=1)
    mix = mix * mix * (3 - 2 * mix)
    between = has_left & has_right & (gap <= blend) & (gap > 0)
    fade_left = torch.where(between, 1 - mix, fade_left)
    fade_right = torch.where(between, mix, fade_right)
    fade_right = torch.where(has_left & has_right & (gap == 0), torch.zeros(()), fade_right)  # on a pin: once
    return fade_left[:, None] * values[before.clamp(min=0)] + fade_right[:, None] * values[after.clamp(max=last)]


class Span:
    """The variables of a run of frames and their energies; n frames with ``_CONTEXT`` unchanged ones at either end.

    It has the names of ``fit.PairFit`` that ``separation`` works on: body, spheres, betas, transl, rotations().
    """

    def __init__(
        self,
        body: TorchBody,
        clip: InteractionClip,
        corrections: Corrections,
        start: int,
        stop: int,
        blend: int,
        spheres: BodySpheres | None,
    ) -> None:
        self.body, self.spheres, self.clip = body, spheres, clip
        self.start, self.stop = start, stop
        self.first = max(start - _CONTEXT, 0)
        self.last = min(stop + _CONTEXT, clip.frames)
        part = slice(self.first, self.last)
        self.betas = torch.as_tensor(clip.betas)
        self.old_rotations = roma.rotvec_to_rotmat(torch.as_tensor(clip.poses[:, part]))
        self.old_transl = torch.as_tensor(clip.transl[:, part])
        self.count = self.last - self.first
        self._place_pins(corrections, blend)
        self.turn = torch.zeros(*self.old_rotations.shape[:3], 3)
        self.shift = torch.zeros_like(self.old_transl)
        self.halpe = body.points("halpe")
        with torch.no_grad():
            self.transl = self.base_transl
            old = body.skeleton(self.old_rotations, self.betas[:, None], self.old_transl)
            self.old_joints = old.joints
            self.old_keypoints = self.halpe(old, self.betas[:, None])
            if spheres is not None:
                self.radii = spheres.radii(self.betas)
        self._gather_evidence(clip, part, corrections)
        self.marks = [mark for mark in corrections.contacts if mark.frame < self.stop and mark.last >= self.start]
        self.held = self._find_held() if clip.people == 2 else VertexPairs.join([])
        self.springs: Separation | None = None
        self.drawn = self.pushed = VertexPairs.join([])

    # -- what is given -----------------------------------------------------------------------------------------------

    def _place_pins(self, corrections: Corrections, blend: int) -> None:
        """Freedom of every frame, the starting point through the pins, and which variables stay as they are."""
        corrected = torch.as_tensor(corrections.frames()) - self.first
        steps = torch.arange(self.count)
        self.freedom = _fade((steps[:, None] - corrected).abs().amin(1), blend)[:, None]  # (n, 1)
        people = len(self.betas)
        self.free_turn = torch.ones(people, self.count, 24, 1)
        self.free_shift = torch.ones(people, self.count, 1)
        rotations, transl = self.old_rotations.clone(), self.old_transl.clone()
        turned: dict[tuple[int, int], dict[int, Tensor]] = {}
        moved: dict[int, dict[int, Tensor]] = {}
        self.position_pins: list[tuple[int, int, int, Tensor]] = []
        inside = [pin for pin in corrections.rotations if self.start <= pin.frame < self.stop]
        for pin in inside:
            turned.setdefault((pin.person, pin.joint), {})[pin.frame - self.first] = torch.tensor(pin.rotation)
            self.free_turn[pin.person, pin.frame - self.first, pin.joint] = 0
        for place in corrections.positions:
            if not self.start <= place.frame < self.stop:
                continue
            target, frame = torch.tensor(place.position), place.frame - self.first
            if place.joint == 0:  # where the root is, is the translation itself
                root = self.body.rest_joints(self.betas[place.person])[0]
                moved.setdefault(place.person, {})[frame] = target - root
                self.free_shift[place.person, frame] = 0
            else:
                self.position_pins.append((place.person, frame, place.joint, target))
        for (person, joint), pins in turned.items():
            frames = torch.tensor(sorted(pins))
            target = roma.rotvec_to_rotmat(torch.stack([pins[int(f)] for f in frames]))
            old = self.old_rotations[person, frames, joint]
            spread = spread_pins(frames, roma.rotmat_to_rotvec(old.mT @ target), self.count, blend)
            rotations[person, :, joint] = self.old_rotations[person, :, joint] @ roma.rotvec_to_rotmat(spread)
        for person, places in moved.items():
            frames = torch.tensor(sorted(places))
            offset = torch.stack([places[int(f)] for f in frames]) - self.old_transl[person, frames]
            transl[person] += spread_pins(frames, offset, self.count, blend)
        # Pins of a neighbouring span fade into the context, which stays as it is.
        still = (self.freedom[:, 0] <= 0) | (steps < self.start - self.first) | (steps >= self.stop - self.first)
        rotations[:, still], transl[:, still] = self.old_rotations[:, still], self.old_transl[:, still]
        self.freedom[still] = 0
        self.base_rotations, self.base_transl = rotations, transl

    def _gather_evidence(self, clip: InteractionClip, part: slice, corrections: Corrections) -> None:
        """Observed keypoints; what hangs on a corrected joint counts for less the nearer the correction."""
        observed = torch.as_tensor(clip.keypoints2d[:, part])
        seen = observed.isfinite().all(-1)
        weights = torch.where(seen, observed[..., 2].nan_to_num(0).clamp(0, 1), torch.zeros(()))
        strongest = (self.body.data.halpe_regressor @ self.body.data.dense_weights).argmax(1)  # part of each keypoint
        below = np.array([[_descends(int(j), joint) for j in strongest] for joint in range(24)])
        for pin in corrections.joint_pins():
            if self.first <= pin.frame < self.last:
                doubt = _fade((torch.arange(self.count) - (pin.frame - self.first)).abs(), self.count)
                moved = torch.as_tensor(below[pin.joint])
                weights[pin.person] *= 1 - doubt[:, None] * moved
        self.observed, self.weights = observed[..., :2].nan_to_num(0), weights
        steps = slice(0, 1) if len(clip.camera_K) == 1 else part
        self.camera = [torch.as_tensor(x[steps]) for x in (clip.camera_K, clip.camera_R, clip.camera_t)]
        depth = (self.old_joints[:, :, :1] @ self.camera[1].mT + self.camera[2][:, None])[..., 2]
        self.metres_per_pixel = (depth / self.camera[0][:, 0, 0][:, None]).clamp(min=1e-4)
        feet = torch.as_tensor(clip.foot_contacts[:, part])
        self.planted = feet.repeat_interleave(3, -1)  # in the order of energies.FOOT_POINTS
        vectors = roma.rotmat_to_rotvec(self.old_rotations)
        # A motion beyond the usual limits may stay there, but not go further.
        self.limit_low = torch.minimum(LIMIT_LOW, vectors)
        self.limit_high = torch.maximum(LIMIT_HIGH, vectors)

    def _find_held(self) -> VertexPairs:
        """Contacts of the old motion, without those that are marked as none."""
        vertices = self._meshes(self.old_rotations, self.old_transl)
        pairs = touching_pairs(vertices, self.body.data.parts)
        keep = np.ones(len(pairs), bool)
        parts = self.body.data.parts
        for mark in self.marks:
            if not mark.touch:
                mine, theirs = (pairs.a, pairs.b) if mark.person == 0 else (pairs.b, pairs.a)
                frame = pairs.frame + self.first
                same = (frame >= mark.frame) & (frame <= mark.last) & (parts[mine] == mark.part)
                keep &= ~(same & ((mark.other_part is None) | (parts[theirs] == mark.other_part)))
        return pairs.take(keep)

    # -- the state ---------------------------------------------------------------------------------------------------

    def held_within(self) -> VertexPairs:
        """The held pairs in the frames that may change, counted from the first of these."""
        shift, held = self.start - self.first, self.held
        inside = (held.frame >= shift) & (held.frame < shift + self.stop - self.start)
        some = held.take(inside)
        return replace(some, frame=some.frame - shift)

    def rotations(self) -> Tensor:
        """(P, n, 24, 3, 3)."""
        turn = self.turn * self.free_turn * self.freedom[:, None]
        return self.base_rotations @ roma.rotvec_to_rotmat(turn)

    def translations(self) -> Tensor:
        """(P, n, 3)."""
        return self.base_transl + self.shift * self.free_shift * self.freedom

    def _meshes(self, rotations: Tensor, transl: Tensor) -> np.ndarray:
        poses = roma.rotmat_to_rotvec(rotations).numpy()
        return lbs(self.body.data, poses, self.betas.numpy()[:, None], transl.numpy())[0]

    def _as_fit(self) -> PairFit:
        return cast(PairFit, self)

    # -- the energies ------------------------------------------------------------------------------------------------

    def energy(self, pull: float) -> Tensor:
        """The sum of all terms; ``pull`` is the weight of positions and contacts."""
        rotations, transl = self.rotations(), self.translations()
        self.transl = transl  # where separation looks for it
        skeleton = self.body.skeleton(rotations, self.betas[:, None], transl)
        keypoints = self.halpe(skeleton, self.betas[:, None])
        rate = frame_step(self.clip.fps)
        people, frames = transl.shape[:2]
        moved = skeleton.joints - self.old_joints
        vectors = roma.rotmat_to_rotvec(rotations)
        over = (vectors - self.limit_high).clamp(min=0) + (self.limit_low - vectors).clamp(min=0)
        feet = keypoints[:, :, energies.FOOT_POINTS]
        old_feet = self.old_keypoints[:, :, energies.FOOT_POINTS]
        slid = energies.huber((feet - old_feet).square().sum(-1), 0.03)
        sunk = (torch.minimum(old_feet[..., 2], torch.tensor(0.01)) - feet[..., 2]).clamp(min=0)
        total = (
            (self.turn.square().sum(-1) / _REACH**2).sum(-1).mean()
            + self.shift.square().sum(-1).mean() / 0.08**2
            + energies.acceleration(moved, 0.010 * rate**2)
            + energies.acceleration((rotations - self.old_rotations).flatten(2, 3), 0.06 * rate**2)
            + over[..., 1:, :].square().sum((-1, -2)).mean() / 0.08**2
            + 0.5 * (self.planted * slid).sum(-1).mean() / 0.01**2
            + sunk.square().sum(-1).mean() / 0.005**2
            + 0.3 * self._reprojection(keypoints)
        )
        for person, frame, joint, target in self.position_pins:
            miss = (skeleton.joints[person, frame, joint] - target).square().sum()
            total = total + pull * miss / 0.005**2 / (people * frames)
        if self.spheres is not None:
            total = total + energies.sphere_overlap(self.spheres.centres(skeleton, self.betas[:, None]), self.radii)
            total = total + self._pair_terms(skeleton, pull) / (people * frames)
            if self.springs is not None:
                total = total + self.springs(self._as_fit(), rotations)["separation"]
        return total

    def _reprojection(self, keypoints: Tensor) -> Tensor:
        K, R, t = self.camera
        seen = keypoints @ R.mT + t[:, None]
        pixels = seen[..., :2] / seen[..., 2:].clamp(min=0.05)
        pixels = pixels * torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)[:, None] + K[:, None, :2, 2]
        return energies.reprojection(pixels, self.observed, self.weights, self.metres_per_pixel, 0.02, 0.1)

    def _pair_terms(self, skeleton: Any, pull: float) -> Tensor:
        """Contacts held, contacts made, parts kept apart; summed over frames."""
        rest = self.body.rest_vertices(self.betas)

        def difference(pairs: VertexPairs) -> Tensor:
            frame = torch.as_tensor(pairs.frame)
            ends = []
            for person, vertex in ((0, pairs.a), (1, pairs.b)):
                who = torch.full_like(frame, person)
                ends.append(vertices_at(self.body, skeleton, rest, who, frame, torch.as_tensor(vertex)))
            return ends[0] - ends[1]

        total = rest.new_zeros(())
        if len(self.held):
            change = (difference(self.held) - self._held_offsets()).square().sum(-1)
            lost = energies.geman_mcclure(change, 0.05)
            total = total + 3 * (torch.as_tensor(self.held.weight) * lost).sum() / 0.006**2
        if len(self.drawn):
            # No harder than bodies are kept out of each other, or the hand would end up inside.
            gap = ((difference(self.drawn).square().sum(-1) + 1e-12).sqrt() - 0.003).clamp(min=0)
            total = total + min(pull, 4.0) * (torch.as_tensor(self.drawn.weight) * gap.square()).sum() / 0.005**2
        if len(self.pushed):
            height = (difference(self.pushed) * torch.as_tensor(self.pushed.direction)).sum(-1)
            short = (self.apart - height).clamp(min=0)
            total = total + pull * (torch.as_tensor(self.pushed.weight) * short.square()).sum() * 4 / 0.005**2
        return total

    def _held_offsets(self) -> Tensor:
        """(N, 3) what the held pairs' differences were."""
        if not hasattr(self, "_offsets"):
            vertices = self._meshes(self.old_rotations, self.old_transl)
            p = self.held
            self._offsets = torch.as_tensor(vertices[0, p.frame, p.a] - vertices[1, p.frame, p.b])
        return self._offsets

    # -- the optimiser -----------------------------------------------------------------------------------------------

    def solve(self, settings: RefineSettings, progress: Progress, number: int, spans: int) -> None:
        """All rounds; contacts and penetration are looked for at the start of each."""
        self.apart = settings.apart + 0.003
        total = spans * settings.rounds * settings.iterations
        collected: Springs | None = None
        for round_number in range(settings.rounds):
            done = (number * settings.rounds + round_number) * settings.iterations
            progress.update("refining", done, total)
            if self.spheres is not None:
                self._look_again()
                # First to where the corrections are, then out of each other.
                if round_number:
                    check = functools.partial(progress.update, "refining", done, total)
                    collected = self._add_springs(collected, check)
            self._run(settings.iterations, 10.0 * 5**round_number, progress, done, total)

    def _run(self, iterations: int, pull: float, progress: Progress, done: int, total: int) -> None:
        person_frames = self.shift[..., 0].numel()
        minimise(
            [self.turn, self.shift],
            lambda: self.energy(pull) * person_frames,
            iterations,
            20,
            lambda calls: progress.update("refining", done + calls, total),
        )

    def _look_again(self) -> None:
        """Which points the marked contacts are made of, as the bodies stand now."""
        if not self.marks:
            return
        with torch.no_grad():
            vertices = self._meshes(self.rotations(), self.translations())
        drawn, pushed = [], []
        for mark in self.marks:
            a, b = marked_vertices(mark, self.body.data.parts)
            for frame in range(max(mark.frame, self.start), min(mark.last + 1, self.stop)):
                at = frame - self.first
                if mark.touch:
                    drawn.append(nearest_pairs(vertices, at, a, b, 4))
                else:
                    pushed.append(close_pairs(vertices, self.body.data.faces, at, a, b, self.apart + 0.01))
        self.drawn, self.pushed = VertexPairs.join(drawn), VertexPairs.join(pushed)

    def _add_springs(self, collected: Springs | None, check: Callable[[], None]) -> Springs | None:
        found = []
        with torch.no_grad():
            rotations, self.transl = self.rotations(), self.translations()
            # A few frames at a time, so that a cancel is heard in between.
            for first in range(0, self.count, _FRAMES_AT_ONCE):
                check()
                part = slice(first, first + _FRAMES_AT_ONCE)
                some = find_penetration(self.body, rotations[:, part], self.transl[:, part], self.betas, _MOST_DEPTH)
                found.append(replace(some, frame=some.frame + first))
            springs = point_apart(functools.reduce(join_springs, found), self._as_fit())
        # Where next to nothing can move, penetration is not this solver's to mend.
        able = self.freedom[springs.frame, 0] > _ABLE
        springs = Springs(*(getattr(springs, name)[able] for name in Springs.__dataclass_fields__))
        if len(springs.depth):
            collected = springs if collected is None else join_springs(collected, springs)
        if collected is not None:
            self.springs = Separation(collected, torch.as_tensor(self.body.data.parts, dtype=torch.long))
        return collected

    # -- the result --------------------------------------------------------------------------------------------------

    def write(self, result: InteractionClip, corrections: Corrections) -> None:
        """Put the changed frames into the clip."""
        own = slice(self.start - self.first, self.stop - self.first)
        with torch.no_grad():
            rotations, transl = self.rotations()[:, own], self.translations()[:, own]
        frames = slice(self.start, self.stop)
        result.poses[:, frames] = roma.rotmat_to_rotvec(rotations).numpy()
        result.transl[:, frames] = transl.numpy()
        for pin in corrections.rotations:  # the numbers that were given, not their equals
            if self.start <= pin.frame < self.stop:
                result.poses[pin.person, pin.frame, pin.joint] = pin.rotation


def _descends(joint: int, ancestor: int) -> bool:
    while joint > 0 and joint != ancestor:
        joint = PARENTS[joint]
    return joint == ancestor
