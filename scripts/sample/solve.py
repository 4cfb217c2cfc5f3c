# SPDX-License-Identifier: Apache-2.0
"""Turns a written-down motion into poses: all frames of both people at once, by optimisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import roma
import torch
from torch import Tensor

from sample.anchors import anchors
from sample.collide import ContactPairs, find_pairs, limb_overlap, limb_radii
from sample.gait import FootPath, foot_path, pelvis_path
from sample.keys import Motion, Role, Touch, Via, sample_keys
from sample.rig import BASE, JOINT, JOINTS, Rig, axis_rotation, load_rig, shape_of, solve_leg

# How far (degrees) a joint readily leaves its keyed pose: the optimisation's standard deviations.
LOOSENESS = {
    "pelvis": 6.0, "spine1": 5.0, "spine2": 5.0, "spine3": 5.0, "neck": 10.0, "head": 10.0, "collar": 7.0,
    "shoulder": 28.0, "elbow": 30.0, "wrist": 24.0, "hand": 14.0, "hip": 0.0, "knee": 0.0, "ankle": 0.0, "foot": 0.0,
}  # fmt: skip
# Hard ranges (degrees) of axis-angle components (x, y, z) for a LEFT joint; the right one mirrors y and z.
LIMITS = {
    "elbow": ((-75, 75), (-145, -4), (-3, 3)),
    "wrist": ((-15, 15), (-22, 28), (-60, 60)),
    "hand": ((-4, 4), (-4, 4), (-55, 8)),
    "collar": ((-12, 12), (-22, 16), (-8, 26)),
    "neck": ((-30, 32), (-40, 40), (-26, 26)),
    "head": ((-30, 28), (-40, 40), (-22, 22)),
}
TOUCH_FAR, TOUCH_NEAR = 0.25, 0.004
JERK = 130.0
HEADS_APART = 0.195
"""Metres between the middles of two heads that touch cheek to cheek."""
RESERVE = (0.07, 0.045, 0.02)
"""Metres by which touches stay open in the first rounds of solving."""


@dataclass
class Pose:
    """One person over the whole clip: local and world rotations (T, 24, 3, 3), joints (T, 24, 3)."""

    local: Tensor
    world: Tensor
    places: Tensor
    out_of_reach: Tensor
    residual: Tensor


class Actor:
    """One person's unknowns and the way from them to a pose."""

    def __init__(self, role: Role, motion: Motion, index: int) -> None:
        self.role = role
        self.betas = shape_of(role.build)
        self.rig: Rig = load_rig(self.betas)
        self.anchors = anchors(self.rig)
        times = motion.times
        steps = sorted(role.steps, key=lambda step: step.lift_off)
        self.feet: tuple[FootPath, FootPath] = (
            foot_path(self.rig, "left", role.stand[0], [s for s in steps if s.side == "left"], times),
            foot_path(self.rig, "right", role.stand[1], [s for s in steps if s.side == "right"], times),
        )
        self.stage = axis_rotation(2, torch.tensor(np.pi * index).float())
        path = pelvis_path(self.rig, role, self.feet, times, motion.fps)
        self.path = torch.from_numpy(path).float() @ self.stage.T
        self.ankles = [foot.ankle @ self.stage.T for foot in self.feet]
        self.foot_turns = [self.stage @ foot.turn for foot in self.feet]
        self.facing = torch.from_numpy(np.radians(sample_keys(role.facing, times)[:, 0])).float()
        self.heading = self.stage @ axis_rotation(2, self.facing) @ BASE
        self.prior = torch.from_numpy(keyed_pose(role, times, self.feet)).float()
        yaws = np.stack([foot.yaw for foot in self.feet])
        self.poles = []
        for yaw in yaws:
            # Knees point where the feet point, and a little where the body goes.
            turn = torch.from_numpy(yaw).float() * 0.7 + self.facing * 0.3
            ahead = torch.stack((torch.cos(turn), torch.sin(turn), torch.zeros_like(turn)), -1)
            self.poles.append(ahead @ self.stage.T)
        loose = [LOOSENESS[name.replace("left_", "").replace("right_", "")] for name in JOINTS]
        self.loose = torch.deg2rad(torch.tensor(loose))[:, None]
        self.low, self.high = joint_limits()
        head = self.rig.skin_joints[torch.arange(len(self.rig.rest)), self.rig.skin_weights.argmax(1)] == JOINT["head"]
        ids = torch.nonzero(head)[:, 0]
        nose = self.rig.rest[ids[self.rig.rest[ids, 2].argmax()]]
        self.eyes = nose + torch.tensor([0.0, 0.035, -0.02]) - self.rig.joints[JOINT["head"]]
        self.eyes[0] = 0
        frames = len(times)
        self.turn_unknown = torch.zeros(frames, 24, 3, requires_grad=True)
        self.shift_unknown = torch.zeros(frames, 3, requires_grad=True)
        self.smooth = smoothing(frames, 0.055 * motion.fps)

    def pose(self) -> Pose:
        """The pose that the unknowns stand for."""
        frames = len(self.smooth)
        residual = (self.smooth @ self.turn_unknown.reshape(frames, -1)).reshape(frames, 24, 3) * self.loose
        local = roma.rotvec_to_rotmat(self.prior + residual)
        pelvis_turn = self.heading @ local[:, 0]
        pelvis = self.path + 0.03 * (self.smooth @ self.shift_unknown)
        parts = list(local.unbind(1))
        parts[0] = pelvis_turn
        out = []
        for side, ankle, foot, pole, path in zip(
            ("left", "right"), self.ankles, self.foot_turns, self.poles, self.feet, strict=True
        ):
            hip, knee, heel, over = solve_leg(self.rig, side, pelvis, pelvis_turn, ankle, foot, pole)
            parts[JOINT[f"{side}_hip"]], parts[JOINT[f"{side}_knee"]] = hip, knee
            parts[JOINT[f"{side}_ankle"]] = heel
            parts[JOINT[f"{side}_foot"]] = axis_rotation(0, path.toes)
            out.append(over)
        rotations = torch.stack(parts, 1)
        world, places = self.rig.forward(rotations, pelvis)
        return Pose(rotations, world, places, torch.stack(out, 1), residual)


def smoothing(frames: int, sigma: float) -> Tensor:
    """(T, T) Gaussian kernel, rows summing to 1: unknowns seen through it cannot jitter."""
    t = torch.arange(frames, dtype=torch.float32)
    kernel = torch.exp(-0.5 * ((t[:, None] - t[None]) / sigma) ** 2)
    return kernel / kernel.sum(1, keepdim=True)


def joint_limits() -> tuple[Tensor, Tensor]:
    """Lowest and highest axis-angle components (24, 3), radians; infinite where free."""
    low, high = torch.full((24, 3), -torch.inf), torch.full((24, 3), torch.inf)
    for name, index in JOINT.items():
        ranges = LIMITS.get(name.replace("left_", "").replace("right_", ""))
        if ranges is None:
            continue
        for axis, (a, b) in enumerate(ranges):
            if name.startswith("right_") and axis > 0:
                a, b = -b, -a
            low[index, axis], high[index, axis] = np.radians(a), np.radians(b)
    return low, high


def arm_pose(side: str, keys: np.ndarray) -> dict[int, np.ndarray]:
    """Axis-angle (T, 3) of shoulder, elbow and wrist from (T, 6) degrees.

    ``lowering`` takes the arm from sideways (0) to hanging (90), ``swing`` then takes it forward, ``twist`` turns
    the upper arm about itself, ``elbow`` bends, ``pronation`` turns the palm back (+) or forward (-), ``wrist``
    bends the hand towards its palm.
    """
    lower, swing, twist, elbow, pronation, wrist = torch.deg2rad(torch.from_numpy(keys).float()).unbind(1)
    sign = 1.0 if side == "left" else -1.0
    shoulder = axis_rotation(0, -swing) @ axis_rotation(2, -sign * lower) @ axis_rotation(0, twist)
    zero = torch.zeros_like(lower)
    return {
        JOINT[f"{side}_shoulder"]: roma.rotmat_to_rotvec(shoulder).numpy(),
        JOINT[f"{side}_elbow"]: torch.stack((pronation, -sign * elbow, zero), -1).numpy(),
        JOINT[f"{side}_wrist"]: torch.stack((zero, zero, -sign * wrist), -1).numpy(),
        # Relaxed fingers curl a little.
        JOINT[f"{side}_hand"]: torch.stack((zero, zero, -sign * (zero + np.radians(14))), -1).numpy(),
    }


def keyed_pose(role: Role, times: np.ndarray, feet: tuple[FootPath, FootPath]) -> np.ndarray:
    """(T, 24, 3) axis-angle of the written-down pose, arms swinging against the legs."""
    pose = np.zeros((len(times), 24, 3))
    lean, left, turn = np.radians(sample_keys(role.torso, times)).T
    bend = np.stack((lean, turn, -left), -1)
    for name, share in (("pelvis", 0.22), ("spine1", 0.26), ("spine2", 0.26), ("spine3", 0.26)):
        pose[:, JOINT[name]] = share * bend
    nod, tilt, look = np.radians(sample_keys(role.head, times)).T
    for name in ("neck", "head"):
        pose[:, JOINT[name]] = 0.5 * np.stack((nod, look, -tilt), -1)
    stride = feet[1].place[:, 0] - feet[0].place[:, 0]  # right foot ahead of the left
    moving = np.gradient(stride, times)
    for side, keys, sign in (("left", role.left_arm, 1.0), ("right", role.right_arm, -1.0)):
        arm = sample_keys(keys, times)
        # The weight of the swing fades as the arm is raised for something else.
        idle = np.clip(1 - np.abs(arm[:, 1]) / 30, 0, 1)
        arm[:, 1] += sign * idle * (38 * stride + 2.0 * moving)
        for joint, value in arm_pose(side, arm).items():
            pose[:, joint] = value
    return pose


class Terms:
    """Sums of squared deviations, by name."""

    def __init__(self) -> None:
        self.values: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add to a term, which begins at 0."""
        self.values[name] = self.values.get(name, torch.zeros(())) + value


class Scene:
    """Both people and everything that the motion asks of them."""

    def __init__(self, motion: Motion) -> None:
        torch.manual_seed(0)
        self.motion = motion
        self.actors = [Actor(role, motion, index) for index, role in enumerate(motion.roles)]
        times = motion.times
        self.touch_keys = [torch.from_numpy(sample_keys(t.keys, times)).float() for t in motion.touches]
        self.via_keys = [torch.from_numpy(sample_keys(v.keys, times)).float() for v in motion.vias]
        self.reserve = 0.0  # metres kept from every touch for now, so that hands arrive from outside
        self.push = 0.02  # weight of the collisions
        self.radii = [limb_radii(actor.rig) for actor in self.actors]
        self.gaze = [torch.from_numpy(sample_keys(a.role.gaze, times)[:, 0]).float() for a in self.actors]

    def energy(self, poses: list[Pose], pairs: ContactPairs | None) -> dict[str, Tensor]:
        """What is wrong with the poses: squared deviations in units of what is tolerable, averaged over frames."""
        terms = Terms()
        for actor, pose in zip(self.actors, poses, strict=True):
            self._add_motion(terms, actor, pose)
        self._add_gaze(terms, poses)
        for touch, keys in zip(self.motion.touches, self.touch_keys, strict=True):
            self._add_touch(terms, touch, keys, poses)
        for via, keys in zip(self.motion.vias, self.via_keys, strict=True):
            self._add_via(terms, via, keys, poses)
        self._add_collisions(terms, poses, pairs)
        return terms.values

    def _add_motion(self, terms: Terms, actor: Actor, pose: Pose) -> None:
        """Near the written-down pose, within the joints' limits, smooth."""
        fps = self.motion.fps
        terms.add("pose", (pose.residual / (actor.loose + 1e-6)).square().sum((1, 2)).mean() * 0.3)
        angles = actor.prior + pose.residual
        low, high = torch.relu(actor.low - angles), torch.relu(angles - actor.high)
        terms.add("limits", (torch.cat((low, high), 1) / 0.035).square().sum((1, 2)).mean())
        shift = pose.places[:, 0] - actor.path
        tolerance = torch.tensor([0.03, 0.03, 0.02])
        terms.add("path", (shift / tolerance).square().sum(1).mean())
        terms.add("reach", (pose.out_of_reach / 0.003).square().sum(1).mean())
        jerk = (pose.places[3:] - 3 * pose.places[2:-1] + 3 * pose.places[1:-2] - pose.places[:-3]) * fps**3
        terms.add("jerk", (jerk / JERK).square().sum((1, 2)).mean())
        spin = (pose.residual[2:] - 2 * pose.residual[1:-1] + pose.residual[:-2]) * fps**2
        terms.add("spin", (spin / 60.0).square().sum((1, 2)).mean())

    def _add_gaze(self, terms: Terms, poses: list[Pose]) -> None:
        """Each looks at the other when the role says so."""
        heads = [pose.world[:, JOINT["head"]] for pose in poses]
        eyes = [
            pose.places[:, JOINT["head"]] + head @ actor.eyes
            for actor, pose, head in zip(self.actors, poses, heads, strict=True)
        ]
        for me, gaze in enumerate(self.gaze):
            to = torch.nn.functional.normalize(eyes[1 - me] - eyes[me], dim=-1)
            terms.add("gaze", (gaze * (1 - (heads[me][:, :, 2] * to).sum(-1)) * 60).mean())

    def _add_touch(self, terms: Terms, touch: Touch, keys: Tensor, poses: list[Pose]) -> None:
        """Two surfaces meet, face each other, do not slide in a clasp, and fingers point along."""
        mine_pose, their_pose = poses[touch.who], poses[1 - touch.who]
        me, them = self.actors[touch.who], self.actors[1 - touch.who]
        my_patch, their_patch = me.anchors[touch.point], them.anchors[touch.on]
        mine, my_normal = me.rig.surface(mine_pose.world, mine_pose.places, my_patch)
        theirs, their_normal = them.rig.surface(their_pose.world, their_pose.places, their_patch)
        weight, gap = keys[:, 0], keys[:, 1:2] + my_patch.cover + their_patch.cover + self.reserve
        sigma = TOUCH_FAR ** (1 - weight) * TOUCH_NEAR**weight
        miss = (mine - theirs - gap * their_normal).norm(dim=-1)
        # Far away a touch pulls evenly, near it holds: a quadratic alone would tear arms off early.
        scaled = torch.where(miss < 0.05, miss.square(), 0.1 * miss - 0.0025)
        terms.add("touch", (weight * scaled / sigma.square()).mean() * 0.5)
        terms.add("facing", (touch.normal * weight.square() * (1 + (my_normal * their_normal).sum(-1)) * 12).mean())
        if touch.on.endswith("palm"):
            # A clasp is one grip: the hands do not slide in each other while it lasts.
            held = JOINT[touch.on.replace("palm", "wrist")]
            hand = [JOINT[touch.point.replace("palm", name)] for name in ("wrist", "hand")]
            offset = mine_pose.places[:, hand] - their_pose.places[:, held, None]
            grip = torch.einsum("tji,tkj->tki", their_pose.world[:, held], offset)
            both = (weight[1:] * weight[:-1]) ** 4
            terms.add("grip", (both * ((grip[1:] - grip[:-1]) / 0.002).square().sum((1, 2))).mean())
        if touch.along is not None:
            side = touch.point.split("_")[0]
            fingers = mine_pose.places[:, JOINT[f"{side}_hand"]] - mine_pose.places[:, JOINT[f"{side}_wrist"]]
            along = torch.nn.functional.normalize(torch.tensor(touch.along), dim=0)
            wanted = their_pose.world[:, JOINT["spine3"]] @ along
            cosine = (torch.nn.functional.normalize(fingers, dim=-1) * wanted).sum(-1)
            terms.add("along", (weight.square() * (1 - cosine) * 12).mean())

    def _add_via(self, terms: Terms, via: Via, keys: Tensor, poses: list[Pose]) -> None:
        """A joint passes a place, given in the frame of a chest."""
        base = poses[via.who if via.frame == "self" else 1 - via.who]
        chest = JOINT["spine3"]
        goal = base.places[:, chest] + torch.einsum("tij,tj->ti", base.world[:, chest], keys[:, 1:])
        miss = poses[via.who].places[:, JOINT[via.joint]] - goal
        terms.add("via", (keys[:, 0] * (miss / 0.04).square().sum(-1)).mean())

    def _add_collisions(self, terms: Terms, poses: list[Pose], pairs: ContactPairs | None) -> None:
        """Limbs, skulls and skins stay out of each other."""
        overlap = limb_overlap([pose.places for pose in poses], self.radii)
        centres = [
            pose.places[:, JOINT["head"]] + 0.07 * pose.world[:, JOINT["head"], :, 1] for pose in poses
        ]  # of the skulls, above their joints
        close = torch.relu(HEADS_APART - (centres[0] - centres[1]).norm(dim=-1))
        terms.add("limbs", (close / 0.004).square().mean())
        terms.add("limbs", (overlap / 0.004).square().sum() / len(self.motion.times) * 0.15)
        if pairs is not None:
            depth = pairs.depth(self.actors, poses)
            terms.add("collision", self.push * (depth / 0.002).square().sum() / len(self.motion.times))

    def solve(self, rounds: int, steps: int, report: Callable[[str], None]) -> list[Pose]:
        """Minimise the energy; contacts are looked up anew at the start of every round.

        The first round knows no collisions, and touches close over several: hands find their way, then arrive from
        outside, instead of having to be pushed out again.
        """
        unknowns = [u for actor in self.actors for u in (actor.turn_unknown, actor.shift_unknown)]
        pairs: ContactPairs | None = None
        for number in range(rounds):
            rate = 0.08 if number == 0 else (0.03 if number < rounds - 2 else 0.015)
            self.push = 0.02 if number < rounds // 2 else (0.05 if number < rounds - 2 else 0.15)
            self.reserve = RESERVE[number] if number < len(RESERVE) else 0.0
            optimizer = torch.optim.Adam(unknowns, lr=rate, betas=(0.9, 0.98))
            count = steps * 3 if number == 0 else steps
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count, eta_min=rate * 0.1)
            for _ in range(count):
                optimizer.zero_grad()
                terms = self.energy([actor.pose() for actor in self.actors], pairs)
                torch.stack(list(terms.values())).sum().backward()
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                poses = [actor.pose() for actor in self.actors]
                pairs = find_pairs(self.actors, poses)
            values = "  ".join(f"{name} {value.item():.2f}" for name, value in terms.items())
            report(f"round {number + 1}/{rounds}: {values}")
        with torch.no_grad():
            return [actor.pose() for actor in self.actors]
