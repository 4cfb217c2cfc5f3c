# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothing of both people together, contacts and planted feet held."""

from __future__ import annotations

import numpy as np

from ..rotations import continuous, quaternion_to_rotvec, rotvec_to_quaternion
from .contacts import PairState, Touches, hold_contacts
from .time_filter import gaussian


def smooth_motion(
    poses: np.ndarray, transl: np.ndarray, sigma: float, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One person's poses (T, J, 3) and transl (T, 3) smoothed by ``sigma`` frames where ``weight`` (T,) is 1."""
    before = continuous(rotvec_to_quaternion(np.asarray(poses, np.float64)))
    mixed = before + weight[:, None, None] * (gaussian(before, sigma) - before)
    mixed /= np.linalg.norm(mixed, axis=-1, keepdims=True)
    moved = transl + weight[:, None] * (gaussian(transl, sigma) - transl)
    return quaternion_to_rotvec(mixed).astype(np.float32), moved.astype(np.float32)


def range_weight(frames: int, first: int, last: int, fade: int) -> np.ndarray:
    """(T,) 1 from ``first`` to ``last``, falling to 0 over ``fade`` frames inside a range that is not the whole."""
    steps = np.arange(frames)
    rise = np.ones(frames) if first <= 0 else np.clip((steps - first + 1) / (fade + 1), 0, 1)
    fall = np.ones(frames) if last >= frames - 1 else np.clip((last - steps + 1) / (fade + 1), 0, 1)
    weight = np.minimum(rise, fall)
    result: np.ndarray = weight * weight * (3 - 2 * weight)
    return result


def smooth_pair(
    before: PairState,
    sigma: float,
    weight: np.ndarray,
    touches: Touches,
    planted: np.ndarray | None,
) -> tuple[PairState, PairState]:
    """Both people smoothed; returns the plain result and the one with contacts and planted feet held.

    Args:
        before: the motion. sigma: frames. weight: (T,) how much, 0 to 1. touches: of ``before``.
        planted: (2, T, 2) probability that a foot is planted; None: feet are free.
    """
    if not weight.any():
        return before, before
    smoothed = [smooth_motion(before.poses[p], before.transl[p], sigma, weight) for p in (0, 1)]
    plain = before.moved(np.stack([x for x, _ in smoothed]), np.stack([x for _, x in smoothed]))
    held = hold_contacts(before, plain, touches, planted, sigma)
    # Holding reaches a little further than the frames that were asked for.
    share = weight / weight.max()
    mixed = [mix_motions((before.poses[p], before.transl[p]), (held.poses[p], held.transl[p]), share) for p in (0, 1)]
    return plain, before.moved(np.stack([x for x, _ in mixed]), np.stack([x for _, x in mixed]))


def mix_motions(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, J, 3) and transl (T, 3) between two motions: ``one`` where ``share`` (T,) is 0, bit for bit."""
    a, b = (rotvec_to_quaternion(np.asarray(poses, np.float64)) for poses, _ in (one, other))
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    mixed = a + share[:, None, None] * (b - a)
    poses = quaternion_to_rotvec(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)).astype(np.float32)
    transl = one[1] + share[:, None] * (other[1] - one[1])
    still = share <= 0
    poses[still], transl[still] = one[0][still], one[1][still]
    return poses, transl.astype(np.float32)
