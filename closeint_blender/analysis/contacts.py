# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two people touch, how far a change of their motion parts them, and how to hold them together.

Shapes: T frames, K contacts a frame, 2 people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.body.data import PARENTS, BodyData

from ..rotations import multiply, quaternion_to_rotvec, rotvec_to_quaternion
from .medial_spheres import MedialSpheres, least_gaps, part_gaps
from .points import PosedSkeleton, pose_skeleton
from .time_filter import gaussian, gaussian_zero

TOUCHING = 0.025
"""Metres between skins up to which parts count as touching; the spheres know the skin to about a centimetre."""

_MOST = 12  # contacts of a frame that are held, the closest ones
_FEET = (7, 8)
_CALMING = (1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.3)  # of sigma, step by step
_DAMPING = 0.004  # metres
_LONGEST_TURN = 0.15  # radians a step

# How readily, in radians, a joint gives way to hold a contact: arms before the trunk; legs leave the feet in place.
_EASE = np.array(
    [.05, .1, .1, .06, .12, .12, .06, .05, .05, .06, .02, .02, .1, .12, .12, .1, .35, .35, .4, .4, .25, .25, .1, .1]
)  # fmt: skip
_EASE_ROOT = 0.03  # metres

_ANCESTORS = np.zeros((24, 24), bool)
for _joint in range(24):
    _up = _joint
    while _up >= 0:
        _ANCESTORS[_joint, _up] = True
        _up = PARENTS[_up]


@dataclass
class PairState:
    """A motion of two people with what is needed to tell where they touch.

    Attributes:
        poses: (2, T, 24, 3). transl: (2, T, 3). betas: (2, B). spheres: of either. skeletons: of either.
        centres: of the spheres of either, (T, S, 3).
    """

    body: BodyData
    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    spheres: tuple[MedialSpheres, MedialSpheres]
    skeletons: tuple[PosedSkeleton, PosedSkeleton]
    centres: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(
        cls,
        body: BodyData,
        poses: np.ndarray,
        transl: np.ndarray,
        betas: np.ndarray,
        spheres: tuple[MedialSpheres, MedialSpheres],
    ) -> PairState:
        """Pose the skeletons and the spheres."""
        one, two = (pose_skeleton(body, poses[p], betas[p], transl[p]) for p in (0, 1))
        return cls(body, poses, transl, betas, spheres, (one, two), (spheres[0].centres(one), spheres[1].centres(two)))

    def moved(self, poses: np.ndarray, transl: np.ndarray) -> PairState:
        """The same people in another motion."""
        return PairState.of(self.body, poses, transl, self.betas, self.spheres)

    def gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """See ``spheres.part_gaps``."""
        return part_gaps(self.centres, self.spheres)

    def depths(self) -> np.ndarray:
        """(T,) metres that the two are inside each other."""
        result: np.ndarray = np.maximum(0, -least_gaps(self.centres, self.spheres))
        return result


@dataclass
class Touches:
    """Contacts of a motion.

    Attributes:
        spheres: (T, K, 2) which sphere of either person. weight: (T, K), 1 where they touch, fading to 0 around it.
        touching: (T, K) bool. distance: (T, K) metres between the spheres' centres.
    """

    spheres: np.ndarray
    weight: np.ndarray
    touching: np.ndarray
    distance: np.ndarray


def find_touches(state: PairState, fade: int = 6, reach: float = TOUCHING) -> Touches:
    """The contacts of a motion, each followed for ``fade`` frames before and after with a falling weight.

    A contact is between two body parts; before and after it the spheres of its first and last frame are followed.
    """
    gaps, pairs = state.gaps()
    frames = len(gaps)
    close = gaps < reach
    weight = np.zeros(gaps.shape, np.float32)
    steps = np.arange(frames)
    which = np.argwhere(close.any(0))
    for i, j in which:
        on = np.flatnonzero(close[:, i, j])
        near = on[np.abs(steps[:, None] - on).argmin(1)]
        distance = np.abs(steps - near)
        weight[:, i, j] = np.clip(1 - distance / (fade + 1), 0, 1)
        pairs[:, i, j] = pairs[near, i, j]
    # The closest contacts of every frame; faded ones come after real ones.
    rank = np.where(close, gaps, 10 + 10 * (1 - weight)) + np.where(weight > 0, 0, np.inf)
    count = min(_MOST, max(1, len(which)))
    flat = rank.reshape(frames, -1)
    best = np.argpartition(flat, count - 1, axis=1)[:, :count]
    rows = steps[:, None]
    chosen = pairs.reshape(frames, -1, 2)[rows, best]
    kept = weight.reshape(frames, -1)[rows, best]
    touching = close.reshape(frames, -1)[rows, best]
    return Touches(chosen, kept, touching, sphere_distances(state, chosen))


def _ends(state: PairState, spheres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(spheres))[:, None]
    return state.centres[0][rows, spheres[..., 0]], state.centres[1][rows, spheres[..., 1]]


def sphere_distances(state: PairState, spheres: np.ndarray) -> np.ndarray:
    """(T, K) metres between the centres of pairs of spheres (T, K, 2)."""
    a, b = _ends(state, spheres)
    result: np.ndarray = np.linalg.norm(a - b, axis=-1)
    return result


def contact_error(touches: Touches, after: PairState) -> float:
    """Mean change, in metres, of the distance between body parts that touched; 0 without contacts."""
    if not touches.touching.any():
        return 0.0
    change = np.abs(sphere_distances(after, touches.spheres) - touches.distance)
    return float(change[touches.touching].mean())


def hold_contacts(
    before: PairState, after: PairState, touches: Touches, planted: np.ndarray | None = None, sigma: float = 0.0
) -> PairState:
    """Change ``after`` as little as need be so that what touched before touches as before.

    Damped least squares in every frame on all joints of both people, arms first (Wampler, "Manipulator inverse
    kinematic solutions based on vector formulations and damped least-squares methods", 1986). In turns with that, the
    change is smoothed over time, so that holding a contact does not bring back what ``after`` was freed of.

    Args:
        before: the motion whose contacts are right. after: the changed one. touches: of ``before``.
        planted: (2, T, 2) weight of the left and right foot staying where they were before.
        sigma: frames over which the change is smoothed.
    """
    if not touches.weight.any() and (planted is None or not np.any(planted)):
        return after
    feet = [before.skeletons[p].joints[:, list(_FEET)] for p in (0, 1)]
    if planted is not None:
        feet = [_calm(points, planted[p], sigma) for p, points in enumerate(feet)]
    ease = np.concatenate([np.repeat(_EASE, 3), np.full(3, _EASE_ROOT)]) ** 2
    ease = np.concatenate([ease, ease])
    start = rotvec_to_quaternion(after.poses.astype(np.float64))
    poses, transl = after.poses.astype(np.float64), after.transl.astype(np.float64)
    state = after
    for share in _CALMING:
        jacobian, residual = _linearise(state, touches, feet, planted)
        system = (jacobian * ease) @ jacobian.transpose(0, 2, 1)
        # The damping is in the residual's units: what is off by less does not matter.
        system += (_DAMPING * 0.1) ** 2 * np.eye(system.shape[1])
        change = ease * (jacobian.transpose(0, 2, 1) @ np.linalg.solve(system, residual[..., None]))[..., 0]
        for person in (0, 1):
            own = change[:, 75 * person : 75 * (person + 1)]
            turn = own[:, :72].reshape(-1, 24, 3)
            size = np.linalg.norm(turn, axis=-1, keepdims=True)
            turn = turn * np.minimum(1, _LONGEST_TURN / np.maximum(size, 1e-9))
            poses[person] = _turned(poses[person], state.skeletons[person], turn)
            transl[person] += own[:, 72:]
            width = sigma * share
            if width > 0.3:
                since = multiply(rotvec_to_quaternion(poses[person]), start[person] * (1, -1, -1, -1))
                turned = rotvec_to_quaternion(gaussian(quaternion_to_rotvec(since), width))
                poses[person] = quaternion_to_rotvec(multiply(turned, start[person]))
                transl[person] = after.transl[person] + gaussian(transl[person] - after.transl[person], width)
        state = before.moved(poses.astype(np.float32), transl.astype(np.float32))
    return state


def _calm(vectors: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Vectors (T, K, 3) averaged over neighbouring frames by their weights (T, K)."""
    if sigma <= 0:
        return np.array(vectors, np.float64)
    weight = np.asarray(weight, np.float64)[..., None]
    total = np.maximum(gaussian_zero(weight, sigma), 1e-6)
    mixed = gaussian_zero(weight * vectors, sigma) / total
    return np.where(weight > 0, mixed, vectors)


def _linearise(
    state: PairState,
    touches: Touches,
    feet: list[np.ndarray],
    planted: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobian (T, rows, 150) and residual (T, rows), weighted; per person 24 turns about world axes and a shift.

    A contact is one row: the distance of its spheres; in which direction they lie from each other is free.
    """
    frames, count = touches.weight.shape
    rows = count + (12 if planted is not None else 0)
    jacobian = np.zeros((frames, rows, 150))
    residual = np.zeros((frames, rows))
    a, b = _ends(state, touches.spheres)
    weight = touches.weight.astype(np.float64)
    distance = np.linalg.norm(a - b, axis=-1)
    along = weight[..., None] * (a - b) / np.maximum(distance, 1e-6)[..., None]
    for person, (points, sign) in enumerate(((a, 1.0), (b, -1.0))):
        parts = state.spheres[person].parts[touches.spheres[..., person]]
        block = np.einsum("tka,tkav->tkv", sign * along, _jacobian(state.skeletons[person], points, parts))
        jacobian[:, :count, 75 * person : 75 * (person + 1)] = block
    residual[:, :count] = weight * (touches.distance - distance)
    if planted is not None:
        for person in (0, 1):
            joints = np.array(_FEET)
            points = state.skeletons[person].joints[:, joints]
            hold = np.asarray(planted[person], np.float64)
            start = count + 6 * person
            parts = np.broadcast_to(joints, hold.shape)
            block = hold[..., None, None] * _jacobian(state.skeletons[person], points, parts)
            jacobian[:, start : start + 6, 75 * person : 75 * (person + 1)] = block.reshape(frames, 6, 75)
            residual[:, start : start + 6] = (hold[..., None] * (feet[person] - points)).reshape(frames, -1)
    return jacobian, residual


def _jacobian(skeleton: PosedSkeleton, points: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(T, K, 3, 75) how points (T, K, 3) of body parts (T, K) move with the joints' turns and the root's shift."""
    arm = points[:, :, None] - skeleton.joints[:, None]  # (T, K, 24, 3)
    arm = np.where(_ANCESTORS[parts][..., None], arm, 0.0)
    block = np.zeros((*points.shape, 75))
    x, y, z = arm[..., 0], arm[..., 1], arm[..., 2]
    # d(turn x arm) / d turn is minus the cross-product matrix of the arm.
    block[..., 0, 1:72:3], block[..., 0, 2:72:3] = z, -y
    block[..., 1, 0:72:3], block[..., 1, 2:72:3] = -z, x
    block[..., 2, 0:72:3], block[..., 2, 1:72:3] = y, -x
    block[..., [0, 1, 2], [72, 73, 74]] = 1.0
    return block


def _turned(poses: np.ndarray, skeleton: PosedSkeleton, turn: np.ndarray) -> np.ndarray:
    """Poses (T, 24, 3) after turning every joint by ``turn`` (T, 24, 3), radians about world axes."""
    parents = np.array(PARENTS)
    above = np.broadcast_to(np.eye(3), (len(poses), 24, 3, 3)).copy()
    above[:, 1:] = skeleton.rotations[:, parents[1:]]
    local_turn = np.einsum("tjab,tja->tjb", above, turn)  # into the parent's axes
    turned = multiply(rotvec_to_quaternion(local_turn), rotvec_to_quaternion(poses))
    return quaternion_to_rotvec(turned)
