# SPDX-License-Identifier: Apache-2.0
"""The two passes over the video: first everybody roughly, then the chosen people closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.appearance import describe
from closeint_core.perception.blazepose import LANDMARKS, BlazePose, Crop, Landmarks
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.camera_motion import CameraMotion, CameraWatch
from closeint_core.perception.movenet import JOINTS, MoveNet, fit_into
from closeint_core.progress import Progress
from closeint_core.video.source import FrameSource

if TYPE_CHECKING:  # torch is loaded only where the eyes look
    from closeint_core.perception.pair_look import PairLook

MASK_SIDE = 64


@dataclass
class Scan:
    """First pass: all skeletons of all frames.

    Attributes:
        keypoints: f4 (T, S, 17, 3) pixels, score.
        scores: f4 (T, S).
        appearance: f4 (T, S, D).
        peaks: f4 (T, 17, M, 3).
        camera: what the camera did.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    appearance: np.ndarray
    peaks: np.ndarray
    camera: CameraMotion


@dataclass
class Closeup:
    """Second pass: the chosen people.

    Attributes:
        peaks: f4 (T, 17, M, 3) peaks of the region round the people, pixels of the image.
        image: f4 (P, T, 33, 2) BlazePose landmarks, pixels; NaN where not looked for.
        spread: f4 (P, T, 33) distance in pixels between the landmarks of the crop and of its mirror image.
        visibility, presence: f4 (P, T, 33).
        world: f4 (P, T, 33, 3) metres, image axes.
        score: f4 (P, T) whether there is a person.
        mask: u1 (P, T, 64, 64) person mask of the crop, 255 is certain.
        crop: f4 (P, T, 4) centre x, y, side, angle of the crop.
    """

    peaks: np.ndarray
    image: np.ndarray
    spread: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    world: np.ndarray
    score: np.ndarray
    mask: np.ndarray
    crop: np.ndarray


def scan(source: FrameSource, network: MoveNet, progress: Progress) -> Scan:
    """Find everybody in every frame.

    Raises:
        CloseintError: the source gave no frame.
    """
    keypoints, scores, appearance, peaks = [], [], [], []
    watch = CameraWatch(source.fps, source.frame_start)
    for done, (_, rgb) in enumerate(source, 1):
        found = network(rgb)
        small, scale = fit_into(rgb, network.longest_side)
        reduced = found.keypoints.copy()
        reduced[..., :2] *= scale
        keypoints.append(found.keypoints)
        scores.append(found.scores)
        appearance.append(describe(small, reduced))
        width, height = np.round(scale * rgb.shape[1::-1]).astype(int)  # without the margin that fills it up
        watch.add(small[:height, :width], reduced)
        peaks.append(found.peaks)
        progress.update("finding people", done, source.frame_count)
    if not keypoints:
        raise CloseintError(f"{source.path} has no frames.", "Give a video with at least one frame.")
    return Scan(np.stack(keypoints), np.stack(scores), np.stack(appearance), np.stack(peaks), watch.result())


@dataclass(frozen=True)
class Expected:
    """Where to look closer.

    Attributes:
        keypoints: (P, T, 17, 2) where the people's joints are expected, pixels.
        scale: (P, T) body sizes, pixels.
        present: (P, T) whether to look for the person at all.
    """

    keypoints: np.ndarray
    scale: np.ndarray
    present: np.ndarray


def look_closer(
    source: FrameSource,
    movenet: MoveNet,
    blazepose: BlazePose,
    expected: Expected,
    progress: Progress,
    *,
    eyes: PairLook | None = None,
) -> Closeup:
    """Look at the region of the people, and at each person's crop and its mirror image, in every frame.

    Args:
        eyes: is shown every frame as well.
    """
    people, frames = expected.present.shape
    result = _nothing_seen(people, frames, movenet.max_peaks)
    for t, (_, rgb) in enumerate(source):
        if t >= frames:
            break
        if eyes is not None:
            eyes.add(t, rgb)
        here = np.flatnonzero(expected.present[:, t])
        if here.size:
            box = region(expected.keypoints[here, t], expected.scale[here, t])
            result.peaks[t] = movenet.look_closer(rgb, box)
        for person in here:
            crop = crop_of(expected.keypoints[person, t], float(expected.scale[person, t]))
            seen, other = blazepose(rgb, crop), blazepose(rgb, crop, mirrored=True)
            result.spread[person, t] = np.linalg.norm(seen.image - other.image, axis=-1)
            seen = _mean(seen, other)
            result.image[person, t] = seen.image
            result.visibility[person, t] = seen.visibility
            result.presence[person, t] = seen.presence
            result.world[person, t] = seen.world
            result.score[person, t] = seen.score
            result.mask[person, t] = np.round(255 * seen.mask)
            result.crop[person, t] = (*crop.centre, crop.size, crop.angle)
        progress.update("following the pair" if people == 2 else "following the person", t + 1, frames)
    return result


def _nothing_seen(people: int, frames: int, max_peaks: int) -> Closeup:
    return Closeup(
        peaks=np.full((frames, JOINTS, max_peaks, 3), np.nan, np.float32),
        image=np.full((people, frames, LANDMARKS, 2), np.nan, np.float32),
        spread=np.zeros((people, frames, LANDMARKS), np.float32),
        visibility=np.zeros((people, frames, LANDMARKS), np.float32),
        presence=np.zeros((people, frames, LANDMARKS), np.float32),
        world=np.full((people, frames, LANDMARKS, 3), np.nan, np.float32),
        score=np.zeros((people, frames), np.float32),
        mask=np.zeros((people, frames, MASK_SIDE, MASK_SIDE), np.uint8),
        crop=np.full((people, frames, 4), np.nan, np.float32),
    )


def region(keypoints: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """xyxy of the part of the image with all these people, (P, 17, 2), sizes (P,)."""
    border = PERCEPTION.now.closeup.region_margin * np.nan_to_num(scale, nan=0.0)[:, None]
    low = (np.nanmin(keypoints, axis=1) - border).min(axis=0)
    high = (np.nanmax(keypoints, axis=1) + border).max(axis=0)
    return np.concatenate([low, high])


def crop_of(keypoints: np.ndarray, scale: float) -> Crop:
    """BlazePose's crop for COCO keypoints (17, 2): centre between the hips, up along the trunk."""
    tuned = PERCEPTION.now.closeup
    hips = keypoints[[K["left_hip"], K["right_hip"]]]
    shoulders = keypoints[[K["left_shoulder"], K["right_shoulder"]]]
    hip = hips.mean(axis=0) if np.isfinite(hips).all() else np.nanmean(keypoints, axis=0)
    up = shoulders.mean(axis=0) - hip
    has_trunk = np.isfinite(up).all() and np.linalg.norm(up) > tuned.least_trunk * scale
    angle = float(np.arctan2(up[0], -up[1])) if has_trunk else 0.0
    reach = np.nanmax(np.linalg.norm(keypoints - hip, axis=-1))
    # somebody bent double still needs room for what the keypoints do not show
    size = 2.0 * tuned.crop_margin * max(float(reach), tuned.least_reach * scale)
    return Crop((float(hip[0]), float(hip[1])), size, angle)


def merge_peaks(close: np.ndarray, first: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Add the peaks of the first look that the closer look does not have; each sees hidden joints the other misses.

    Args:
        close, first: (T, 17, M, 3) x, y, score; NaN padded. The place of a peak that both have is that of ``close``.
        scale: (P, T) body sizes: peaks closer than a small part of the smaller one are the same.

    Returns:
        f4 (T, 17, M, 3), the M strongest, strongest first.
    """
    reach = PERCEPTION.now.seen.same_place * np.nanmin(scale, axis=0)[:, None, None, None]
    apart = np.linalg.norm(first[:, :, :, None, :2] - close[:, :, None, :, :2], axis=-1)
    # comparisons with NaN are false: padding is near nothing, and what is near nothing is new
    new = ~(apart < reach).any(axis=-1) & np.isfinite(close[..., 0]).any(axis=(1, 2))[:, None, None]
    extra = np.where(new[..., None], first, np.nan)
    extra[..., 2] *= PERCEPTION.now.closeup.first_look
    both = np.concatenate([close, extra], axis=2)
    order = np.argsort(-np.nan_to_num(both[..., 2], nan=-1.0), axis=2, kind="stable")[:, :, : close.shape[2]]
    return np.take_along_axis(both, order[..., None], axis=2).astype(np.float32)


def sample_masks(closeup: Closeup, points: np.ndarray) -> np.ndarray:
    """How likely each person's mask covers given points of the image.

    Args:
        points: (T, N, 2) pixels.

    Returns:
        f4 (P, T, N), 0..1; 0 outside of the crop, NaN where the person was not looked for.
    """
    centre, size, angle = closeup.crop[..., :2], closeup.crop[..., 2], closeup.crop[..., 3]
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    offset = points[None] - centre[:, :, None]
    x = (offset[..., 0] * cos + offset[..., 1] * sin) / size[..., None] + 0.5
    y = (-offset[..., 0] * sin + offset[..., 1] * cos) / size[..., None] + 0.5
    known = np.isfinite(x)
    column = np.where(known, np.floor(x * MASK_SIDE), -1).astype(int)
    row = np.where(known, np.floor(y * MASK_SIDE), -1).astype(int)
    inside = (column >= 0) & (column < MASK_SIDE) & (row >= 0) & (row < MASK_SIDE)
    people, frames = size.shape
    p, t = np.arange(people)[:, None, None], np.arange(frames)[None, :, None]
    value = closeup.mask[p, t, row.clip(0, MASK_SIDE - 1), column.clip(0, MASK_SIDE - 1)] / np.float32(255)
    return np.where(inside, value, np.where(np.isfinite(size)[..., None], 0.0, np.nan)).astype(np.float32)


def _mean(a: Landmarks, b: Landmarks) -> Landmarks:
    return Landmarks(
        image=0.5 * (a.image + b.image),
        visibility=0.5 * (a.visibility + b.visibility),
        presence=0.5 * (a.presence + b.presence),
        world=0.5 * (a.world + b.world),
        score=min(a.score, b.score),
        mask=0.5 * (a.mask + b.mask),
        roi=a.roi,
    )
