# SPDX-License-Identifier: Apache-2.0
"""Brings planned pairs together: all pairs, people and frames at once, by gradient descent on what is wrong.

Unknown are smooth corrections of the planned joints (B-splines over time), of the pelvis, of feet in the air, and
where each person stands. Legs follow in closed form, so that feet stay planted whatever the solver does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.data import JOINT_NAMES
from closeint_core.body.spheres import inscribe_spheres, ride_on_vertices
from closeint_core.body.torch_body import LinearPoints, Skeleton, TorchBody
from closeint_core.training.synthetic.curves import bspline_basis
from closeint_core.training.synthetic.legs import BASE, axis_rotation, solve_leg
from closeint_core.training.synthetic.plan import Plan
from closeint_core.training.synthetic.surface import JOINT, PLACE, Surface, SurfacePoints
from closeint_core.training.usual_range import USUAL_HIGH, USUAL_LOW

# How far (degrees) a joint readily leaves its planned pose.
_LOOSENESS = {
    "pelvis": 6.0, "spine1": 6.0, "spine2": 6.0, "spine3": 6.0, "neck": 10.0, "head": 10.0, "collar": 8.0,
    "shoulder": 30.0, "elbow": 32.0, "wrist": 24.0, "hand": 10.0, "hip": 0.0, "knee": 0.0, "ankle": 0.0, "foot": 0.0,
}  # fmt: skip
_LEGS = tuple(JOINT[f"{side}_{name}"] for side in ("left", "right") for name in ("hip", "knee", "ankle", "foot"))
_NEAR = 0.09
"""A nearest point farther away (metres) than this says nothing about being inside."""
_MARGIN = 0.001
_SKIN, _SKIN_STEP = 256, 2
_OVERLAP = 0.01
_REST = 0.006
"""Metres by which a place that rests on the floor may be off it."""


@dataclass
class Posed:
    """Poses of N pairs in F frames: local rotations (N, 2, F, 24, 3, 3), axis-angle of the joints that the solver
    turns (N, 2, F, 24, 3), the skeleton, and how far legs are out of reach (N, 2, F, 2)."""

    rotations: Tensor
    vectors: Tensor
    skeleton: Skeleton
    over: Tensor


class NearPoints(NamedTuple):
    """For each sample of either person the other's nearest sample: (N, 2, F, S) indices, and how deep it lies behind
    that one's skin, metres, negative outside."""

    partner: Tensor
    depth: Tensor


class Watch(NamedTuple):
    """M samples that are inside or nearly so: flat indices (M,) into (N, 2, F, S) of the point and of the other's
    nearest sample, its normal (M, 3), and the pair (M,) they belong to."""

    point: Tensor
    plane: Tensor
    normal: Tensor
    pair: Tensor


@lru_cache(maxsize=4)
def halpe_points(body: TorchBody) -> LinearPoints:
    """The Halpe-26 keypoints of a body, made the first time they are asked for; not to be moved."""
    return body.points("halpe")


class Tools:
    """What the solver needs of a body: places, samples, spheres, on the body's device."""

    def __init__(self, body: TorchBody) -> None:
        self.body = body
        self.surface = Surface(body)
        device = body.template.device
        centres, _ = inscribe_spheres(body.data, 0.02)
        regressor = ride_on_vertices(body.data, centres)
        self._spheres = body.points(regressor)
        self.halpe = halpe_points(body)
        # The skin nearest to a centre is among what is nearest in the mean shape.
        apart = np.linalg.norm(centres[:, None] - body.data.template[None, ::_SKIN_STEP], axis=-1)
        near = torch.tensor(_SKIN_STEP * np.argsort(apart, axis=1)[:, :_SKIN], device=device)
        shapedirs = torch.tensor(regressor, device=device) @ body.shapedirs.flatten(1)
        centre_rest = torch.tensor(regressor, device=device) @ body.template
        # (S, skin, 3) and (S, skin, 3, B): from each centre to the skin around it.
        self._to_skin = body.template[near] - centre_rest[:, None]
        self._to_skin_shapedirs = body.shapedirs[near] - shapedirs.unflatten(1, (3, -1))[:, None]
        part = (regressor @ body.data.dense_weights).argmax(1)
        names = [JOINT_NAMES[int(p)] for p in part]

        def indices(words: tuple[str, ...]) -> Tensor:
            chosen = [i for i, name in enumerate(names) if name.endswith(words)]
            return torch.tensor(chosen, device=device)

        self.arm_spheres = {side: indices(tuple(f"{side}_{n}" for n in ("elbow", "wrist", "hand")))
                            for side in ("left", "right")}  # fmt: skip
        self.trunk_spheres = indices(("pelvis", "spine1", "spine2", "spine3", "neck", "head", "hip"))
        loose = [_LOOSENESS[name.removeprefix("left_").removeprefix("right_")] for name in JOINT_NAMES]
        self.loose = torch.deg2rad(torch.tensor(loose, device=device))[:, None]
        self.base = BASE.to(device)
        self.free_joints = torch.tensor([j for j in range(24) if j not in _LEGS], device=device)
        # A knee whose foot is right below or before the hip points up as well as ahead.
        self.pole_up = torch.tensor([0.0, 0.0, 0.3], device=device)
        # That of somebody who kneels points down.
        self.pole_down = torch.tensor([0.0, 0.0, -0.8], device=device)
        below = [PLACE[f"{side}_{name}"] for side in ("left", "right") for name in ("knee_front", "instep")]
        self.kneeling = torch.tensor(below, device=device)
        self.eyes = torch.tensor([0.0, 0.06, 0.08], device=device)
        self.leg_joints = [
            torch.tensor([JOINT["pelvis" if n == "pelvis" else f"{s}_{n}"] for s in ("left", "right")], device=device)
            for n in ("pelvis", "hip", "knee", "ankle")
        ]
        low, high = USUAL_LOW.clone(), USUAL_HIGH.clone()
        for joint in _LEGS:  # those are solved in closed form
            low[joint], high[joint] = -10.0, 10.0
        for side, sign in (("left", 1.0), ("right", -1.0)):
            for name in ("hand",):
                bounds = sorted((sign * -1.3, sign * 0.2))
                low[JOINT[f"{side}_{name}"], 2], high[JOINT[f"{side}_{name}"], 2] = bounds
        self.low, self.high = low.to(device), high.to(device)

    def sphere_radii(self, betas: Tensor) -> Tensor:
        """(..., S) for shapes (..., B): the distance from each centre to the rest skin."""
        directions = self._to_skin_shapedirs[..., : betas.shape[-1]]
        moved = (betas @ directions.flatten(0, 2).T).unflatten(-1, self._to_skin.shape)
        result: Tensor = (self._to_skin + moved).norm(dim=-1).amin(-1)
        return result

    def sphere_centres(self, skeleton: Skeleton, betas: Tensor) -> Tensor:
        """(..., S, 3) centres of a posed body."""
        result: Tensor = self._spheres(skeleton, betas)
        return result

    def sphere_moments(self, betas: Tensor) -> Tensor:
        """For ``moved_spheres``."""
        return self._spheres.shaped(betas)

    def moved_spheres(self, skeleton: Skeleton, betas: Tensor, moments: Tensor) -> Tensor:
        """``sphere_centres`` of bodies whose ``sphere_moments`` are known."""
        result: Tensor = self._spheres(skeleton, betas, moments=moments)
        return result


class Scene:
    """N pairs with their unknowns.

    Args:
        tools: of the body. plan: on the same device. spacing: frames between control points.
    """

    def __init__(self, tools: Tools, plan: Plan, spacing: float = 4.0) -> None:
        self.tools, self.plan = tools, plan
        device = plan.betas.device
        pairs, _, frames = plan.heading.shape
        self.basis = bspline_basis(frames, spacing).to(device)
        knots = self.basis.shape[1]
        self.betas = plan.betas[:, :, None]
        self.rest = tools.body.rest_joints(self.betas)
        self.turn = torch.zeros(pairs, 2, knots, 24, 3, device=device, requires_grad=True)
        self.shift = torch.zeros(pairs, 2, knots, 3, device=device, requires_grad=True)
        self.foot = torch.zeros(pairs, 2, knots, 6, device=device, requires_grad=True)
        self.stand = torch.zeros(pairs, 2, 3, device=device, requires_grad=True)
        self.radii = tools.sphere_radii(plan.betas)
        self.shape = tools.surface.shaped(self.betas)
        self._spheres = tools.sphere_moments(self.betas)
        self._leg_rest = tuple(self.rest[..., joints, :] for joints in tools.leg_joints)
        arms, trunk = tools.arm_spheres, tools.trunk_spheres
        self._own = ((arms["left"], trunk), (arms["right"], trunk), (arms["left"], arms["right"]))
        self._own_wanted = [
            self.radii[:, :, None, first, None] + self.radii[:, :, None, None, second] for first, second in self._own
        ]
        self._wanted = self.radii[:, 0, None, :, None] + self.radii[:, 1, None, None, :]
        self._part: tuple[Tensor, Plan, Tensor, Tensor] | None = None
        self._upright = torch.eye(3, device=device)
        self._grounded = plan.rests.amax(-1)
        kneels = plan.rests[:, :, tools.kneeling].amax(-1) > 0
        self._pole_up = torch.where(kneels[:, :, None, None, None], tools.pole_down, tools.pole_up)
        self._rows = torch.arange(pairs, device=device)[:, None]

    def _at(self, frames: Tensor) -> tuple[Plan, Tensor, Tensor]:
        """The plan of the chosen frames (F,), the basis, and who is tilted (N, 2, F); kept, for the solver asks for the
        same again and again."""
        if self._part is None or self._part[0] is not frames:
            plan = self.plan.at(frames)
            self._part = (frames, plan, self.basis[frames], (plan.tilt != self._upright).flatten(-2).any(-1))
        return self._part[1:]

    def pose(self, frames: Tensor) -> Posed:
        """Poses of the chosen frames (F,)."""
        plan, basis, tilted = self._at(frames)
        residual = torch.einsum("fk,npkja->npfja", basis, self.turn) * self.tools.loose
        vectors = plan.prior + residual
        local = roma.rotvec_to_rotmat(vectors)
        # Where the person stands: moved and turned as a whole, feet included.
        move, spin = 0.1 * self.stand[..., :2], 0.1 * self.stand[..., 2]
        centre = self.plan.pelvis[:, :, :1, :2].mean(2, keepdim=True)
        turn = axis_rotation(2, spin)[..., :2, :2].mT

        def placed(points: Tensor) -> Tensor:
            """(N, 2, M, 3) moved with the person."""
            there = (points[..., :2] - centre) @ turn + centre + move[:, :, None]
            return torch.cat((there, points[..., 2:]), -1)

        heading = plan.heading + spin[..., None]
        yaw = plan.foot_yaw + spin[..., None, None]
        # Pelvis and both feet at once.
        level = axis_rotation(2, torch.cat((heading[..., None], yaw), -1)) @ self.tools.base  # (N, 2, F, 3, 3, 3)
        root = level[..., 0, :, :] @ local[..., 0, :, :]
        pelvis = placed(plan.pelvis) + 0.03 * torch.einsum("fk,npka->npfa", basis, self.shift)
        foot_shift = 0.08 * torch.einsum("fk,npka->npfa", basis, self.foot).unflatten(-1, (2, 3))
        ankles = placed(plan.ankles.flatten(2, 3)).unflatten(2, (-1, 2)) + plan.free[..., None] * foot_shift
        turned = level[..., 1:, :, :] @ axis_rotation(0, plan.foot_pitch)
        aim = 0.7 * yaw + 0.3 * heading[..., None]
        pole = torch.stack((torch.cos(aim), torch.sin(aim), torch.zeros_like(aim)), -1) + self._pole_up
        # The knees of somebody who lies point where the body does.
        facing = axis_rotation(2, heading) @ self.tools.base
        over = (facing @ plan.tilt @ facing.mT)[..., None, :, :]
        pole = torch.where(tilted[..., None, None], (over @ pole[..., None])[..., 0], pole)
        leg = solve_leg(self._leg_rest, pelvis[..., None, :], root[..., None, :, :], ankles, turned, pole)  # type: ignore[arg-type]
        toes = axis_rotation(0, plan.toes)
        parts = list(local.unbind(-3))
        parts[0] = root
        for foot, side in enumerate(("left", "right")):
            for name, matrices in (("hip", leg.hip), ("knee", leg.knee), ("ankle", leg.ankle), ("foot", toes)):
                parts[JOINT[f"{side}_{name}"]] = matrices[..., foot, :, :]
        rotations = torch.stack(parts, -3)
        transl = pelvis - self.rest[..., 0, :]
        skeleton = self.tools.body.skeleton(rotations, self.betas, transl)
        return Posed(rotations, vectors, skeleton, leg.over)

    def places(self, posed: Posed) -> SurfacePoints:
        """All places: (N, 2, F, P, 3)."""
        return self.tools.surface.places(posed.skeleton, self.shape)

    def touching(self, places: SurfacePoints) -> tuple[SurfacePoints, SurfacePoints]:
        """The two places of every touch, of all ``places``: (N, F, C, 3) mine, theirs."""
        plan = self.plan

        def pick(points: Tensor, who: Tensor, place: Tensor) -> Tensor:
            return points[self._rows, who, :, place].transpose(1, 2)  # (N, C, F, 3) -> (N, F, C, 3)

        mine = SurfacePoints(*(pick(x, plan.who, plan.mine) for x in places))
        theirs = SurfacePoints(*(pick(x, plan.whom, plan.theirs) for x in places))
        return mine, theirs

    def energy(self, frames: Tensor, watch: Watch | None, push: float) -> dict[str, Tensor]:
        """What is wrong with each pair (N,), term by term: squared errors in units of what is tolerable."""
        tools, (plan, *_) = self.tools, self._at(frames)
        posed = self.pose(frames)
        terms: dict[str, Tensor] = {}
        scaled = (posed.vectors - plan.prior) / tools.loose.clamp(min=1e-3)
        scaled = scaled[..., tools.free_joints, :]
        terms["pose"] = 0.3 * scaled.square().sum((-1, -2)).mean((1, 2))
        over = (posed.vectors - tools.high).clamp(min=0) + (tools.low - posed.vectors).clamp(min=0)
        over = over[..., tools.free_joints, :]
        terms["limits"] = (over / 0.05).square().sum((-1, -2)).mean((1, 2))
        terms["shift"] = self.shift.square().sum(-1).mean((1, 2)) * 0.5
        terms["foot"] = self.foot.square().sum(-1).mean((1, 2)) * 0.3
        tolerance = torch.stack((plan.apart, plan.apart, plan.apart * 0 + 0.12), -1)[:, None]
        terms["stand"] = (0.1 * self.stand / tolerance).square().sum((1, 2)) * 0.5
        terms["reach"] = (posed.over / 0.004).square().sum(-1).mean((1, 2))
        second = self.turn[:, :, 2:] - 2 * self.turn[:, :, 1:-1] + self.turn[:, :, :-2]
        terms["smooth"] = 1.5 * second.square().sum((-1, -2)).mean((1, 2))
        sway = self.shift[:, :, 2:] - 2 * self.shift[:, :, 1:-1] + self.shift[:, :, :-2]
        terms["smooth"] = terms["smooth"] + 2.0 * sway.square().sum(-1).mean((1, 2))

        places = self.places(posed)
        mine, theirs = self.touching(places)
        weight = plan.weight.transpose(1, 2)  # (N, F, C)
        miss = (mine.positions - theirs.positions - plan.gap[:, None, :, None] * theirs.normals).square().sum(-1)
        miss = (miss + 1e-10).sqrt()
        near_miss = torch.where(miss < 0.06, miss.square(), 0.12 * miss - 0.0036)
        sigma = 0.2 ** (1 - weight) * plan.slack[:, None].clamp(min=0.004) ** weight
        terms["touch"] = 0.5 * (weight * near_miss / sigma.square()).sum(-1).mean(1)
        against = 1 + (mine.normals * theirs.normals).sum(-1)
        terms["facing"] = 12 * (plan.facing[:, None] * weight.square() * against).sum(-1).mean(1)
        if len(frames) > 1:
            terms["held"] = self._slip(posed, weight, mine, theirs)

        head = posed.skeleton.rotations[..., JOINT["head"], :, :]
        eyes = posed.skeleton.joints[..., JOINT["head"], :] + head @ tools.eyes
        to = torch.nn.functional.normalize(eyes.flip(1) - eyes, dim=-1)
        aim = (plan.gaze * (1 - (head[..., 2] * to).sum(-1))).mean((1, 2))
        terms["gaze"] = 14 * aim

        centres = tools.moved_spheres(posed.skeleton, self.betas, self._spheres)
        # Once the skins are known, the floor is below them and not below the spheres in them.
        skin = None if watch is None else tools.surface.sample_positions(posed.skeleton, self.shape)
        under = self.radii[:, :, None] - centres[..., 2] if skin is None else -skin[..., 2]
        terms["floor"] = self._floor(places.positions[..., 2], under)
        terms["overlap"] = push * hinged_overlap(centres[:, 0], centres[:, 1], self._wanted)
        terms["own"] = 0.5 * self._own_overlap(centres)
        if watch is not None and skin is not None:
            terms["inside"] = push * self._inside(skin, watch)
        return terms

    def _slip(self, posed: Posed, weight: Tensor, mine: SurfacePoints, theirs: SurfacePoints) -> Tensor:
        """Movement of held places along each other between neighbouring frames, in the frame of the held part."""
        plan, parts = self.plan, self.tools.surface.place_parts
        bone = posed.skeleton.rotations[self._rows, plan.whom, :, parts[plan.theirs]].transpose(1, 2)
        apart = (bone.mT @ (mine.positions - theirs.positions)[..., None])[..., 0]
        both = (weight[:, 1:] * weight[:, :-1]) * plan.held[:, None]
        return (both * ((apart[:, 1:] - apart[:, :-1]) / 0.004).square().sum(-1)).sum(-1).mean(1)

    def _floor(self, places: Tensor, under: Tensor) -> Tensor:
        """Of those who rest on the floor: their resting places off it, and anything of them under it.

        Args:
            places: heights (N, 2, F, P) of all places. under: how deep (N, 2, F, S) parts of them are under the floor.
        """
        off = torch.nn.functional.huber_loss(places, torch.zeros_like(places), reduction="none", delta=0.05)
        resting = (self.plan.rests[:, :, None] * off / _REST**2).sum(-1)
        deep = (under.clamp(min=0) / _OVERLAP).square().sum(-1)
        return (resting + 3 * self._grounded[..., None] * deep).mean((1, 2))

    def _own_overlap(self, centres: Tensor) -> Tensor:
        total = torch.zeros(len(centres), device=centres.device)
        for (first, second), wanted in zip(self._own, self._own_wanted, strict=True):
            a, b = centres[..., first, :].flatten(0, 1), centres[..., second, :].flatten(0, 1)
            total = total + hinged_overlap(a, b, wanted.flatten(0, 1)).unflatten(0, (-1, 2)).mean(1)
        return total

    def find_near(self, posed: Posed) -> NearPoints:
        """Each sample's nearest sample of the other person, and its depth."""
        with torch.no_grad():
            points = self.tools.surface.samples(posed.skeleton, self.shape)
            partner = nearest_samples(points.positions)
            index = partner[..., None].expand(-1, -1, -1, -1, 3)
            apart = points.positions - points.positions.flip(1).gather(3, index)
            there = points.normals.flip(1).gather(3, index)
            depth = -(apart * there).sum(-1)
            squared = apart.square().sum(-1)
            # A point that is inside lies under the sample, not beside it, and the skins face each other: near thin
            # fingers the nearest sample may well belong to their far side.
            reach = self.tools.surface.sample_reach[partner]
            opposed = (points.normals * there).sum(-1) < -0.2
            opposed &= depth < self.tools.surface.sample_room[partner]
            under = opposed & (squared < _NEAR**2) & (squared - depth.square() < reach.square())
            return NearPoints(partner, torch.where(under, depth, -_NEAR))

    def watch(self, frames: Tensor) -> Watch:
        """The samples worth watching in the chosen frames."""
        with torch.no_grad():
            posed = self.pose(frames)
            near = self.find_near(posed)
            point = torch.nonzero(near.depth.flatten() > -0.02)[:, 0]
            count, samples = near.depth.shape[2:]
            block, pair = point // samples, point // (2 * count * samples)
            person = block // count % 2
            other = block + torch.where(person == 0, count, -count)
            plane = other * samples + near.partner.flatten()[point]
            normals = self.tools.surface.samples(posed.skeleton, self.shape).normals
            return Watch(point, plane, normals.reshape(-1, 3)[plane], pair)

    def _inside(self, positions: Tensor, watch: Watch) -> Tensor:
        frames, flat = positions.shape[2], positions.reshape(-1, 3)
        apart = flat[watch.point] - flat[watch.plane]
        deep = (_MARGIN - (apart * watch.normal).sum(-1)).clamp(min=0) / 0.005
        total = torch.zeros(len(positions), device=deep.device)
        return total.index_add(0, watch.pair, deep.square()) / (2 * frames)

    def solve(self, steps: int = 70, stride: int = 3, searches: int = 6) -> None:
        """Minimise the energy over every ``stride``-th frame; the last steps know the skins, the first only spheres."""
        total = self.plan.heading.shape[2]
        frames = torch.arange(0, total, stride, device=self.plan.betas.device)
        unknowns = [self.turn, self.shift, self.foot, self.stand]
        optimizer = torch.optim.Adam(unknowns, lr=0.1, betas=(0.9, 0.97))
        watch: Watch | None = None
        first = 2 * steps // 5
        for step in range(steps):
            share = step / steps
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - share) + 0.012 * share
            if step >= first and (step - first) % max(1, (steps - first) // searches) == 0:
                watch = self.watch(frames)
            optimizer.zero_grad(set_to_none=True)
            terms = self.energy(frames, watch, push=0.1 + 1.4 * share**2)
            if watch is not None:
                # The skins are known: the spheres, which are fatter here and there, give way to them.
                terms["overlap"], terms["inside"] = 0.3 * terms["overlap"], 2.0 * terms["inside"]
                terms["touch"] = 1.3 * terms["touch"]
            torch.stack(list(terms.values())).sum().backward()
            optimizer.step()


class _HingedOverlap(torch.autograd.Function):
    """The distances of all pairs of spheres fill memory if autograd keeps them: here the gradient is made at once."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, wanted: Tensor) -> Tensor:
        lead = first.shape[:2]
        middle = second.mean(2, keepdim=True)  # squares of small numbers lose no digits
        a, b = (first - middle).flatten(0, 1), (second - middle).flatten(0, 1)
        distance = torch.baddbmm(b.square().sum(-1)[:, None], a, b.mT, alpha=-2)
        distance = distance.add_(a.square().sum(-1, keepdim=True)).clamp_(min=1e-8).sqrt_()
        deep = (wanted - distance.unflatten(0, lead)).clamp_(min=0).flatten(0, 1)
        value = deep.flatten(1).square().sum(1).unflatten(0, lead)
        share = deep.div_(distance)
        frames = lead[1]
        to_first = (share @ b - share.sum(2, keepdim=True) * a).unflatten(0, lead)
        to_second = (share.mT @ a - share.sum(1)[..., None] * b).unflatten(0, lead)
        scale = 2 * _OVERLAP**-2 / frames
        ctx.save_for_backward(to_first * scale, to_second * scale)
        result: Tensor = value.mean(1) / _OVERLAP**2
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        to_first, to_second = ctx.saved_tensors
        grad = grad[:, None, None, None]
        return grad * to_first, grad * to_second, None


def hinged_overlap(first: Tensor, second: Tensor, wanted: Tensor) -> Tensor:
    """(N,) sum of squares of by how many centimetres spheres are too near each other, mean over frames.

    Args:
        first, second: (N, F, S, 3) and (N, F, Q, 3) centres. wanted: (N, 1, S, Q) distances, without gradient.
    """
    result: Tensor = _HingedOverlap.apply(first, second, wanted)  # type: ignore[no-untyped-call]  # torch's
    return result


def nearest_samples(positions: Tensor, chunk: int = 16) -> Tensor:
    """(N, 2, F, S) index of the other person's sample nearest to each of positions (N, 2, F, S, 3)."""
    pairs, _, frames, count, _ = positions.shape
    a, b = positions[:, 0].flatten(0, 1), positions[:, 1].flatten(0, 1)
    out = torch.zeros(2, pairs * frames, count, dtype=torch.int64, device=positions.device)
    # Only where the two boxes come close can anything touch.
    low, high = positions.amin(-2) - _NEAR / 2, positions.amax(-2) + _NEAR / 2
    close = ((low[:, 0] < high[:, 1]) & (low[:, 1] < high[:, 0])).all(-1).flatten()
    rows = torch.nonzero(close)[:, 0]
    chunk = chunk if positions.device.type == "cpu" else 64 * chunk
    for start in range(0, len(rows), chunk):
        some = rows[start : start + chunk]
        first, second = a[some], b[some]
        middle = first.mean(1, keepdim=True)  # squares of small numbers lose no digits
        first, second = first - middle, second - middle
        for person, (mine, other) in enumerate(((first, second), (second, first))):
            # |a - b|^2 without |a|^2, which does not change which b is nearest.
            out[person, some] = torch.baddbmm(other.square().sum(-1)[:, None], mine, other.mT, alpha=-2).argmin(2)
    result: Tensor = out.unflatten(1, (pairs, frames)).transpose(0, 1)
    return result
