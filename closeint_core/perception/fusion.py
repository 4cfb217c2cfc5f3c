# SPDX-License-Identifier: Apache-2.0
"""Peaks, landmarks, masks and motion become one set of keypoints with honest confidences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.assignment import Assignment, reassign
from closeint_core.perception.belief import believed
from closeint_core.perception.blazepose import LEFT_HEEL, LEFT_TOE, RIGHT_HEEL, RIGHT_TOE, TO_COCO
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.closeup import Closeup, sample_masks
from closeint_core.perception.continuity import follow_peaks
from closeint_core.perception.motion import limb_limits, predict
from closeint_core.perception.observations import PairSeen

_MOUTH, _EYES, _EARS = (9, 10), (2, 5), (7, 8)
_SHOULDERS, _HIPS = (11, 12), (23, 24)
_DIRECT = {
    K["left_big_toe"]: LEFT_TOE,
    K["right_big_toe"]: RIGHT_TOE,
    K["left_heel"]: LEFT_HEEL,
    K["right_heel"]: RIGHT_HEEL,
}
_ANKLES = {15: 27, 16: 28}


@dataclass
class Fused:
    """Halpe-26 in the image and in metres; NaN where unseen.

    Attributes:
        keypoints: f4 (P, T, 26, 3).
        landmarks: f4 (P, T, 26, 3).
        landmarks_confidence: f4 (P, T, 26).
    """

    keypoints: np.ndarray
    landmarks: np.ndarray
    landmarks_confidence: np.ndarray


def untangle(
    peaks: np.ndarray,
    keypoints: np.ndarray,
    scale: np.ndarray,
    fps: float,
    *,
    limits: np.ndarray | None = None,
    evidence: np.ndarray | None = None,
    rounds: int = 3,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regroup the peaks of a first look by each person's motion.

    Args:
        peaks: (T, 17, M, 3).
        keypoints: (P, T, 17, 3) as the network grouped them, NaN where missing.
        scale: (P, T) body sizes.
        limits, evidence: see ``assignment.reassign``; the limits come from ``keypoints`` if not given.

    Returns:
        keypoints (P, T, 17, 3), and what motion predicts from them: positions (P, T, 17, 2) and standard deviations.
    """
    current = keypoints
    predicted, sigma = predict(current, scale, fps)
    limits = limb_limits(keypoints, scale) if limits is None else limits
    for _ in range(rounds):
        given = reassign(peaks, predicted, sigma, limb_limit=limits, evidence=evidence)
        current = _peak_keypoints(given)
        predicted, sigma = predict(current, scale, fps)
    return current, predicted, sigma


def fuse(
    closeup: Closeup,
    keypoints: np.ndarray,
    scale: np.ndarray,
    fps: float,
    *,
    pair: PairSeen | None = None,
    rounds: int = 3,
) -> Fused:
    """Final keypoints of the people from everything that was seen.

    Args:
        closeup: the second pass.
        keypoints: (P, T, 17, 3) from ``untangle``.
        scale: (P, T) body sizes.
        pair: what the eyes for pairs saw, of two people.
    """
    limits = limb_limits(keypoints, scale)
    landmark, reliable = _landmark_quality(closeup, keypoints, scale)
    evidence = _mask_cost(closeup)
    rough, rough_sigma = predict(keypoints, scale, fps)
    path = follow_peaks(closeup.peaks, rough, rough_sigma, scale, fps, evidence=evidence)
    on_path = path[..., None] == np.arange(closeup.peaks.shape[2])
    evidence = evidence - PERCEPTION.now.fusion.continuity * on_path
    current = _take(closeup.peaks, path)
    given: Assignment | None = None
    for _ in range(rounds):
        motion, motion_sigma = predict(current, scale, fps, self_weight=PERCEPTION.now.fusion.self_weight)
        expected, sigma = _combine(motion, motion_sigma, landmark, reliable, closeup.spread[..., TO_COCO], scale)
        given = reassign(closeup.peaks, expected, sigma, limb_limit=limits, evidence=evidence)
        current = _blend(given, landmark, reliable, expected, sigma, scale)
    assert given is not None
    coco = _with_doubts(closeup, current, scale)
    if pair is not None:
        coco = believed(coco, pair)
    return _to_halpe(closeup, coco, landmark, reliable, scale)


def _take(peaks: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(P, T, 17, 3) the peaks (T, 17, M, 3) with these indices (P, T, 17); NaN for -1."""
    frames, joints = np.arange(peaks.shape[0])[:, None], np.arange(peaks.shape[1])
    return np.where(index[..., None] >= 0, peaks[frames, joints, index], np.nan).astype(np.float64)


def _peak_keypoints(given: Assignment) -> np.ndarray:
    """Assigned peaks as keypoints whose confidence knows about contested, side-swapped and exchangeable peaks."""
    keypoints = given.keypoints.copy()
    tuned = PERCEPTION.now.fusion
    keypoints[..., 2] *= np.where(given.contested, tuned.contested, 1.0) * np.where(given.mirrored, tuned.mirrored, 1.0)
    keypoints[..., 2] *= 1.0 - tuned.exchangeable * np.exp(-given.margin)
    return keypoints


def _landmark_quality(closeup: Closeup, keypoints: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BlazePose's COCO joints (P, T, 17, 2) and how far to trust each (P, T, 17), 0..1.

    When both crops show the same person, the one whose landmarks fit that person's track worse gets none.
    """
    landmark = closeup.image[:, :, TO_COCO].astype(np.float64)
    size = scale[..., None]
    spread = closeup.spread[..., TO_COCO] / size
    tuned = PERCEPTION.now.fusion
    reliable = closeup.presence[..., TO_COCO] * (tuned.hidden + tuned.shown * closeup.visibility[..., TO_COCO])
    reliable = reliable * closeup.score[..., None] / (1.0 + (spread / tuned.agreement) ** 2)
    reliable = np.where(np.isfinite(landmark[..., 0]), reliable, 0.0)
    if len(landmark) == 2:
        apart = np.linalg.norm(landmark[0] - landmark[1], axis=-1)
        with np.errstate(invalid="ignore"):
            same = np.nanmean(apart < tuned.same_person * np.fmin(*scale)[:, None], axis=-1) > tuned.same_share
            own = np.linalg.norm(landmark - keypoints[..., :2], axis=-1) / size
            misfit = np.nanmedian(np.where(np.isfinite(own), own, tuned.nowhere), axis=-1)
        for person in range(2):
            loser = same & (misfit[person] > misfit[1 - person])
            reliable[person, loser] = 0.0
        # both crops see the same limb: at contact the network follows whichever arm it finds, and is sure of it
        with np.errstate(invalid="ignore"):
            claimed_twice = apart < tuned.claimed * np.fmin(*scale)[:, None]
        reliable *= np.where(claimed_twice, tuned.claimed_left, 1.0)
    return landmark, reliable


def _mask_cost(closeup: Closeup) -> np.ndarray:
    """(P, T, 17, M) cost of giving a peak to a person whose mask does not cover it, or whose partner's does."""
    tuned = PERCEPTION.now.fusion
    frames, joints, count = closeup.peaks.shape[:3]
    covered = sample_masks(closeup, closeup.peaks[..., :2].reshape(frames, -1, 2))
    own = np.nan_to_num(covered, nan=tuned.mask_unknown).reshape(-1, frames, joints, count)
    cost: np.ndarray = tuned.mask * (1.0 - own)
    if len(own) == 2:
        cost = cost + tuned.mask * np.maximum(own[::-1] - own, 0.0)
    return cost


def _combine(
    motion: np.ndarray,
    motion_sigma: np.ndarray,
    landmark: np.ndarray,
    reliable: np.ndarray,
    spread: np.ndarray,
    scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Product of two Gaussians: motion and landmark; wider where they contradict each other."""
    size = scale[..., None]
    tuned = PERCEPTION.now.fusion
    known = np.sqrt(np.clip(reliable, tuned.least_reliable, 1.0))
    sigma = (tuned.landmark * size + tuned.landmark_mirrored * spread) / known
    first = np.where(np.isfinite(motion[..., 0]), 1.0 / motion_sigma**2, 0.0)
    second = np.where(np.isfinite(landmark[..., 0]) & (reliable > tuned.least_reliable), 1.0 / sigma**2, 0.0)
    total = first + second
    share = (first / np.maximum(total, 1e-12))[..., None]
    mean = share * np.nan_to_num(motion) + (1 - share) * np.nan_to_num(landmark)
    conflict = np.nan_to_num(np.linalg.norm(motion - landmark, axis=-1)) * (first > 0) * (second > 0)
    variance = 1.0 / np.maximum(total, 1e-12) + share[..., 0] * (1 - share[..., 0]) * conflict**2
    unknown = total <= 0
    return np.where(unknown[..., None], np.nan, mean), np.where(unknown, np.nan, np.sqrt(variance))


def _blend(
    given: Assignment,
    landmark: np.ndarray,
    reliable: np.ndarray,
    expected: np.ndarray,
    sigma: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """(P, T, 17, 3): peak and landmark averaged where they agree; else the peak, or what there is, with less trust."""
    size = scale[..., None]
    peak = _peak_keypoints(given).astype(np.float64)
    has_peak = np.isfinite(peak[..., 0])
    score = np.where(has_peak, np.nan_to_num(peak[..., 2]), 0.0)
    gap = np.linalg.norm(peak[..., :2] - landmark, axis=-1) / size
    tuned = PERCEPTION.now.fusion
    near = 1.0 / (1.0 + (np.nan_to_num(gap, nan=tuned.nowhere) / tuned.agreement) ** 2)
    agree = np.where(has_peak & (reliable > 0), near, 0.0)
    # the landmark's share falls with disagreement: two places are not averaged into a third
    weight = np.where(has_peak, tuned.landmark_share * reliable * agree**2, 1.0)
    share = np.where(has_peak, weight / np.maximum(weight + score, 1e-9), 1.0)[..., None]
    place = (1 - share) * np.nan_to_num(peak[..., :2]) + share * np.nan_to_num(landmark)
    both = 1.0 - (1.0 - score) * (1.0 - tuned.support * reliable * agree)
    lone_peak = score * (tuned.lone_peak[0] + tuned.lone_peak[1] * agree)
    off = np.linalg.norm(np.nan_to_num(landmark) - np.nan_to_num(expected), axis=-1) / np.nan_to_num(sigma, nan=1.0)
    lone_landmark = tuned.lone_landmark * reliable / (1.0 + tuned.lone_landmark_off * off**2)
    both = both * (tuned.both[0] + tuned.both[1] * agree)
    confidence = np.where(has_peak, np.where(reliable > tuned.supported, both, lone_peak), lone_landmark)
    known = has_peak | (np.isfinite(landmark[..., 0]) & (reliable > tuned.least_reliable))
    return np.where(known[..., None], np.concatenate([place, confidence[..., None]], axis=-1), np.nan)


def _with_doubts(closeup: Closeup, keypoints: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Lower the confidence of joints that lie on the partner or where the partner has the same joint."""
    tuned = PERCEPTION.now.fusion
    result = keypoints.copy()
    if len(keypoints) == 2:
        for person in range(2):
            covered = np.nan_to_num(sample_masks(closeup, keypoints[person, ..., :2]), nan=0.0)
            on_partner = np.clip(covered[1 - person] - covered[person], 0.0, 1.0)
            result[person, ..., 2] *= 1.0 - tuned.on_partner * on_partner
        apart = np.linalg.norm(keypoints[0, ..., :2] - keypoints[1, ..., :2], axis=-1)
        with np.errstate(invalid="ignore"):
            together = apart < tuned.together * np.fmin(*scale)[:, None]
        weaker = np.nan_to_num(keypoints[0, ..., 2]) < np.nan_to_num(keypoints[1, ..., 2])
        result[0, ..., 2] *= np.where(together & weaker, tuned.together_left, 1.0)
        result[1, ..., 2] *= np.where(together & ~weaker, tuned.together_left, 1.0)
    return result


@dataclass(frozen=True)
class _Halpe:
    """Halpe-26 in the making: (P, T, 26, 3) in the image and in metres, and (P, T, 26) trust in the latter."""

    keypoints: np.ndarray
    landmarks: np.ndarray
    trust: np.ndarray

    def finished(self) -> Fused:
        """Unknown ones NaN, without trust; trust within 0..1."""
        unknown = ~np.isfinite(self.keypoints).all(axis=-1)
        self.keypoints[unknown] = np.nan
        self.keypoints[..., 2] = np.clip(self.keypoints[..., 2], 0.0, 1.0)
        absent = ~np.isfinite(self.landmarks).all(axis=-1)
        self.landmarks[absent] = np.nan
        self.trust[absent] = 0.0
        trust = np.clip(self.trust, 0, 1).astype(np.float32)
        return Fused(self.keypoints.astype(np.float32), self.landmarks.astype(np.float32), trust)


def _to_halpe(
    closeup: Closeup, coco: np.ndarray, landmark: np.ndarray, reliable: np.ndarray, scale: np.ndarray
) -> Fused:
    """COCO joints as they are; feet, top of the head, neck and pelvis from BlazePose's landmarks."""
    tuned = PERCEPTION.now.fusion
    people, frames = coco.shape[:2]
    world = closeup.world.astype(np.float64)
    world = world - world[:, :, _HIPS].mean(axis=2, keepdims=True)
    made = _Halpe(
        np.full((people, frames, 26, 3), np.nan),
        np.full((people, frames, 26, 3), np.nan),
        np.zeros((people, frames, 26)),
    )
    made.keypoints[..., :17, :] = coco
    made.landmarks[:, :, :17] = world[:, :, TO_COCO]
    gap = np.linalg.norm(coco[..., :2] - landmark, axis=-1) / scale[..., None]
    near = 1.0 / (1.0 + (np.nan_to_num(gap, nan=1.0) / (tuned.near * tuned.agreement)) ** 2)
    made.trust[..., :17] = reliable * near
    # weak perspective: pixels a metre from the spread of the landmarks in both
    pixels = _pixels_per_metre(closeup)[..., None]
    for ankle in _ANKLES:
        _add_foot(made, ankle, closeup, world, scale)
        _add_small_toe(made, ankle, world, pixels)
    _add_head_top(made, closeup, world, pixels, near)
    _add_middles(made, world)
    return made.finished()


def _add_foot(made: _Halpe, ankle: int, closeup: Closeup, world: np.ndarray, scale: np.ndarray) -> None:
    """Big toe and heel: moved with the ankle, where it is not BlazePose's, and trusted where both agree."""
    tuned = PERCEPTION.now.fusion
    coco = made.keypoints
    side = "left" if ankle == 15 else "right"
    shift = coco[:, :, ankle, :2] - closeup.image[:, :, _ANKLES[ankle]]
    moved = np.linalg.norm(shift, axis=-1) / scale
    agree = 1.0 / (1.0 + (np.nan_to_num(moved, nan=1.0) / tuned.agreement) ** 2)
    standing = np.nan_to_num(coco[..., ankle, 2], nan=tuned.ankle_unknown)
    for name in (f"{side}_big_toe", f"{side}_heel"):
        k, source = K[name], _DIRECT[K[name]]
        shown = tuned.hidden + tuned.shown * closeup.visibility[..., source]
        sure = closeup.presence[..., source] * shown * agree
        sure = sure / (1.0 + (closeup.spread[..., source] / scale / tuned.agreement) ** 2)
        made.keypoints[..., k, :2] = closeup.image[:, :, source] + np.nan_to_num(shift) * agree[..., None]
        made.keypoints[..., k, 2] = np.minimum(tuned.foot * sure, standing + tuned.foot_over_ankle)
        made.landmarks[:, :, k] = world[:, :, source]
        made.trust[..., k] = sure * np.minimum(1.0, made.trust[..., ankle] + tuned.foot_over_ankle)


def _add_small_toe(made: _Halpe, ankle: int, world: np.ndarray, pixels: np.ndarray) -> None:
    """Small toe: beside the big one. ``pixels``: (P, T, 1) a metre."""
    side, rate = "left" if ankle == 15 else "right", PERCEPTION.now.fusion.small_toe
    toe, small = K[f"{side}_big_toe"], K[f"{side}_small_toe"]
    outward = _small_toe_offset(world, ankle)
    made.landmarks[:, :, small] = made.landmarks[:, :, toe] + outward
    made.keypoints[..., small, :2] = made.keypoints[..., toe, :2] + pixels * outward[..., :2]
    made.keypoints[..., small, 2] = rate * made.keypoints[..., toe, 2]
    made.trust[..., small] = rate * made.trust[..., toe]


def _add_head_top(made: _Halpe, closeup: Closeup, world: np.ndarray, pixels: np.ndarray, near: np.ndarray) -> None:
    """Top of the head: above the ears, away from the mouth. ``near``: (P, T, 17) how well both networks agree."""
    tuned, top = PERCEPTION.now.fusion, K["head_top"]
    ears = world[:, :, _EARS].mean(axis=2)
    up = world[:, :, _EYES].mean(axis=2) - world[:, :, _MOUTH].mean(axis=2)
    rise = tuned.skull * up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
    made.landmarks[:, :, top] = ears + rise
    image_ears = closeup.image[:, :, _EARS].mean(axis=2)
    made.keypoints[..., top, :2] = image_ears + pixels * rise[..., :2]
    head = np.nanmax(np.nan_to_num(made.keypoints[..., :5, 2]), axis=-1)
    made.keypoints[..., top, 2] = tuned.head_top * head * near[..., :5].max(axis=-1)
    made.trust[..., top] = tuned.head_top * made.trust[..., :5].max(axis=-1)


def _add_middles(made: _Halpe, world: np.ndarray) -> None:
    """Neck and pelvis: between the shoulders and between the hips, as sure as the less sure of the two."""
    for name, (left, right), middle in (
        ("neck", (K["left_shoulder"], K["right_shoulder"]), _SHOULDERS),
        ("pelvis", (K["left_hip"], K["right_hip"]), _HIPS),
    ):
        k, keypoints, trust = K[name], made.keypoints, made.trust
        keypoints[..., k, :2] = 0.5 * (keypoints[:, :, left, :2] + keypoints[:, :, right, :2])
        keypoints[..., k, 2] = np.minimum(keypoints[:, :, left, 2], keypoints[:, :, right, 2])
        made.landmarks[:, :, k] = world[:, :, middle].mean(axis=2)
        trust[..., k] = np.minimum(trust[..., left], trust[..., right])


def _pixels_per_metre(closeup: Closeup) -> np.ndarray:
    """(P, T) least squares scale between world and image landmarks of the trunk and the limbs."""
    parts = np.arange(11, 29)
    world = closeup.world[:, :, parts, :2] - closeup.world[:, :, parts, :2].mean(axis=2, keepdims=True)
    image = closeup.image[:, :, parts] - closeup.image[:, :, parts].mean(axis=2, keepdims=True)
    result: np.ndarray = (world * image).sum(axis=(2, 3)) / np.maximum((world**2).sum(axis=(2, 3)), 1e-6)
    return result


def _small_toe_offset(world: np.ndarray, ankle: int) -> np.ndarray:
    """(P, T, 3) metres from the big to the small toe: across the foot, away from the other foot."""
    index, toe, heel, knee = (27, 31, 29, 25) if ankle == 15 else (28, 32, 30, 26)
    along = world[:, :, toe] - world[:, :, heel]
    shin = world[:, :, knee] - world[:, :, index]
    across = np.cross(along, shin)
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    # x right, y down, z forward: along x shin points to the right of a foot seen from above
    result: np.ndarray = PERCEPTION.now.fusion.forefoot * (across if ankle == 16 else -across)
    return result
