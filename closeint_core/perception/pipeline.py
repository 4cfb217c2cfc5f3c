# SPDX-License-Identifier: Apache-2.0
"""From a video to observations of the pair."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.blazepose import BlazePose
from closeint_core.perception.calibration import PERCEPTION, PerceptionCalibration
from closeint_core.perception.closeup import Closeup, Expected, Scan, look_closer, merge_peaks, scan
from closeint_core.perception.fusion import fuse, untangle
from closeint_core.perception.motion import body_scale
from closeint_core.perception.movenet import MoveNet
from closeint_core.perception.observations import Observations, PairSeen
from closeint_core.perception.pair import choose_people, fewest_frames, people_at, persistent
from closeint_core.perception.tracking import Track, follow, rejoin
from closeint_core.progress import Progress
from closeint_core.settings import EYES, PeopleAt
from closeint_core.video.source import FrameSource

if TYPE_CHECKING:  # torch is loaded only where the eyes look
    from closeint_core.eyes.look import PairEyes

_ENOUGH = 5  # joints of a body that is seen


def perceive(
    source: FrameSource,
    *,
    people: Literal["auto"] | tuple[int, ...] | PeopleAt = "auto",
    device: str = "auto",
    eyes: bool = EYES,
    progress: Progress | None = None,
    calibration: PerceptionCalibration | None = None,
) -> Observations:
    """Find the pair in a video and observe both people in every frame.

    The video is read twice: once to find and follow everybody, once to look closely at the chosen two. Memory
    grows by a few kilobytes a frame; images are not kept.

    Args:
        source: frames.
        people: ``auto``, one or two numbers of people by first appearance, then from left to right, or one or two
            people pointed at in a frame.
        device: ``auto``, ``cpu`` or ``cuda``.
        eyes: the eyes for pairs look too, where two people are chosen.
        progress: told of progress and warnings; may cancel.
        calibration: other tuned numbers than those in force.

    Raises:
        CloseintError: nobody was found, ``people`` does not exist, or a model is missing (exit code 3).
    """
    with PERCEPTION.using(calibration or PERCEPTION.now):
        return _perceive(source, people, device, eyes, progress or Progress())


def _perceive(
    source: FrameSource,
    people: Literal["auto"] | tuple[int, ...] | PeopleAt,
    device: str,
    eyes: bool,
    progress: Progress,
) -> Observations:
    movenet, pair_eyes = MoveNet(device), _eyes(device) if eyes else None
    seen = scan(source, movenet, progress)
    for message in (*source.warnings, *seen.camera.warnings()):
        progress.warn(message)
    tracks = follow(seen.keypoints, seen.scores, seen.appearance, source.fps)
    tracks = rejoin(persistent(tracks, len(seen.scores), source.fps), seen.keypoints, source.fps)
    if isinstance(people, PeopleAt):
        people = people_at(tracks, seen.keypoints, people, source.frame_start)
    chosen = choose_people(tracks, seen.keypoints, people, progress)
    grouped = tracked_keypoints(seen, [tracks[i] for i in chosen])
    scale = body_scale(grouped, source.fps)
    if not np.isfinite(scale).all():
        raise CloseintError("Nobody was seen well enough to follow.", "Two people should be seen at full length.")
    keypoints, expected, sigma = untangle(seen.peaks, grouped, scale, source.fps)
    present = _present(grouped, source.fps) & np.isfinite(expected[..., 0]).any(axis=-1)
    pair_look = None
    if pair_eyes is not None and len(chosen) == 2:
        from closeint_core.perception.pair_look import PairLook, prompts_of_tracks

        pair_look = PairLook(pair_eyes, prompts_of_tracks(expected, sigma, present), source.fps)
    where = Expected(expected, scale, present)
    closeup = look_closer(source, movenet, BlazePose(device), where, progress, eyes=pair_look)
    closeup.peaks = merge_peaks(closeup.peaks, seen.peaks, scale)
    pair = pair_look.result(keypoints) if pair_look is not None else None
    return only_seen(observe(closeup, keypoints, grouped, scale, source, tuple(chosen), pair), progress)


def _eyes(device: str) -> PairEyes:
    """The eyes for pairs on the device that torch has for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        CloseintError: their weights are missing or altered (exit code 3).
    """
    import torch

    from closeint_core.eyes.look import PairEyes

    return PairEyes.load(device="cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def only_seen(observations: Observations, progress: Progress) -> Observations:
    """The observations without people of whom too little was seen to speak of a body: in fewer frames than a person is
    followed through at least (``pair.fewest_frames``).

    Args:
        progress: warned of those who are left out.

    Raises:
        CloseintError: nobody is left.
    """
    frames = observations.visible.shape[1]
    kept = np.flatnonzero(observations.visible.sum(axis=1) >= fewest_frames(frames, observations.fps))
    if not len(kept):
        raise CloseintError(
            "Nobody was seen well enough to follow.",
            "Two people should be seen at full length, each at least 100 pixels tall.",
        )
    if len(kept) == len(observations.visible):
        return observations
    number = observations.people[1 - int(kept[0])]
    progress.warn(
        f"Person {number} was found but never seen well enough to be reconstructed, so the result has one person. "
        "Use frames in which both are seen at full length."
    )
    parts = ("keypoints2d", "landmarks3d", "landmarks3d_confidence", "visible", "boxes")
    return replace(
        observations,
        pair=None,
        people=tuple(observations.people[i] for i in kept),
        **{name: getattr(observations, name)[kept] for name in parts},
    )


def observe(
    closeup: Closeup,
    keypoints: np.ndarray,
    grouped: np.ndarray,
    scale: np.ndarray,
    source: FrameSource,
    chosen: tuple[int, ...],
    pair: PairSeen | None = None,
) -> Observations:
    """Fuse what was seen of the chosen people; a person counts as visible with a detection or enough joints.

    Args:
        pair: what the eyes for pairs saw: enough joints that they take for likely are a detection too.
    """
    fused = fuse(closeup, keypoints, scale, source.fps, pair=pair)
    body = fused.keypoints[:, :, K["left_shoulder"] : K["right_ankle"] + 1, 2]
    least = PERCEPTION.now.seen
    enough = (np.nan_to_num(body) > least.sure).sum(axis=-1) >= _ENOUGH
    detected = np.isfinite(grouped[..., 0]).any(axis=-1) | (closeup.score > least.crop)
    if pair is not None:
        detected |= (np.nan_to_num(pair.joints[..., 2]) > 0.5).sum(axis=-1) >= _ENOUGH
    visible = enough & detected
    fused.keypoints[~visible] = np.nan
    fused.landmarks[~visible] = np.nan
    fused.landmarks_confidence[~visible] = 0.0
    return Observations(
        keypoints2d=fused.keypoints,
        landmarks3d=fused.landmarks,
        landmarks3d_confidence=fused.landmarks_confidence,
        visible=visible,
        boxes=_boxes(fused.keypoints),
        peaks=closeup.peaks,
        fps=source.fps,
        frame_start=source.frame_start,
        image_size=source.image_size,
        people=chosen,
        pair=pair,
    )


def tracked_keypoints(seen: Scan, tracks: list[Track]) -> np.ndarray:
    """(P, T, 17, 3) of the tracks, NaN where they have no detection."""
    result = np.full((len(tracks), *seen.keypoints.shape[:1], *seen.keypoints.shape[2:]), np.nan)
    for person, track in enumerate(tracks):
        result[person, track.frames] = seen.keypoints[track.frames, track.slots]
    return result


def _present(grouped: np.ndarray, fps: float) -> np.ndarray:
    """(P, T) detected, or missing for no longer than the calibration says, between two detections or at an end."""
    tuned = PERCEPTION.now.pair
    detected = np.isfinite(grouped[..., 0]).any(axis=-1)
    present: np.ndarray = detected.copy()
    for person, row in enumerate(detected):
        seen = np.flatnonzero(row)
        for a, b in itertools.pairwise(seen):
            if b - a <= tuned.longest_gap * fps:
                present[person, a:b] = True
        margin = round(tuned.margin * fps)
        present[person, max(0, seen[0] - margin) : seen[0]] = True
        present[person, seen[-1] : seen[-1] + margin + 1] = True
    return present


def _boxes(keypoints: np.ndarray) -> np.ndarray:
    """f4 (P, T, 4) xyxy round keypoints of some confidence; NaN without."""
    sure = np.nan_to_num(keypoints[..., 2:]) > PERCEPTION.now.seen.box
    low = np.where(sure, keypoints[..., :2], np.inf).min(axis=2)
    high = np.where(sure, keypoints[..., :2], -np.inf).max(axis=2)
    boxes = np.concatenate([low, high], axis=-1)
    return np.where(np.isfinite(boxes), boxes, np.nan).astype(np.float32)
