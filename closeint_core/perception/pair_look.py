# SPDX-License-Identifier: Apache-2.0
"""The eyes for pairs (``closeint_core.eyes``) in the second pass over a video.

The tracks tell them whom to look at. They look at batches of frames while the video is read; in between, what they saw
is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from closeint_core.body.parts import HIPS, JOINT_FLIP, JOINTS_IN_HALPE, SHOULDERS
from closeint_core.eyes.look import SHORTEST, EyesStream, PairEvidence, PairEyes
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.observations import PairSeen
from closeint_core.perception.sides import exchange_parts, exchanged_sides


@dataclass(frozen=True)
class PairPrompts:
    """Where the tracks say that two people are, in T frames; pixels.

    Attributes:
        points: f4 (T, 2, 2, 2) middles of shoulders and of hips of both people, NaN where not known.
        squares: f4 (T, 3) middle and side of the square that holds both; NaN where too little is known.
        trunks: f4 (2, T) lengths of the trunks, by which the eyes' probabilities count; NaN where nobody is known.
    """

    points: np.ndarray
    squares: np.ndarray
    trunks: np.ndarray


def prompts_of_tracks(expected: np.ndarray, sigma: np.ndarray, present: np.ndarray) -> PairPrompts:
    """Prompts from what motion predicts of the tracked people.

    Args:
        expected: (2, T, 17, 2) joints in pixels, NaN where nothing is expected. sigma: (2, T, 17) their standard
            deviations. present: (2, T) whether the person is looked for at all.
    """
    joints = np.asarray(expected, np.float64)[:, :, JOINTS_IN_HALPE]
    spread = np.asarray(sigma, np.float64)[:, :, JOINTS_IN_HALPE]
    ends, ends_spread = _middles(joints, spread)
    doubtful = PERCEPTION.now.pair_look.doubtful
    trunk = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1)
    with np.errstate(invalid="ignore"):
        longest = np.fmax(trunk, trunk[::-1])[..., None]  # where one bends over or is unknown, the other's
        known = (ends_spread <= doubtful * longest) & np.isfinite(ends).all(axis=-1) & present[..., None]
        sure = (spread <= doubtful * longest) & np.isfinite(joints).all(axis=-1) & present[..., None]
    points = np.where(known[..., None], ends, np.nan).swapaxes(0, 1).astype(np.float32)
    squares = _squares(joints, sure)
    told = np.linalg.norm(points[:, :, 0] - points[:, :, 1], axis=-1).T
    return PairPrompts(
        points, squares, np.fmax(np.fmax(told, np.where(np.isfinite(told), 0, told[::-1])), SHORTEST * squares[:, 2])
    )


def _middles(joints: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles (2, T, 2, 2) of shoulders and of hips and their standard deviations (2, T, 2), from joints (2, T, 13, 2)
    and theirs: the surer side counts more, and the more it does, the further off the middle may be."""
    middles, deviations = [], []
    for pair in (SHOULDERS, HIPS):
        both, weight = joints[:, :, list(pair)], spread[:, :, list(pair)] ** -2.0
        weight = np.where(np.isfinite(both).all(axis=-1) & np.isfinite(weight), weight, 0.0)
        total = weight.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = (weight[..., None] * np.nan_to_num(both)).sum(axis=2) / total[..., None]
            half = 0.5 * np.nan_to_num(np.linalg.norm(both[:, :, 0] - both[:, :, 1], axis=-1))
            lean = np.abs(weight[..., 0] - weight[..., 1]) / total
            deviations.append(np.where(total > 0, np.hypot(total**-0.5, lean * half), np.inf))
        middles.append(np.where(total[..., None] > 0, middle, np.nan))
    return np.stack(middles, axis=2), np.stack(deviations, axis=2)


def _squares(joints: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """f4 (T, 3) around joints (2, T, 13, 2) that are sure enough; NaN where fewer than four of each person are."""
    low = np.where(sure[..., None], joints, np.inf).min(axis=(0, 2))
    high = np.where(sure[..., None], joints, -np.inf).max(axis=(0, 2))
    enough = (sure.sum(axis=2) >= 4).all(axis=0)
    with np.errstate(invalid="ignore"):
        side = PERCEPTION.now.pair_look.around * (high - low).max(axis=-1, keepdims=True)
        square = np.concatenate([(low + high) / 2, side], axis=-1)
    return np.where(enough[:, None], square, np.nan).astype(np.float32)


class PairLook:
    """Takes the frames of the second pass one by one.

    Args:
        fps: of the frames; see the calibration's ``looks``.
    """

    def __init__(self, eyes: PairEyes, prompts: PairPrompts, fps: float) -> None:
        self._prompts, self._fps = prompts, fps
        self._size = (0, 0)  # of the frames, pixels
        on_cpu = eyes.device.type == "cpu"
        self.step = max(1, int(fps / PERCEPTION.now.pair_look.looks)) if on_cpu else 1
        # The tracks draw the square: one look is enough. Neighbours cost thrice as much for touch, and add a thousandth
        # to the area under its curve on renders.
        self._stream = EyesStream(eyes, len(prompts.points), looks=1, neighbours=not on_cpu, masks=False, again=True)

    def add(self, index: int, rgb: np.ndarray) -> None:
        """Frame ``index`` (from 0), uint8 (H, W, 3); the last one is looked at whatever the step."""
        if index % self.step and index != len(self._prompts.points) - 1:
            return
        self._size = rgb.shape[1], rgb.shape[0]
        square = self._prompts.squares[index]
        self._stream.add(index, rgb, self._prompts.points[index], square if np.isfinite(square).all() else None)

    def result(self, keypoints: np.ndarray) -> PairSeen:
        """What was seen, in all frames.

        Args:
            keypoints: (2, T, 17, 3) of the tracks, pixels and confidence: they help to tell left from right.
        """
        seen = self._stream.finish()
        with np.errstate(invalid="ignore"):
            beyond = ((seen.keypoints < 0) | (seen.keypoints > self._size)).any(axis=-1)
        # What lies beyond the picture's edge is guessed, however surely.
        for values in (seen.keypoints, seen.probability, seen.visible):
            values[beyond] = np.nan
        # Nobody is made up whom no track tells of.
        unknown = ~np.isfinite(self._prompts.points).all(axis=-1).any(axis=-1)  # (T, 2)
        for values in (seen.keypoints, seen.probability, seen.visible, seen.before):
            values[unknown] = np.nan
        seen.touch[unknown.any(axis=1)] = np.nan
        seen.nearer[unknown.any(axis=1)] = np.nan
        return interpolated(
            with_sides(seen, keypoints, self._prompts.trunks, self._fps), self._prompts.trunks, self.step
        )


def with_sides(seen: PairEvidence, keypoints: np.ndarray, trunks: np.ndarray, fps: float) -> PairEvidence:
    """Evidence with left and right as they are over time (``sides``); arguments as for ``PairLook``."""
    looked = np.flatnonzero(np.isfinite(seen.squares).all(axis=-1))
    joints, sure, visible = seen.keypoints.copy(), seen.probability.copy(), seen.visible.copy()
    touch, before = seen.touch.copy(), seen.before.copy()
    flip = list(JOINT_FLIP)
    tracked = np.asarray(keypoints, np.float64)[:, :, JOINTS_IN_HALPE]
    for person in range(2):
        length = trunks[person, looked, None, None]
        wrong = looked[
            exchanged_sides(
                joints[looked, person] / length,
                np.nan_to_num(sure[looked, person]),
                tracked[person, looked, :, :2] / length,
                np.nan_to_num(tracked[person, looked, :, 2]),
                looked / fps,
            )
        ]
        for values in (joints, sure, visible):
            values[wrong, person] = values[wrong, person][:, flip]
        before[wrong, person] = exchange_parts(before[wrong, person], 1)
        touch[wrong] = exchange_parts(touch[wrong], 1 + person)
    return replace(seen, keypoints=joints, probability=sure, visible=visible, touch=touch, before=before)


def interpolated(seen: PairEvidence, trunks: np.ndarray, step: int) -> PairSeen:
    """Evidence of frames looked at, and linearly in between where two of them are at most ``step`` frames apart.

    Probabilities are interpolated as log-odds. A joint is less certain between two looks, the more it moved.
    """
    frames = len(seen)
    looked = np.flatnonzero(np.isfinite(seen.squares).all(axis=-1))
    joints = np.full((2, frames, seen.keypoints.shape[2], 4), np.nan, np.float32)
    touch, before, nearer, visible = (
        np.full_like(values, np.nan) for values in (seen.touch, seen.before, seen.nearer, seen.visible)
    )
    if len(looked):
        time = np.arange(frames)
        after = looked[np.searchsorted(looked, time).clip(0, len(looked) - 1)]
        first = looked[(np.searchsorted(looked, time, side="right") - 1).clip(0)]
        near = (first <= time) & (time <= after) & (after - first <= step)
        share = np.where(after > first, (time - first) / np.maximum(after - first, 1), 0.0)[near]
        a, b = first[near], after[near]

        def between(values: np.ndarray) -> np.ndarray:
            w = share.reshape(-1, *[1] * (values.ndim - 1))
            result: np.ndarray = (1 - w) * values[a] + w * values[b]
            return result

        def odds(values: np.ndarray) -> np.ndarray:
            return expit(between(log_odds(values))).astype(np.float32)

        moved = np.linalg.norm(seen.keypoints[b] - seen.keypoints[a], axis=-1)
        slack = (share * (1 - share))[:, None, None] * moved
        told = np.concatenate([between(seen.keypoints), odds(seen.probability)[..., None], slack[..., None]], axis=-1)
        joints[:, near] = told.swapaxes(0, 1)
        touch[near], before[near], nearer[near] = odds(seen.touch), odds(seen.before), odds(seen.nearer)
        visible[near] = odds(seen.visible)
    return PairSeen(
        joints[..., :3], visible.swapaxes(0, 1), trunks, joints[..., 3], touch, before.swapaxes(0, 1), nearer
    )


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Of probabilities, no farther from even than the calibration's: what is averaged; no frame outvotes many."""
    with np.errstate(divide="ignore"):
        odds = np.log(probability) - np.log1p(-np.asarray(probability, np.float64))
    most = PERCEPTION.now.pair_look.log_odds
    clipped: np.ndarray = np.clip(odds, -most, most)
    return clipped


def expit(odds: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds."""
    result: np.ndarray = 1 / (1 + np.exp(-odds))
    return result
