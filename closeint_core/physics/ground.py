# SPDX-License-Identifier: Apache-2.0
"""The floor under both people, which feet stand on it, and how far they slide, float and sink.

What stands still is on the floor: every stance of every foot of every person says where it is at one place. A plane
through them all tells its height and its tilt, as far as they are spread; see ``fit_ground`` for what happens where
they are too few or in a row. Shapes: P people, T frames, two feet (left, right), K points of a sole; metres, any frame
in which a direction is roughly up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from closeint_core.physics.calibration import PHYSICS

_FEWEST = 3  # stances that can tell a slope


@dataclass(frozen=True)
class Ground:
    """The plane normal . x + offset = 0.

    Attributes:
        normal: (3,) unit, upwards. offset: metres. tilt: radians between the normal and the direction that was taken
            for up. slopes: along how many directions the stances told a slope: 2 is a plane, 1 if they are in a row (it
            keeps level across that), 0 if only the height is known. stances: how many there were.
    """

    normal: np.ndarray
    offset: float
    tilt: float = 0.0
    slopes: int = 0
    stances: int = 0

    def heights(self, points: np.ndarray) -> np.ndarray:
        """Metres (...) over the plane of points (..., 3)."""
        above: np.ndarray = points @ self.normal + self.offset
        return above


LEVEL = Ground(np.array([0.0, 0.0, 1.0]), 0.0)
"""The floor of a clip: z = 0."""


def fit_ground(
    points: np.ndarray,
    weights: np.ndarray,
    up: np.ndarray,
    slope_prior: float | None = None,
    noise: float | None = None,
) -> Ground | None:
    """The plane through stances, robust to those that are no stances; None if there are none at all.

    Iteratively reweighted least squares (Geman-McClure) of the heights over a level plane, in the principal directions
    of the places. A direction is only given a slope if the stances tell it better than ``slope_prior`` does and there
    are at least three of them; even then the prior is part of the sum, so that the slope goes to zero gradually.

    Args:
        points: (N, 3) where feet stand. weights: (N,), one for a stance that is certain. up: (3,) roughly upwards.
        slope_prior: radians by which ``up`` may be wrong. noise: metres by which a stance may be off. Both are
            the calibration's if not given.
    """
    tuned = PHYSICS.now.ground
    slope_prior = tuned.slope_prior if slope_prior is None else slope_prior
    noise = tuned.stance_noise if noise is None else noise
    points, weights = np.asarray(points, np.float64), np.asarray(weights, np.float64)
    kept = (weights > tuned.least_weight) & np.isfinite(points).all(-1)
    points, weights = points[kept], weights[kept]
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    if not len(points):
        return None
    height = points @ up
    order = np.argsort(height)
    share = np.cumsum(weights[order])
    level = float(height[order[np.searchsorted(share, share[-1] / 2)]])
    side = np.linalg.svd(up[None])[2][1:]  # two directions across
    slope = np.zeros(2)
    across = points @ side.T
    middle = np.average(across, axis=0, weights=weights)
    told = 0
    for scale in np.geomspace(4 * tuned.outlier, tuned.outlier, 12):
        miss = height - level - (across - middle) @ slope
        sure = weights * (scale**2 / (scale**2 + miss**2)) ** 2
        middle = np.average(across, axis=0, weights=sure)
        level = float(np.average(height, weights=sure))
        away = across - middle
        spread, axes = np.linalg.eigh((sure[:, None] * away).T @ away / noise**2)
        known = spread > 1 / slope_prior**2 if (sure > tuned.sure).sum() >= _FEWEST else np.zeros(2, bool)
        along = away @ axes
        pull = (sure * (height - level)) @ along / noise**2
        slope = axes @ np.where(known, pull / (spread + 1 / slope_prior**2), 0.0)
        told = int(known.sum())
    # height = level + (across - middle) . slope, as normal . x + offset = 0
    normal = up - slope @ side
    length = float(np.linalg.norm(normal))
    offset = -(level - float(middle @ slope)) / length
    return Ground(normal / length, offset, float(np.arctan(np.linalg.norm(slope))), told, len(points))


def contact_points(soles: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(P, T, 2, 3) where feet would touch the floor: under the middle of each sole's lowest points (P, T, 2, K, 3), at
    the height of the lowest."""
    height = soles @ up
    lowest = height.min(-1, keepdims=True)
    middle = (soles * _shares(height - lowest)[..., None]).sum(-2)
    point: np.ndarray = middle + (lowest - (middle @ up)[..., None]) * up
    return point


def _shares(above: np.ndarray) -> np.ndarray:
    """Weights (..., K) that sum to one of points ``above`` the lowest by so much (metres)."""
    share = np.exp(-above / PHYSICS.now.ground.sole)
    shares: np.ndarray = share / share.sum(-1, keepdims=True)
    return shares


def stance_spans(planted: np.ndarray, shortest: int = 1) -> np.ndarray:
    """(S, 4) int: person, foot, first and one past the last frame of every run of planted (P, T, 2) bool."""
    runs = np.moveaxis(planted, 1, -1)  # (P, 2, T)
    padded = np.pad(runs.astype(np.int8), ((0, 0), (0, 0), (1, 1)))
    change = np.diff(padded, axis=-1)
    begin, end = np.argwhere(change == 1), np.argwhere(change == -1)  # in the same order
    spans = np.concatenate([begin, end[:, 2:]], 1)
    long: np.ndarray = spans[spans[:, 3] - spans[:, 2] >= shortest]
    return long


def stances(soles: np.ndarray, planted: np.ndarray, up: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Where every stance stands, (S, 3), and how much it counts, (S,).

    A stance is one place however long it lasts: its frames all share the errors of the pose.

    Args:
        soles: (P, T, 2, K, 3). planted: (P, T, 2) probability.
    """
    touch = contact_points(soles, up)
    spans = stance_spans(planted > PHYSICS.now.ground.stands, max(1, round(PHYSICS.now.ground.shortest * fps)))
    places = [np.median(touch[person, a:b, foot], axis=0) for person, foot, a, b in spans]
    weights = [float(planted[person, a:b, foot].mean()) for person, foot, a, b in spans]
    return np.array(places).reshape(-1, 3), np.array(weights)


def find_ground(
    soles: np.ndarray, planted: np.ndarray, up: np.ndarray, fps: float, slope_prior: float | None = None
) -> Ground | None:
    """The floor under the stances of all people; None if nobody stands anywhere.

    Args:
        soles: (P, T, 2, K, 3) points of the soles. planted: (P, T, 2) probability that each foot stands.
        up: (3,) roughly upwards.
    """
    return fit_ground(*stances(soles, planted, np.asarray(up, np.float64), fps), up, slope_prior)


def foot_speeds(touch: np.ndarray, fps: float) -> np.ndarray:
    """(P, T, 2) metres a second of feet at (P, T, 2, 3): the slower of the ways to a frame before and one after.

    These are next to it up to the calibration's ``speed_span`` and so far away above: a millimetre of jitter between
    frames is 0.24 m/s at 240 frames a second.
    """
    frames = touch.shape[1]
    if frames < 2:
        return np.zeros(touch.shape[:3])
    span = min(max(1, round(fps * PHYSICS.now.ground.speed_span)), frames - 1)
    way = np.linalg.norm(touch[:, span:] - touch[:, :-span], axis=-1) * (fps / span)
    # Near an end there is one side only; what lies within a span of both has the nearest way there is.
    before = np.concatenate([np.full_like(touch[:, :span, ..., 0], np.inf), way], 1)
    after = np.concatenate([way, np.full_like(touch[:, :span, ..., 0], np.inf)], 1)
    slower = np.minimum(before, after)
    middle = slice(frames - span, span)
    slower[:, middle] = np.minimum(way[:, :1], way[:, -1:])
    result: np.ndarray = slower
    return result


def foot_contacts(soles: np.ndarray, ground: Ground, fps: float) -> np.ndarray:
    """(P, T, 2) f4, probability that each foot stands: its sole (P, T, 2, K, 3) is low and hardly moves.

    A frame alone is no stance: the median over a sixth of a second is taken.
    """
    height = ground.heights(soles).min(-1)
    speed = foot_speeds(soles.mean(-2), fps)
    tuned = PHYSICS.now.ground
    sure = _falling(height, tuned.low, tuned.low_range) * _falling(speed, tuned.slow, tuned.slow_range)
    width = round(fps / 6) | 1
    calm: np.ndarray = median_filter(sure, (1, width, 1), mode="nearest") if width > 1 else sure
    return calm.astype(np.float32)


def feet_down(soles: np.ndarray, up: np.ndarray, fps: float) -> np.ndarray:
    """(P, T, 2) bool, feet that are down by where they are and how they move, whatever a clip says of them.

    Low is near the height at which the feet of all people are at their lowest, so that a clip whose floor is off is
    judged as well. Slow is what moves little in most steps around: a foot that jumps within its stance stays a foot
    that stands. The first and the last frame between other frames are left out, in which a foot comes or goes.

    Args:
        soles: (P, T, 2, K, 3) points of the soles. up: (3,) upwards.
    """
    tuned = PHYSICS.now.ground
    height = soles @ up
    lowest = height.min(-1)
    level = float(np.percentile(lowest, tuned.down_percentile)) if lowest.size else 0.0
    down: np.ndarray = lowest < level + tuned.down_height
    if soles.shape[1] < 2:
        return down
    speed = np.linalg.norm(_ways(soles, height, Ground(np.asarray(up, np.float64), -level)), axis=-1) * fps
    width = round(tuned.down_seconds * fps) | 1
    slow = median_filter(speed, (1, width, 1), mode="nearest") < tuned.down_speed
    down &= np.concatenate([slow[:, :1], slow], 1) | np.concatenate([slow, slow[:, -1:]], 1)
    beside = np.pad(down, ((0, 0), (1, 1), (0, 0)), mode="edge")
    down &= beside[:, :-2] & beside[:, 2:]
    return down


def _ways(soles: np.ndarray, height: np.ndarray, ground: Ground) -> np.ndarray:
    """(P, T - 1, 2, 3) ways along the floor of the part of each sole that is down in both of two frames.

    They are the same points before and after, so a foot that rolls over its toes stays where it is.

    Args:
        soles: (P, T, 2, K, 3), at ``height`` (P, T, 2, K).
    """
    flat = soles - height[..., None] * ground.normal
    above = height - height.min(-1, keepdims=True)
    both = np.maximum(above[:, 1:], above[:, :-1])
    share = _shares(both - both.min(-1, keepdims=True))
    ways: np.ndarray = ((flat[:, 1:] - flat[:, :-1]) * share[..., None]).sum(-2)
    return ways


def _falling(value: np.ndarray, middle: float, spread: float) -> np.ndarray:
    return 1 / (1 + np.exp(np.clip((value - middle) / spread, -60, 60)))


@dataclass
class FootMeasures:
    """What is wrong with feet, metres; all (P, T, 2) but ``skate`` and ``drift``.

    Attributes:
        floating: height of the lowest point of a planted foot over the floor, 0 if it reaches it; NaN where it is not
            planted. sinking: depth of the lowest point under the floor, 0 above it, planted or not.
        skate: (P, T - 1, 2) way along the floor, from a frame to the next, of what a foot stands on; NaN where it is
            not planted in both. drift: (P, T, 2) distance along the floor from where the foot stands in the middle of
            its stance; NaN where it is not planted.
    """

    floating: np.ndarray
    sinking: np.ndarray
    skate: np.ndarray
    drift: np.ndarray


def measure_feet(
    soles: np.ndarray, planted: np.ndarray, ground: Ground = LEVEL, lowest: np.ndarray | None = None
) -> FootMeasures:
    """Slide, float and sink of feet.

    What slides is the part of the sole that is on the floor: a foot that rolls over its toes does not.

    Args:
        soles: (P, T, 2, K, 3). planted: (P, T, 2) bool. lowest: (P, T, 2) height of the lowest point of each foot, if
            the soles are samples.
    """
    height = ground.heights(soles)  # (P, T, 2, K)
    lowest = height.min(-1) if lowest is None else lowest
    way = _ways(soles, height, ground)
    still = planted[:, 1:] & planted[:, :-1]
    # A stance's place is kept up by adding the ways, since what is down may go from heel to toe.
    drift = np.full(planted.shape, np.nan)
    for person, foot, a, b in stance_spans(planted):
        at = np.concatenate([np.zeros((1, 3)), np.cumsum(way[person, a : b - 1, foot], 0)])
        drift[person, a:b, foot] = np.linalg.norm(at - np.median(at, 0), axis=-1)
    return FootMeasures(
        floating=np.where(planted, np.clip(lowest, 0, None), np.nan),
        sinking=np.clip(-lowest, 0, None),
        skate=np.where(still, np.linalg.norm(way, axis=-1), np.nan),
        drift=drift,
    )
