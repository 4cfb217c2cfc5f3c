# SPDX-License-Identifier: Apache-2.0
"""Which two of the people in a video are the pair."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from closeint_core.errors import CloseintError
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.tracking import Track, body_size
from closeint_core.progress import Progress
from closeint_core.settings import PeopleAt

_HOW_TO_CHOOSE = "To choose others use --people i,j: people are numbered from 0 by first appearance, left to right."


def choose_people(
    tracks: list[Track], keypoints: np.ndarray, people: str | tuple[int, ...], progress: Progress
) -> list[int]:
    """Indices of the chosen tracks, one or two, left to right at their first common frame.

    ``auto`` takes the pair that is large, stays long and comes close: for each two tracks the product of the share
    of frames with both, their size relative to the largest person, and a closeness that falls with the gap between
    their bodies in body sizes, judged at their closest quarter.

    Args:
        tracks: in the order in which people are numbered.
        keypoints: (T, S, 17, 3) all detections.
        people: ``auto`` or one or two indices into ``tracks``.
        progress: told when the choice was not obvious.

    Raises:
        CloseintError: nobody was found, or an index does not exist.
    """
    if not tracks:
        raise CloseintError(
            "Nobody was found in the video.", "Two people should be seen at full length, each at least 100 pixels tall."
        )
    if not isinstance(people, str):
        chosen = list(people)
        if not 1 <= len(chosen) <= 2 or len(set(chosen)) != len(chosen):
            raise CloseintError(f"people must be one or two different numbers, not {chosen}.", _HOW_TO_CHOOSE)
        for index in chosen:
            if not isinstance(index, int) or not 0 <= index < len(tracks):
                raise CloseintError(
                    f"There is no person {index}: {len(tracks)} were found, numbered 0 to {len(tracks) - 1} "
                    "by first appearance, left to right."
                )
        return chosen
    if len(tracks) == 1:
        progress.warn("Only one person was found; the result has one person.")
        return [0]
    series = [_series(track, keypoints) for track in tracks]
    largest = max(float(np.nanmedian(body_size(row))) for row in series)
    scored = [
        (_pair_score(series[a], series[b], largest), a, b) for a, b in itertools.combinations(range(len(tracks)), 2)
    ]
    score, a, b = max(scored)
    if score <= 0.0:
        best = max(range(len(tracks)), key=lambda i: len(tracks[i].frames))
        progress.warn("Two people were never seen together; the result has one person.")
        return [best]
    if len(tracks) > 2:
        progress.warn(f"{len(tracks)} people were found; the pair is {a} and {b}. {_HOW_TO_CHOOSE}")
    both = np.isfinite(series[a][:, 5, 0]) & np.isfinite(series[b][:, 5, 0])
    first = int(np.argmax(both))
    return sorted((a, b), key=lambda i: float(np.nanmean(series[i][first, :, 0])))


def people_at(tracks: list[Track], keypoints: np.ndarray, where: PeopleAt, frame_start: int) -> tuple[int, ...]:
    """Indices of the tracks that those boxes show.

    A track that misses the frame is judged at its nearest one, if that is within half a dozen.

    Args:
        tracks: candidates.
        keypoints: (T, S, 17, 3) all detections.
        where: frame and boxes.
        frame_start: index in the source of ``keypoints``' first frame.

    Raises:
        CloseintError: the frame is outside of the range, or nobody was followed there.
    """
    t = where.frame - frame_start
    if not 0 <= t < len(keypoints):
        raise CloseintError(
            f"The people were picked in frame {where.frame + 1}, which is not among the frames to reconstruct.",
            "Pick them in a frame of the range.",
        )
    boxes = np.asarray(where.boxes, float)
    inside = np.full((len(boxes), len(tracks)), -np.inf)
    for i, track in enumerate(tracks):
        nearest = int(np.argmin(np.abs(np.asarray(track.frames) - t)))
        if abs(track.frames[nearest] - t) <= 6:
            points = keypoints[track.frames[nearest], track.slots[nearest]]
            points = points[points[:, 2] > PERCEPTION.now.seen.joint, :2]
            if len(points):
                inside[:, i] = [_agreement(points, box) for box in boxes]
    rows, columns = linear_sum_assignment(-np.maximum(inside, 0.0))
    chosen = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if inside[r, c] > PERCEPTION.now.pair.overlap}
    if len(chosen) < len(boxes):
        raise CloseintError(
            f"A person picked in frame {where.frame + 1} could not be followed through the video.",
            "Pick in another frame, where both are seen well.",
        )
    return tuple(chosen[r] for r in range(len(boxes)))


def _agreement(points: np.ndarray, box: np.ndarray) -> float:
    """Overlap (intersection over union) of a box with the box of some points."""
    low, high = points.min(axis=0), points.max(axis=0)
    common = np.minimum(high, box[2:]) - np.maximum(low, box[:2])
    shared = float(np.prod(np.maximum(common, 0.0)))
    return shared / (float(np.prod(high - low)) + float(np.prod(box[2:] - box[:2])) - shared + 1e-9)


def persistent(tracks: list[Track], frames: int, fps: float) -> list[Track]:
    """Tracks long enough to be people; see ``fewest_frames``."""
    needed = fewest_frames(frames, fps)
    return [track for track in tracks if len(track.frames) >= needed]


def fewest_frames(frames: int, fps: float) -> int:
    """Frames in which somebody must be seen to be a person: a fifth of a second or a tenth of the video, whichever is
    shorter."""
    return max(1, min(round(PERCEPTION.now.pair.shortest * fps), frames // 10))


def _series(track: Track, keypoints: np.ndarray) -> np.ndarray:
    result = np.full((len(keypoints), *keypoints.shape[2:]), np.nan)
    result[track.frames] = keypoints[track.frames, track.slots]
    return result


def _pair_score(a: np.ndarray, b: np.ndarray, largest: float) -> float:
    size_a, size_b = body_size(a), body_size(b)
    both = np.isfinite(size_a) & np.isfinite(size_b)
    if not both.any():
        return 0.0
    gap = np.array([_gap(x, y) for x, y in zip(a[both], b[both], strict=True)])
    mean_size = np.sqrt(size_a[both] * size_b[both])
    closest = float(np.percentile(gap / mean_size, 25))
    alike = float(np.median(np.minimum(size_a, size_b)[both] / np.maximum(size_a, size_b)[both]))
    relative = float(np.median(mean_size)) / largest
    # two people of one scene differ in size by distance and by age: a child is half of an adult
    return float(both.mean()) * relative**2 * min(1.0, alike / PERCEPTION.now.pair.child) / (1.0 + closest) ** 2


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """Pixels between the nearest joints of two skeletons (17, 3)."""
    joint = PERCEPTION.now.seen.joint
    first, second = a[a[:, 2] > joint, :2], b[b[:, 2] > joint, :2]
    if not len(first) or not len(second):
        return float(np.linalg.norm(np.nanmean(a[:, :2], axis=0) - np.nanmean(b[:, :2], axis=0)))
    return float(np.linalg.norm(first[:, None] - second[None], axis=-1).min())
