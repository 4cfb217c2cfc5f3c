# SPDX-License-Identifier: Apache-2.0
"""Solves a clip again around corrections, in the clip's own world.

The unknowns are changes of the motion near the corrections: joint rotations and translations of both people, faded
out to nothing at the edge of a window in time, so that the rest of the clip cannot change. Pinned rotations are part
of the starting point and are never moved; everything else is a trade between the corrections, what was seen, the
contacts that were there, and leaving the motion as it was.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.data import PARENTS
from closeint_core.body.load import load_body
from closeint_core.body.spheres import BodySpheres, spheres_of
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.corrections import Corrections, RefineSettings
from closeint_core.progress import Progress
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.collision_state import CollisionState
from closeint_core.solver.contact_pairs import VertexPairs, close_pairs, nearest_pairs, touching_pairs
from closeint_core.solver.contacts import apart_vertices, tied_vertices
from closeint_core.solver.descent import Descent, Task
from closeint_core.solver.pairs import Pairs, Weights
from closeint_core.solver.pinned_report import OfSpan, join_reports, marked_vertices, measure_span
from closeint_core.solver.skinned_points import JOINTS
from closeint_core.solver.terms import PairTerms
from closeint_core.solver.ties import Ties, joints_of, nobody, packed
from closeint_core.windows import frames_of

_CONTEXT = 3  # unchanged frames at either end, which the jerk reaches into
_LOOKS = 2  # times in a round that what touches is looked for again
_CALLS_A_STEP = 5  # iterations of the settings that one step of the solver stands for


def solve_around(
    clip: InteractionClip, corrections: Corrections, settings: RefineSettings, progress: Progress
) -> InteractionClip:
    """See ``corrections.refine_around``, whose arguments have been checked."""
    data = load_body(clip.body, Path(settings.data) if settings.data else None)
    body = TorchBody(data)
    blend = max(2, round(settings.blend_seconds * clip.fps))
    spans = find_spans(corrections.frames(), clip.frames, blend)
    spheres = spheres_of(body)
    result = clip.copy(poses=clip.poses.copy(), transl=clip.transl.copy(), contacts=clip.contacts.copy())
    reports = []
    for number, (start, stop) in enumerate(spans):
        span = Span(body, clip, corrections, start, stop, blend, spheres)
        span.solve(settings, progress, number, len(spans))
        span.write(result, corrections)
        measuring = functools.partial(progress.update, "measuring", number, len(spans))
        own = OfSpan(slice(span.start, span.stop), span.marks, span.held_within())
        reports.append(measure_span(clip, result, data, corrections, own, measuring))
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
    """A run of frames that may change, with ``_CONTEXT`` unchanged ones at either end; n frames in all."""

    def __init__(
        self,
        body: TorchBody,
        clip: InteractionClip,
        corrections: Corrections,
        start: int,
        stop: int,
        blend: int,
        spheres: BodySpheres,
    ) -> None:
        self.body = body
        self.start, self.stop = start, stop
        self.first = max(start - _CONTEXT, 0)
        self.last = min(stop + _CONTEXT, clip.frames)
        self.count = self.last - self.first
        window = frames_of(clip, slice(self.first, self.last))
        with torch.no_grad():
            self.terms = PairTerms(body, window, spheres)
            self.collisions = CollisionState(body, self.terms)
        self.terms.holding_each_other = torch.zeros(self.count, dtype=torch.bool) if clip.people == 2 else None
        self.old = self.terms.old_rotations, self.terms.old_transl
        self._place_pins(corrections, blend)
        with torch.no_grad():
            self.terms.keep_to(self.old, (self.rotations, self.transl), self.freedom)
        self._doubt_keypoints(corrections)
        self.marks = [mark for mark in corrections.contacts if mark.frame < self.stop and mark.last >= self.start]
        self.held = VertexPairs.join([])
        self._held_ties: list[tuple[str, Ties]] = []
        if clip.people == 2:
            self._find_held(window)

    # -- what is given -----------------------------------------------------------------------------------------------

    def _place_pins(self, corrections: Corrections, blend: int) -> None:
        """Freedom of every frame, the starting point through the pins, and which variables stay as they are."""
        corrected = torch.as_tensor(corrections.frames()) - self.first
        steps = torch.arange(self.count)
        self.freedom = _fade((steps[:, None] - corrected).abs().amin(1), blend)  # (n,)
        betas, (old_rotations, old_transl) = self.terms.betas, self.old
        self.free = torch.ones(len(betas), self.count, JOINTS + 1)
        rotations, transl = old_rotations.clone(), old_transl.clone()
        turned: dict[tuple[int, int], dict[int, Tensor]] = {}
        moved: dict[int, dict[int, Tensor]] = {}
        self.position_pins: list[tuple[int, int, int, Tensor]] = []
        inside = [pin for pin in corrections.rotations if self.start <= pin.frame < self.stop]
        for pin in inside:
            turned.setdefault((pin.person, pin.joint), {})[pin.frame - self.first] = torch.tensor(pin.rotation)
            self.free[pin.person, pin.frame - self.first, pin.joint] = 0
        for place in corrections.positions:
            if not self.start <= place.frame < self.stop:
                continue
            target, frame = torch.tensor(place.position), place.frame - self.first
            if place.joint == 0:  # where the root is, is the translation itself
                root = self.body.rest_joints(betas[place.person])[0]
                moved.setdefault(place.person, {})[frame] = target - root
                self.free[place.person, frame, JOINTS] = 0
            else:
                self.position_pins.append((place.person, frame, place.joint, target))
        for (person, joint), pins in turned.items():
            frames = torch.tensor(sorted(pins))
            target = roma.rotvec_to_rotmat(torch.stack([pins[int(f)] for f in frames]))
            old = old_rotations[person, frames, joint]
            spread = spread_pins(frames, roma.rotmat_to_rotvec(old.mT @ target), self.count, blend)
            rotations[person, :, joint] = old_rotations[person, :, joint] @ roma.rotvec_to_rotmat(spread)
        for person, places in moved.items():
            frames = torch.tensor(sorted(places))
            offset = torch.stack([places[int(f)] for f in frames]) - old_transl[person, frames]
            transl[person] += spread_pins(frames, offset, self.count, blend)
        # Pins of a neighbouring span fade into the context, which stays as it is.
        still = (self.freedom <= 0) | (steps < self.start - self.first) | (steps >= self.stop - self.first)
        rotations[:, still], transl[:, still] = old_rotations[:, still], old_transl[:, still]
        self.freedom[still] = 0
        self.rotations, self.transl = rotations, transl

    def _doubt_keypoints(self, corrections: Corrections) -> None:
        """What hangs on a corrected joint counts for less the nearer the correction."""
        strongest = (self.body.data.halpe_regressor @ self.body.data.dense_weights).argmax(1)  # part of each keypoint
        below = np.array([[_descends(int(j), joint) for j in strongest] for joint in range(JOINTS)])
        for pin in corrections.joint_pins():
            if self.first <= pin.frame < self.last:
                doubt = _fade((torch.arange(self.count) - (pin.frame - self.first)).abs(), self.count)
                moved = torch.as_tensor(below[pin.joint])
                self.terms.confidence[pin.person] *= 1 - doubt[:, None] * moved

    def _find_held(self, window: InteractionClip) -> None:
        """Contacts of the old motion, without those that are marked as none, as ties that keep their offsets."""
        vertices = self.collisions.posed(*self.old).numpy()
        pairs = touching_pairs(vertices, self.body.data.parts)
        keep = np.ones(len(pairs), bool)
        parts = self.body.data.parts
        for mark in self.marks:
            if not mark.touch:
                mine, theirs = (pairs.a, pairs.b) if mark.person == 0 else (pairs.b, pairs.a)
                frame = pairs.frame + self.first
                same = (frame >= mark.frame) & (frame <= mark.last) & (parts[mine] == mark.part)
                keep &= ~(same & ((mark.other_part is None) | (parts[theirs] == mark.other_part)))
        self.held = held = pairs.take(keep)
        if len(held):
            offset = torch.as_tensor(vertices[0, held.frame, held.a] - vertices[1, held.frame, held.b])
            spreads = SOLVER.now.correction
            weight = spreads.held_weight * torch.as_tensor(held.weight) / spreads.held**2
            skins = self.collisions.posed_skins(self.terms.skeleton(*self.old))
            ties = tied_vertices(held, offset, weight, skins, self.count, scale=spreads.lost)
            self._held_ties = [("held", ties)]

    def held_within(self) -> VertexPairs:
        """The held pairs in the frames that may change, counted from the first of these."""
        shift, held = self.start - self.first, self.held
        inside = (held.frame >= shift) & (held.frame < shift + self.stop - self.start)
        some = held.take(inside)
        return replace(some, frame=some.frame - shift)

    # -- solving -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def solve(self, settings: RefineSettings, progress: Progress, number: int, spans: int) -> None:
        """All rounds; contacts and penetration are looked for several times in each."""
        spreads, weights = SOLVER.now.correction, Weights(**asdict(SOLVER.now.correction.weights))
        apart = settings.apart + spreads.closed
        steps = max(2, -(-settings.iterations // (_CALLS_A_STEP * _LOOKS)))
        total, done = spans * settings.rounds * _LOOKS * steps, number * settings.rounds * _LOOKS * steps
        count = 0

        def tick() -> None:
            nonlocal count
            progress.update("refining", min(done + count, total), total)
            count += 1

        descent = Descent(self.terms, tick)
        descent.free = self.free * (self.freedom > 0)[:, None]
        moving = self.freedom > 0
        every = torch.arange(self.count)
        push = torch.zeros(self.count)
        for round_number in range(settings.rounds):
            pull = spreads.pull * spreads.pull_growth**round_number
            for look in range(_LOOKS):
                tick()
                pairs: list[tuple[str, Pairs]] = []
                ties = [*self._pinned(pull), *self._held_ties]
                if self.terms.people == 2:
                    self.collisions.look(self.rotations, self.transl, every)
                    # First to where the corrections are, then out of each other, where there is freedom to.
                    if round_number or look:
                        able = (self.freedom > spreads.able).float()
                        push = torch.maximum(push * spreads.push_growth, able).clamp(max=spreads.push_most)
                        pairs += self._springs(push)
                    ties += self._marked(min(pull, spreads.pull_marks))
                    pairs += self._kept_apart(pull, apart)
                task = Task(weights, steps, None, moving, pairs, ties, spreads.settled)
                self.rotations, self.transl = descent.run(self.rotations, self.transl, task)

    def _pinned(self, pull: float) -> list[tuple[str, Ties]]:
        """Pinned places as ties to the world."""
        if not self.position_pins:
            return []
        people, device = self.terms.people, self.terms.device
        who = torch.tensor([pin[0] for pin in self.position_pins])
        frame = torch.tensor([pin[1] for pin in self.position_pins])
        joint = torch.tensor([pin[2] for pin in self.position_pins])
        target = torch.stack([pin[3] for pin in self.position_pins])
        rest = self.body.rest_joints(self.terms.betas)[who, joint]
        own = joints_of(self.terms.map, rest, joint)
        points = []
        for person in range(people):
            mine = (who == person).float()
            none = nobody(len(who), device)
            points.append(type(none)(own.moments * mine[:, None, None], own.weights * mine[:, None]))
        goal = torch.where((who == 0)[:, None], target, -target)
        weight = torch.full((len(who),), pull / SOLVER.now.correction.point**2)
        return [("pins", packed(frame, points, goal, weight, self.count))]

    def _marked(self, pull: float) -> list[tuple[str, Ties]]:
        """Marked contacts, as the bodies stand now."""
        vertices, found = self.collisions.at.numpy(), []
        for mark in self.marks:
            if mark.touch:
                a, b = marked_vertices(mark, self.body.data.parts)
                for frame in range(max(mark.frame, self.start), min(mark.last + 1, self.stop)):
                    found.append(nearest_pairs(vertices, frame - self.first, a, b, 4))
        pairs = VertexPairs.join(found)
        if not len(pairs):
            return []
        weight = pull * torch.as_tensor(pairs.weight) / SOLVER.now.correction.point**2
        skins = self.collisions.posed_skins(self.terms.skeleton(self.rotations, self.transl))
        where = [torch.as_tensor(one) for one in (pairs.frame, pairs.a, pairs.b)]
        goal = SOLVER.now.correction.closed * self.collisions.between(*where)
        return [("marks", tied_vertices(pairs, goal, weight, skins, self.count))]

    def _kept_apart(self, pull: float, apart: float) -> list[tuple[str, Pairs]]:
        """Parts that are marked as not touching."""
        look = apart + SOLVER.now.correction.look_apart
        vertices, found = self.collisions.at.numpy(), []
        for mark in self.marks:
            if not mark.touch:
                a, b = marked_vertices(mark, self.body.data.parts)
                for frame in range(max(mark.frame, self.start), min(mark.last + 1, self.stop)):
                    found.append(close_pairs(vertices, self.body.data.faces, frame - self.first, a, b, look))
        pairs = VertexPairs.join(found)
        if not len(pairs):
            return []
        skins = self.collisions.posed_skins(self.terms.skeleton(self.rotations, self.transl))
        weight = 4 * pull * torch.as_tensor(pairs.weight) / SOLVER.now.correction.point**2
        return [("no contact", apart_vertices(pairs, apart, weight, skins, self.count))]

    def _springs(self, push: Tensor) -> list[tuple[str, Pairs]]:
        """What pushes those inside the partner out."""
        return self.collisions.pushed_out(push, self.terms.skeleton(self.rotations, self.transl))

    # -- the result --------------------------------------------------------------------------------------------------

    def write(self, result: InteractionClip, corrections: Corrections) -> None:
        """Put the changed frames into the clip."""
        own = slice(self.start - self.first, self.stop - self.first)
        frames = slice(self.start, self.stop)
        result.poses[:, frames] = roma.rotmat_to_rotvec(self.rotations[:, own]).numpy()
        result.transl[:, frames] = self.transl[:, own].numpy()
        for pin in corrections.rotations:  # the numbers that were given, not their equals
            if self.start <= pin.frame < self.stop:
                result.poses[pin.person, pin.frame, pin.joint] = pin.rotation


def _descends(joint: int, ancestor: int) -> bool:
    while joint > 0 and joint != ancestor:
        joint = PARENTS[joint]
    return joint == ancestor
