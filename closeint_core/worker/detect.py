# SPDX-License-Identifier: Apache-2.0
"""The people in one frame of a video, with a picture that numbers them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.movenet import Detections, MoveNet
from closeint_core.perception.tracking import body_size, keep_distinct
from closeint_core.progress import Progress
from closeint_core.provenance import put_mark
from closeint_core.video.source import FrameSource, open_source

COLOURS = ((255, 159, 28), (46, 196, 255), (120, 220, 90), (240, 90, 160), (250, 230, 70), (170, 120, 255))
"""RGB of the outlines, by number."""

_TRIED = 5
_THUMBNAIL = 640
"""Longest side of the picture, pixels."""


def detect_people(
    path: Path, picture: Path, frame: int | None, device: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Find the people of a frame and write a PNG in which each has an outline and a number.

    Args:
        path: video or folder of images.
        picture: the PNG to write.
        frame: index in the source; None looks at a few and takes one in which the most people are seen.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: may cancel.

    Returns:
        See ``server.detect``.

    Raises:
        CloseintError: the source or the frame cannot be read, or nobody is seen.
    """
    progress = progress or Progress()
    progress.update("opening the video", 0, 1)
    source = open_source(path)
    total = len(source)
    if frame is not None:
        frames = [int(frame)]
    else:
        frames = sorted({round(part * (total - 1)) for part in np.linspace(0.1, 0.9, _TRIED)})
    network = MoveNet(device)
    best: tuple[float, int, np.ndarray, np.ndarray] | None = None
    for done, index in enumerate(frames):
        progress.update("finding people", done, len(frames))
        rgb = read_frame(source, index)
        keypoints = _people(network(rgb))
        # as many as possible, and well seen
        score = float(len(keypoints)) + (float(keypoints[..., 2].mean()) if len(keypoints) else 0.0)
        if best is None or score > best[0]:
            best = score, index, rgb, keypoints
    assert best is not None
    _, index, rgb, keypoints = best
    if not len(keypoints):
        raise CloseintError(
            f"Nobody was found in frame {index + 1} of {path.name}.", "Choose another frame, where both are seen."
        )
    boxes = _boxes(keypoints, rgb.shape)
    _write_picture(picture, rgb, boxes)
    progress.update("finding people", len(frames), len(frames))
    return {
        "path": str(picture),
        "frame": index,
        "frame_count": total,
        "image_size": [int(rgb.shape[1]), int(rgb.shape[0])],
        "people": [
            {"box": [round(float(edge), 1) for edge in box], "score": round(float(points[:, 2].mean()), 3)}
            for box, points in zip(boxes, keypoints, strict=True)
        ],
        "suggested": _pair(keypoints, boxes),
    }


def read_frame(source: FrameSource, index: int) -> np.ndarray:
    """One frame, uint8 (H, W, 3), by its index in the source.

    Raises:
        CloseintError: there is no such frame.
    """
    single = open_source(source.path, (index, index + 1))
    for _, rgb in single:
        return rgb
    raise CloseintError(f"Frame {index + 1} of {source.path.name} cannot be read.", "Choose another frame.")


def _people(seen: Detections) -> np.ndarray:
    """(N, 17, 3) the skeletons that are people, from left to right."""
    found = seen.keypoints[keep_distinct(seen.keypoints, seen.scores)]
    result: np.ndarray = (
        found[np.argsort([np.average(p[:, 0], weights=p[:, 2] + 1e-6) for p in found])] if len(found) else found
    )
    return result


def _boxes(keypoints: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N, 4) xyxy round what was seen of each, inside of the image."""
    seen = keypoints[..., 2:] > PERCEPTION.now.seen.joint
    low = np.where(seen, keypoints[..., :2], np.inf).min(axis=1)
    high = np.where(seen, keypoints[..., :2], -np.inf).max(axis=1)
    edge = np.array([shape[1], shape[0]])
    return np.concatenate([low.clip(0, edge), high.clip(0, edge)], axis=1)


def _pair(keypoints: np.ndarray, boxes: np.ndarray) -> list[int]:
    """Numbers of the two that are large and near each other."""
    if len(keypoints) < 2:
        return [0]
    size = body_size(keypoints)
    centre = 0.5 * (boxes[:, :2] + boxes[:, 2:])

    def score(pair: tuple[int, int]) -> float:
        a, b = pair
        apart = float(np.linalg.norm(centre[a] - centre[b]))
        return float(min(size[a], size[b])) / (1.0 + apart / float(max(size[a], size[b])))

    pairs: list[tuple[int, int]] = list(itertools.combinations(range(len(keypoints)), 2))
    a, b = max(pairs, key=score)
    return [a, b]


def _write_picture(path: Path, rgb: np.ndarray, boxes: np.ndarray) -> None:
    scale = min(1.0, _THUMBNAIL / max(rgb.shape[:2]))
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    canvas = np.ascontiguousarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    margin = 0.06 * np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    framed = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1) * scale
    for number, box in enumerate(framed):
        colour = COLOURS[number % len(COLOURS)]
        left, top, right, bottom = (round(float(edge)) for edge in box)
        left, top = max(left, 1), max(top, 1)
        right, bottom = min(right, size[0] - 2), min(bottom, size[1] - 2)
        cv2.rectangle(canvas, (left, top), (right, bottom), (0, 0, 0), 5, cv2.LINE_AA)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 3, cv2.LINE_AA)
        label = str(number + 1)
        (width, height), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 1.4, 3)
        cv2.rectangle(canvas, (left, top), (left + width + 16, top + height + 16), colour, -1)
        cv2.putText(
            canvas, label, (left + 8, top + height + 8), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 0), 3, cv2.LINE_AA
        )
    done, data = cv2.imencode(".png", canvas[..., ::-1])
    if not done:
        raise CloseintError(f"The picture {path} cannot be made.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
        put_mark(temporary, "picture")
