# SPDX-License-Identifier: Apache-2.0
"""Whether the camera moved, and where the picture cuts to another view: noticed while people are looked for.

The solvers take the camera to stand still and the footage to be one shot. Corners of the picture that are not on
people are followed from a key frame on (Lucas and Kanade, 1981, in pyramids) and a similarity is fitted to them
(RANSAC). A camera moves where that carries the picture away; a view is cut where no corner is found again and the
picture changes, while corners are found again before and after or the changes there are small. Only a few numbers a
frame are kept.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from closeint_core.perception.calibration import PERCEPTION

_SIDE = 320
"""Pixels of the longer side at which corners are followed; a still camera's stay within 0.3 of them."""
_CORNERS, _FEWEST = 150, 12
"""Corners followed at most, and those that can tell a motion."""
_AROUND = 5
"""Pairs of frames before and after a cut that its change is compared with."""
_THUMB = 48


@dataclass(frozen=True)
class CameraMotion:
    """What the camera does; frames are indices in the source.

    Attributes:
        cuts: first frames of another view. moving: (first, last) frames of each run in which the camera moves.
    """

    cuts: tuple[int, ...]
    moving: tuple[tuple[int, int], ...]

    def warnings(self) -> list[str]:
        """Sentences for the user, frames counted from 0 as ``--frames`` counts them."""
        said = []
        if self.cuts:
            shown = ", ".join(str(frame) for frame in self.cuts[:8]) + (" and others" if len(self.cuts) > 8 else "")
            many = len(self.cuts) > 1
            said.append(
                f"The picture cuts to another view at frame{'s' if many else ''} {shown} (counted from 0); shots are "
                "solved as if they were one. Reconstruct each shot by itself, with its range of frames."
            )
        if self.moving:
            shown = ", ".join(f"{first} to {last}" for first, last in self.moving[:5])
            more = " and others" if len(self.moving) > 5 else ""
            said.append(
                f"The camera moves in frames {shown}{more} (counted from 0); it is taken to stand still, so what it "
                "does is seen as a motion of the people. Use frames in which it rests, or steady the footage first."
            )
        return said


class CameraWatch:
    """Looks at one frame after the other.

    Args:
        fps: frames per second. frame_start: index of the first frame in the source.
    """

    def __init__(self, fps: float, frame_start: int = 0) -> None:
        self._fps, self._start = fps, frame_start
        self._before: np.ndarray | None = None  # grey picture of the frame before, and where it is not people
        self._free: np.ndarray | None = None
        self._key: np.ndarray | None = None
        self._corners = self._at = np.zeros((0, 1, 2), np.float32)
        self._base = self._pose = np.eye(3)  # from the shot's first frame to the key frame, and to this one
        self._thumb: np.ndarray | None = None
        self._places: list[np.ndarray] = []  # (4, 2) where four points of the shot's first frame are, in diagonals
        self._changes: list[float] = [0.0]
        self._lost: list[bool] = [False]

    def add(self, rgb: np.ndarray, people: np.ndarray) -> None:
        """The next frame.

        Args:
            rgb: u1 (H, W, 3). people: (S, 17, 3) joints of everybody in its pixels, with scores.
        """
        height, width = rgb.shape[:2]
        factor = _SIDE / max(height, width)
        size = (max(16, round(width * factor)), max(16, round(height * factor)))
        grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        free = _without_people(grey.shape, people, np.array([size[0] / width, size[1] / height]))
        thumb = cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
        thumb -= thumb.mean()  # a flash is no other view
        if self._before is None or self._thumb is None:
            self._take_key(grey, free)
        else:
            self._changes.append(float(np.abs(thumb - self._thumb).mean()))
            self._lost.append(not self._follow(grey, free))
        self._before, self._free, self._thumb = grey, free, thumb
        near, far = PERCEPTION.now.camera.watched
        corner = np.array([[near, near, 1], [far, near, 1], [near, far, 1], [far, far, 1]]) * [*size, 1]
        self._places.append((corner @ self._pose.T)[:, :2] / np.hypot(*size))

    def result(self) -> CameraMotion:
        """What the camera did in the frames so far."""
        cuts = self._cuts()
        edges = [0, *cuts, len(self._places)]
        moving: list[tuple[int, int]] = []
        for first, stop in itertools.pairwise(edges):
            moving += self._moving(first, stop)
        start = self._start
        return CameraMotion(
            tuple(cut + start for cut in cuts), tuple((first + start, last + start) for first, last in moving)
        )

    # -- following -----------------------------------------------------------------------------------------------

    def _take_key(self, grey: np.ndarray, free: np.ndarray) -> None:
        """Follow the corners of this picture from now on."""
        found = cv2.goodFeaturesToTrack(grey, _CORNERS, PERCEPTION.now.camera.quality, 6, mask=free)
        self._key, self._base = grey, self._pose
        self._corners = self._at = np.zeros((0, 1, 2), np.float32) if found is None else found.astype(np.float32)

    def _follow(self, grey: np.ndarray, free: np.ndarray) -> bool:
        """Where the camera is now; False where nothing of the picture before is found again."""
        assert self._before is not None
        assert self._free is not None
        tuned = PERCEPTION.now.camera
        share, change = self._matched(grey, free)
        if change is None or share < tuned.kept:
            self._take_key(self._before, self._free)
            share, change = self._matched(grey, free)
        if change is None:
            told = len(self._corners) < _FEWEST or share >= tuned.lost
            self._take_key(grey, free)
            return told
        self._pose = change @ self._base
        moved = np.abs(self._at - self._corners).max(initial=0.0)
        if share < tuned.kept or moved > tuned.far * _SIDE:
            self._take_key(grey, free)
        return True

    def _matched(self, grey: np.ndarray, free: np.ndarray) -> tuple[float, np.ndarray | None]:
        """The share of the key frame's corners that move as one, and their motion (3, 3) up to this picture, or
        None."""
        tuned = PERCEPTION.now.camera
        count = len(self._corners)
        if count < _FEWEST:
            return 0.0, None
        assert self._key is not None
        options: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 3, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
        guess = self._at.copy()
        there, ok, _ = cv2.calcOpticalFlowPyrLK(self._key, grey, self._corners, guess, **options)
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, self._key, there, self._corners.copy(), **options)
        off = np.linalg.norm((back - self._corners)[:, 0], axis=-1)
        column = np.clip(np.nan_to_num(there[:, 0, 0]), 0, grey.shape[1] - 1).astype(int)
        row = np.clip(np.nan_to_num(there[:, 0, 1]), 0, grey.shape[0] - 1).astype(int)
        uncovered = free[row, column] > 0
        good = (ok[:, 0] > 0) & (ok_back[:, 0] > 0) & (off < tuned.found) & uncovered
        considered = max(int(uncovered.sum()), 1)
        if good.sum() < _FEWEST or good.sum() < tuned.lost * considered:
            return float(good.sum()) / considered, None
        affine, inliers = cv2.estimateAffinePartial2D(
            self._corners[good], there[good], method=cv2.RANSAC, ransacReprojThreshold=tuned.inlier
        )
        if affine is None:
            return 0.0, None
        self._at = np.where(good[:, None, None], there, self._at).astype(np.float32)
        return float(inliers.sum()) / considered, np.vstack([affine, [0, 0, 1]])

    # -- what came of it -----------------------------------------------------------------------------------------

    def _cuts(self) -> list[int]:
        """First frames of another view, counted from the first frame seen."""
        tuned = PERCEPTION.now.camera
        changes = np.asarray(self._changes)
        cuts = []
        for frame in np.flatnonzero(self._lost).tolist():
            around = np.concatenate(
                [changes[max(1, frame - _AROUND) : frame], changes[frame + 1 : frame + 1 + _AROUND]]
            )
            usual = float(np.median(around)) if len(around) else 0.0
            alone = not any(self._lost[max(0, frame - 2) : frame] + self._lost[frame + 1 : frame + 3])
            if changes[frame] > tuned.jump and (alone or changes[frame] > tuned.times * usual):
                cuts.append(frame)
        return cuts

    def _moving(self, first: int, stop: int) -> list[tuple[int, int]]:
        """(first, last) frames of the runs within a shot in which the camera moves."""
        tuned = PERCEPTION.now.camera
        places = np.stack(self._places[first:stop])
        away = np.linalg.norm(places[:, None] - places[None, [0, len(places) // 2, -1]], axis=-1).max((1, 2))
        if stop - first < 2 or away.max() < tuned.moved:
            return []
        # Over a fifth of a second, so that what a hand shakes does not split a motion.
        span = min(max(1, round(self._fps / 10)), stop - first - 1)
        index = np.arange(len(places))
        ahead, behind = np.minimum(index + span, len(places) - 1), np.maximum(index - span, 0)
        speed = np.linalg.norm(places[ahead] - places[behind], axis=-1).max(-1) / (ahead - behind)
        fast = speed > tuned.moving * float(speed.mean())
        edges = np.flatnonzero(np.diff(np.concatenate([[False], fast, [False]]).astype(np.int8))).reshape(-1, 2)
        runs: list[tuple[int, int]] = []
        for a, b in edges:
            if runs and a - runs[-1][1] <= max(2, round(self._fps / 2)):
                runs[-1] = (runs[-1][0], int(b) - 1)
            else:
                runs.append((int(a), int(b) - 1))
        # Only runs that carry the picture somewhere.
        carried = [(a, b) for a, b in runs if _reach(places[a : b + 1]) > tuned.moved / 2]
        return [(first + a, first + b) for a, b in carried or [(0, len(places) - 1)]]


def _reach(places: np.ndarray) -> float:
    """How far places (T, 4, 2) get from the first of them at most."""
    return float(np.linalg.norm(places - places[0], axis=-1).max())


def _without_people(shape: tuple[int, ...], people: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """u1 (H, W) of a grey picture, 255 where nobody of ``people`` (S, 17, 3) is.

    Args:
        scale: (2,) by which their pixels become the picture's.
    """
    free = np.full(shape[:2], 255, np.uint8)
    for person in people:
        points = person[person[:, 2] > PERCEPTION.now.seen.joint, :2] * scale
        if len(points) < 3:
            continue
        low, high = points.min(0), points.max(0)
        border = PERCEPTION.now.camera.border * float(np.max(high - low))
        (left, top), (right, bottom) = np.floor(low - border).astype(int), np.ceil(high + border).astype(int)
        free[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 0
    return free
