# SPDX-License-Identifier: Apache-2.0
"""Follows people through a video: pose similarity, motion and clothes; Hungarian assignment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from closeint_core.perception.appearance import distance
from closeint_core.perception.calibration import PERCEPTION


@dataclass
class Track:
    """One person followed through the video.

    Attributes:
        frames: frames with a detection, ascending.
        slots: the detection's slot in each.
        keypoints: (17, 3) of the last of them. velocity: (2,) pixels a frame, smooth.
        appearance: (D,) descriptor of the clothes, averaged while nobody is near; NaN while unknown.
    """

    frames: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    keypoints: np.ndarray = field(default_factory=lambda: np.empty(0))
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    appearance: np.ndarray = field(default_factory=lambda: np.empty(0))


def body_size(keypoints: np.ndarray) -> np.ndarray:
    """(...,) diagonal in pixels of the box round the keypoints (..., J, 3) that were seen; NaN without two."""
    seen = keypoints[..., 2] > PERCEPTION.now.seen.joint
    points = np.where(seen[..., None], keypoints[..., :2], np.nan)
    with np.errstate(all="ignore"):
        low = np.where(seen[..., None], points, np.inf).min(axis=-2)
        high = np.where(seen[..., None], points, -np.inf).max(axis=-2)
    size = np.linalg.norm(np.where(np.isfinite(high - low), high - low, 0.0), axis=-1)
    return np.where(seen.sum(axis=-1) >= 2, size, np.nan)


def pose_distance(a: np.ndarray, b: np.ndarray, tolerance: np.ndarray | float) -> np.ndarray:
    """How far two skeletons (..., 17, 3) are apart, 0 to 1: mean over joints of d^2 / (d^2 + tolerance^2).

    Joints count by the product of their scores, so a hidden joint says little. The form is that of a
    robust (Geman-McClure) error: one limb that was assigned to the partner does not decide.
    """
    squared = ((a[..., :2] - b[..., :2]) ** 2).sum(axis=-1)
    weight = np.where(np.isfinite(squared), np.sqrt(np.clip(a[..., 2] * b[..., 2], 0.0, 1.0)), 0.0)
    error = np.where(np.isfinite(squared), squared, 0.0)
    error = error / (error + np.asarray(tolerance)[..., None] ** 2 + 1e-9)
    total = weight.sum(axis=-1)
    return np.where(total > PERCEPTION.now.tracking.known, (weight * error).sum(axis=-1) / np.maximum(total, 1e-6), 1.0)


def keep_distinct(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which of the skeletons (N, 17, 3) of one frame are people, each once.

    A skeleton found twice (what networks do when one person hides another) is kept once, the one with the
    higher score.
    """
    seen = keypoints[..., 2].mean(axis=-1)
    tuned, least = PERCEPTION.now.tracking, PERCEPTION.now.seen
    keep: np.ndarray = (seen > least.skeleton) & (scores > least.person)
    size = body_size(keypoints)
    keep &= np.isfinite(size)
    order = np.argsort(-seen * scores)
    for i, first in enumerate(order):
        if not keep[first]:
            continue
        for second in order[i + 1 :]:
            if not keep[second]:
                continue
            tolerance = tuned.same_tolerance * max(size[first], size[second])
            if pose_distance(keypoints[first], keypoints[second], tolerance) < tuned.same:
                keep[second] = False
    return keep


def follow(keypoints: np.ndarray, scores: np.ndarray, appearance: np.ndarray, fps: float) -> list[Track]:
    """Link the skeletons of all frames into tracks.

    Args:
        keypoints: (T, S, 17, 3) pixels and score; slots are in no order.
        scores: (T, S).
        appearance: (T, S, D) descriptors.
        fps: frames per second; how far somebody gets until the next frame depends on it.

    Returns:
        Tracks in the order of first appearance, then from left to right.
    """
    tracks: list[Track] = []
    tuned = PERCEPTION.now.tracking
    rate = tuned.rate / fps
    for t in range(len(keypoints)):
        slots = np.flatnonzero(keep_distinct(keypoints[t], scores[t]))
        slots = slots[np.argsort(_centre(keypoints[t, slots])[:, 0])]
        if len(tracks) and len(slots):
            cost = np.stack([_cost(track, keypoints[t, slots], appearance[t, slots], t, rate) for track in tracks])
            rows, columns = linear_sum_assignment(cost)
            linked = [(r, c) for r, c in zip(rows, columns, strict=True) if cost[r, c] < tuned.link]
        else:
            linked = []
        alone = _isolated(keypoints[t, slots])
        for r, c in linked:
            _extend(tracks[r], t, int(slots[c]), keypoints[t, slots[c]], appearance[t, slots[c]], bool(alone[c]), rate)
        taken = {c for _, c in linked}
        for c, slot in enumerate(slots):
            if c not in taken:
                track = Track(appearance=np.full(appearance.shape[-1], np.nan))
                _extend(track, t, int(slot), keypoints[t, slot], appearance[t, slot], True, rate)
                tracks.append(track)
    return tracks


def rejoin(tracks: list[Track], keypoints: np.ndarray, fps: float) -> list[Track]:
    """Join a track that ends with one that begins later, where both look like the same person.

    In a hug one person is lost among the other's joints and comes out of it as somebody new, sometimes a
    few frames before the old track is given up. A later track of like clothes, not far from where the
    earlier one ended, is that person again; where both have a frame the later one counts. The most alike
    are joined first.

    Args:
        tracks: of ``follow``, with (T, S, 17, 3) ``keypoints``.
    """
    tuned = PERCEPTION.now.tracking
    tracks = list(tracks)
    while True:
        best: tuple[float, int, int] | None = None
        for a, earlier in enumerate(tracks):
            for b, later in enumerate(tracks):
                gap = later.frames[0] - earlier.frames[-1]
                possible = -tuned.rejoin_overlap * fps < gap <= tuned.rejoin_longest * fps
                if a == b or not possible or later.frames[-1] <= earlier.frames[-1]:
                    continue
                look = float(distance(earlier.appearance[None], later.appearance[None])[0])
                start = keypoints[later.frames[0], later.slots[0]]
                size = float(np.nan_to_num(body_size(earlier.keypoints), nan=tuned.size))
                moved = float(np.linalg.norm(_centre(start) - _centre(earlier.keypoints))) / max(size, 1.0)
                cost = look + tuned.rejoin_moved * moved
                alike = look < tuned.rejoin_look[0 if gap > 0 else 1] and moved < tuned.rejoin_reach
                if alike and (best is None or cost < best[0]):
                    best = (cost, a, b)
        if best is None:
            return tracks
        _, a, b = best
        earlier, later = tracks[a], tracks[b]
        kept = sum(frame < later.frames[0] for frame in earlier.frames)
        later.frames, later.slots = earlier.frames[:kept] + later.frames, earlier.slots[:kept] + later.slots
        tracks[a] = later
        del tracks[b]


def _centre(keypoints: np.ndarray) -> np.ndarray:
    weight = np.maximum(keypoints[..., 2:], 1e-6)
    result: np.ndarray = (keypoints[..., :2] * weight).sum(axis=-2) / weight.sum(axis=-2)
    return result


def _isolated(keypoints: np.ndarray) -> np.ndarray:
    """(N,) whether no other skeleton's trunk overlaps this one: only then are its colours its own."""
    centre = keypoints[:, [5, 6, 11, 12], :2].mean(axis=1)
    size = np.nan_to_num(body_size(keypoints), nan=1.0)
    apart = np.linalg.norm(centre[:, None] - centre[None], axis=-1) + np.eye(len(keypoints)) * 1e9
    result: np.ndarray = (apart > PERCEPTION.now.tracking.alone * np.maximum(size[:, None], size[None])).all(axis=1)
    return result


def _extend(
    track: Track, t: int, slot: int, keypoints: np.ndarray, appearance: np.ndarray, alone: bool, rate: float
) -> None:
    # Averages go over a time, which at high rates are more frames.
    tuned, sure = PERCEPTION.now.tracking, PERCEPTION.now.seen.sure
    short = min(rate, 1.0)
    if track.frames:
        step = t - track.frames[-1]
        both = (track.keypoints[:, 2] > sure) & (keypoints[:, 2] > sure)
        moved = np.median((keypoints - track.keypoints)[both, :2], axis=0) / step if both.any() else np.zeros(2)
        gain = tuned.velocity_gain if rate >= 1.0 else 1.0 - tuned.velocity_kept**rate
        track.velocity = (1 - gain) * track.velocity + gain * moved
    track.keypoints = keypoints
    track.frames.append(t)
    track.slots.append(slot)
    if alone and np.isfinite(appearance).any():
        known = np.isfinite(track.appearance)
        gain = max(tuned.appearance_gain * short, 1.0 / len(track.frames))
        blended = (1 - gain) * track.appearance + gain * appearance
        track.appearance = np.where(
            known & np.isfinite(appearance), blended, np.where(known, track.appearance, appearance)
        )


def _cost(track: Track, keypoints: np.ndarray, appearance: np.ndarray, t: int, rate: float) -> np.ndarray:
    """(N,) cost of continuing ``track`` with each skeleton; below the calibration's ``link`` is acceptable."""
    tuned = PERCEPTION.now.tracking
    missed = (t - track.frames[-1]) * rate
    predicted = track.keypoints.copy()
    # after a short while the last velocity says nothing any more
    predicted[:, :2] += track.velocity * min(missed, tuned.velocity_frames) / rate
    size = float(np.nan_to_num(body_size(track.keypoints), nan=tuned.size))
    # From one frame to the next people may get as far as in a thirtieth of a second: a rate may be wrong, as that of
    # slow motion often is.
    tolerance = size * (tuned.tolerance + tuned.tolerance_growth * np.clip(missed, 1.0, tuned.tolerance_frames))
    place = pose_distance(predicted[None], keypoints, tolerance)
    growth = np.abs(np.log(np.maximum(np.nan_to_num(body_size(keypoints), nan=1.0), 1.0) / max(size, 1.0)))
    look = distance(track.appearance[None], appearance)
    clothes = tuned.appearance * np.maximum(look - tuned.appearance_free, 0.0)
    result: np.ndarray = place + clothes + tuned.growth * np.maximum(growth - tuned.growth_free, 0.0)
    return result
