# SPDX-License-Identifier: Apache-2.0
"""MoveNet MultiPose: skeletons of up to six people, and the heatmap peaks behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from closeint_core.halpe import HALPE_FLIP
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.runtime import open_session

JOINTS = 17
STRIDE = 4
COCO_FLIP = HALPE_FLIP[:JOINTS]
_OUTPUTS = ("Identity:0", "keypoint_heatmap", "keypoint_offset", "keypoint_regression", "center_heatmap")


@dataclass(frozen=True)
class Detections:
    """What the network saw in one image; pixels of that image, pixel centres at +0.5.

    Attributes:
        keypoints: f4 (6, 17, 3), x, y, score, COCO order; slots are in no lasting order.
        boxes: f4 (6, 4), xyxy.
        scores: f4 (6,), low for an empty slot.
        peaks: f4 (17, M, 3), x, y, score of the strongest local maxima of each joint's heatmap, whoever
            they belong to, strongest first; NaN padded.
    """

    keypoints: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    peaks: np.ndarray


class MoveNet:
    """Runs the network on whole images.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        longest_side: the image is scaled to this; 512 sees hidden joints that 384 does not.
        max_peaks: M, peaks kept of each joint.
    """

    def __init__(self, device: str = "auto", *, longest_side: int = 512, max_peaks: int = 8) -> None:
        self._session = open_session("movenet_multipose", device)
        self._input = self._session.get_inputs()[0].name
        self.longest_side = longest_side
        self.max_peaks = max_peaks

    def __call__(self, rgb: np.ndarray) -> Detections:
        """``rgb``: uint8 (H, W, 3)."""
        image, scale = fit_into(rgb, self.longest_side)
        outputs = self.raw(image)
        height, width = image.shape[:2]
        people = outputs["Identity:0"][0]
        keypoints = people[:, :51].reshape(-1, JOINTS, 3)[..., [1, 0, 2]] * np.array([width, height, 1.0])
        boxes = people[:, [52, 51, 54, 53]] * np.array([width, height, width, height])
        keypoints[..., :2] /= scale
        peaks = find_peaks(_sigmoid(outputs["keypoint_heatmap"][0]), outputs["keypoint_offset"][0], self.max_peaks)
        peaks[..., :2] /= scale
        return Detections(
            keypoints=keypoints.astype(np.float32),
            boxes=(boxes / np.tile(scale, 2)).astype(np.float32),
            scores=people[:, 55].astype(np.float32),
            peaks=peaks.astype(np.float32),
        )

    def look_closer(self, rgb: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Peaks of a part of the image at the network's full resolution, from it and its mirror image.

        The mean of both heatmaps finds joints at contact that a single look misses.

        Args:
            rgb: uint8 (H, W, 3).
            box: xyxy, pixels; what lies outside of the image is cut off.

        Returns:
            f4 (17, M, 3) as in ``Detections.peaks``, in pixels of ``rgb``.
        """
        height, width = rgb.shape[:2]
        x0, y0 = np.floor(np.clip(box[:2], 0, [width - 2, height - 2])).astype(int)
        x1, y1 = np.ceil(np.clip(box[2:], [x0 + 2, y0 + 2], [width, height])).astype(int)
        part = rgb[y0:y1, x0:x1]
        # up to twice the size: enlarging further adds no detail. Whole cells, so that mirroring maps cell to cell
        factor = min(self.longest_side / max(part.shape[:2]), 2.0)
        size = tuple(max(64, 32 * round(side * factor / 32)) for side in (x1 - x0, y1 - y0))
        image = cv2.resize(part, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        straight, mirror = self.raw(image), self.raw(np.ascontiguousarray(image[:, ::-1]))
        heat = _sigmoid(straight["keypoint_heatmap"][0])
        heat_back = _sigmoid(mirror["keypoint_heatmap"][0])[COCO_FLIP, :, ::-1]
        offset = straight["keypoint_offset"][0].reshape(JOINTS, 2, *heat.shape[1:])
        back = mirror["keypoint_offset"][0].reshape(JOINTS, 2, *heat.shape[1:])[COCO_FLIP, :, :, ::-1].copy()
        # a position x + dx in w cells is w - x - dx in the mirror: cell w - 1 - x, offset 1 - dx
        back[:, 1] = 1.0 - back[:, 1]
        # each look has its say about the place by how much it saw there
        share = (heat / np.maximum(heat + heat_back, 1e-9))[:, None]
        mixed = (share * offset + (1 - share) * back).reshape(2 * JOINTS, *heat.shape[1:])
        peaks = find_peaks(0.5 * (heat + heat_back), mixed, self.max_peaks)
        peaks[..., :2] = peaks[..., :2] * np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]]) + np.array([x0, y0])
        return peaks.astype(np.float32)

    def raw(self, image: np.ndarray) -> dict[str, Any]:
        """The network's outputs for an image whose sides are multiples of 32."""
        values = self._session.run(list(_OUTPUTS), {self._input: image[None].astype(np.int32)})
        return dict(zip(_OUTPUTS, values, strict=True))


def fit_into(rgb: np.ndarray, longest_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale the longest side to ``longest_side``, pad below and right to multiples of 32.

    Returns:
        The image, and f8 (2,) the x and y scale; both are the same up to rounding to whole pixels.
    """
    height, width = rgb.shape[:2]
    factor = longest_side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    shrinks = factor < 1.0
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    padded = cv2.copyMakeBorder(small, 0, -size[1] % 32, 0, -size[0] % 32, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return padded, np.array([size[0] / width, size[1] / height])


def find_peaks(heatmap: np.ndarray, offset: np.ndarray, count: int) -> np.ndarray:
    """The strongest local maxima of each joint's heatmap, with sub-cell positions.

    Args:
        heatmap: f4 (17, h, w), probabilities.
        offset: f4 (34, h, w); channels 2 j and 2 j + 1 are y and x of joint j, in cells.
        count: M.

    Returns:
        f8 (17, M, 3): x, y in pixels of the network's input, score; strongest first, NaN padded. Of two maxima whose
        offsets lead to nearly the same place the stronger stays.
    """
    seen = PERCEPTION.now.seen
    joints, height, width = heatmap.shape
    kernel = np.ones((3, 3), np.uint8)
    layers = np.ascontiguousarray(heatmap.astype(np.float32).transpose(1, 2, 0))
    highest = cv2.dilate(layers, kernel).reshape(height, width, joints)
    ranked = np.where((layers == highest) & (layers >= seen.peak), layers, 0.0).transpose(2, 0, 1).reshape(joints, -1)
    looked_at = min(2 * count, ranked.shape[1])
    order = np.argpartition(-ranked, looked_at - 1, axis=1)[:, :looked_at]
    order = np.take_along_axis(order, np.argsort(-np.take_along_axis(ranked, order, axis=1), axis=1), axis=1)
    score = np.take_along_axis(ranked, order, axis=1)
    y, x = np.divmod(order, width)
    joint = np.arange(joints)[:, None]
    place = np.stack([x + offset[2 * joint + 1, y, x], y + offset[2 * joint, y, x]], axis=-1)
    near = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1) < seen.peaks_apart
    for k in range(1, looked_at):
        score[:, k] = np.where((near[:, k, :k] & (score[:, :k] > 0)).any(axis=1), 0.0, score[:, k])
    rank = np.argsort(-score, axis=1, kind="stable")[:, :count]
    peaks = np.full((joints, count, 3), np.nan)
    found = np.concatenate([place * STRIDE, score[..., None]], axis=-1)
    found = np.take_along_axis(found, rank[..., None], axis=1)
    peaks[:, : found.shape[1]] = np.where(found[..., 2:] > 0, found, np.nan)
    return peaks


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1.0 / (1.0 + np.exp(-logits))
    return result
