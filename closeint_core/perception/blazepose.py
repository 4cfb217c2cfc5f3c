# SPDX-License-Identifier: Apache-2.0
"""BlazePose: 33 landmarks in the image and in metres, and a mask, of the person in a rotated square crop."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from closeint_core.perception.calibration import PERCEPTION
from closeint_core.perception.runtime import open_session

SIZE = 256
LANDMARKS = 33
NOSE, LEFT_EAR, RIGHT_EAR = 0, 7, 8

# index of the BlazePose landmark that is Halpe keypoint 0..16 (COCO), big toes (foot index), heels
TO_COCO = np.array([0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
LEFT_HEEL, RIGHT_HEEL, LEFT_TOE, RIGHT_TOE = 29, 30, 31, 32
FLIP = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9] + [i + (1 if i % 2 else -1) for i in range(11, 33)])
"""Index of the mirrored landmark."""


@dataclass(frozen=True)
class Crop:
    """A rotated square in the image.

    Attributes:
        centre: (x, y) pixels.
        size: side, pixels.
        angle: radians; the crop's up direction is the image's up turned by this, clockwise as seen.
    """

    centre: tuple[float, float]
    size: float
    angle: float

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) positions in the crop, 0..1, to image pixels."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        local = (points - 0.5) * self.size
        result: np.ndarray = local @ np.array([[cos, sin], [-sin, cos]]) + np.array(self.centre)
        return result

    def matrix(self, side: int = SIZE) -> np.ndarray:
        """(2, 3) affine map from image to crop, for OpenCV, whose pixel centres are integers."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        scale = side / self.size
        turn = scale * np.array([[cos, sin], [-sin, cos]])
        shift = side / 2 - turn @ (np.array(self.centre) - 0.5) - 0.5
        return np.hstack([turn, shift[:, None]])


@dataclass(frozen=True)
class Landmarks:
    """What BlazePose says about one crop.

    Attributes:
        image: f4 (33, 2), pixels of the whole image.
        visibility: f4 (33,), probability that the landmark is in the crop and not hidden.
        presence: f4 (33,), probability that it is in the crop.
        world: f4 (33, 3), metres, origin between the hips, image axes (x right, y down, z forward).
        score: probability that the crop holds a person.
        mask: f4 (64, 64), probability that a part of the crop is the person.
        roi: the crop that the network proposes for this person.
    """

    image: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    world: np.ndarray
    score: float
    mask: np.ndarray
    roi: Crop


class BlazePose:
    """Runs the landmark network.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        variant: name of the bundled weights.
    """

    def __init__(self, device: str = "auto", *, variant: str = "blazepose_full") -> None:
        self._session = open_session(variant, device)
        self._input = self._session.get_inputs()[0].name
        self._outputs = ["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4"]

    def __call__(self, rgb: np.ndarray, crop: Crop, *, mirrored: bool = False) -> Landmarks:
        """Landmarks of the person in ``crop`` of ``rgb``, uint8 (H, W, 3).

        Args:
            mirrored: show the network the mirror image; the result is mirrored back. The mean of both is
                more accurate than either.
        """
        patch = cut_out(rgb, crop)
        if mirrored:
            patch = patch[:, ::-1]
        flat, score, mask, heat, world = self._session.run(
            self._outputs, {self._input: np.ascontiguousarray(patch[None], np.float32) / 255}
        )
        points = flat.reshape(39, 5).astype(np.float64)
        metric = world.reshape(39, 3).astype(np.float64)[:LANDMARKS]
        refined = refine(points[:, :2] / SIZE, heat[0])
        mask = cv2.resize(mask[0, ..., 0], (64, 64), interpolation=cv2.INTER_AREA)
        auxiliary = points[LANDMARKS : LANDMARKS + 2, :2] / SIZE
        if mirrored:
            refined[:, 0] = 1.0 - refined[:, 0]
            auxiliary[:, 0] = 1.0 - auxiliary[:, 0]
            metric[:, 0] *= -1.0
            order = FLIP
            mask = mask[:, ::-1]
        else:
            order = np.arange(LANDMARKS)
        cos, sin = np.cos(crop.angle), np.sin(crop.angle)
        turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        centre, edge = crop.to_image(auxiliary)
        direction = edge - centre
        return Landmarks(
            image=crop.to_image(refined[:LANDMARKS])[order].astype(np.float32),
            visibility=_sigmoid(points[:LANDMARKS, 3])[order].astype(np.float32),
            presence=_sigmoid(points[:LANDMARKS, 4])[order].astype(np.float32),
            world=(metric[order] @ turn).astype(np.float32),
            score=float(score[0, 0]),
            mask=_sigmoid(mask).astype(np.float32),
            roi=Crop(
                (float(centre[0]), float(centre[1])),
                PERCEPTION.now.closeup.next_crop * float(np.hypot(*direction)),
                float(np.arctan2(direction[0], -direction[1])),
            ),
        )


def cut_out(rgb: np.ndarray, crop: Crop) -> np.ndarray:
    """The crop as uint8 (256, 256, 3); black outside of the image.

    A crop larger than the network's input is averaged down, not sampled: point samples of a large person
    alias.
    """
    shrink = crop.size / SIZE
    factor = int(np.clip(np.floor(shrink), 1, 4))
    side = SIZE * factor
    patch = cv2.warpAffine(rgb, crop.matrix(side), (side, side), flags=cv2.INTER_LINEAR)
    return patch if factor == 1 else cv2.resize(patch, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def refine(points: np.ndarray, heatmap: np.ndarray, window: int = 7) -> np.ndarray:
    """Move the regressed landmarks to the centre of mass of their heatmaps near them.

    Args:
        points: (39, 2), 0..1 in the crop.
        heatmap: (64, 64, 39), logits.

    Returns:
        (39, 2); landmarks whose heatmap is low around them stay.
    """
    side = heatmap.shape[0]
    half = window // 2
    cell = np.floor(points * side).astype(int)
    span = np.arange(-half, half + 1)
    x = cell[:, 0, None, None] + span[None, None, :]
    y = cell[:, 1, None, None] + span[None, :, None]
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    weight = _sigmoid(heatmap[y.clip(0, side - 1), x.clip(0, side - 1), np.arange(len(points))[:, None, None]]) * inside
    total = weight.sum(axis=(1, 2))
    strong = (weight.max(axis=(1, 2)) >= PERCEPTION.now.seen.heatmap) & (total > 0)
    mean_x = (weight * (x + 0.0)).sum(axis=(1, 2)) / np.maximum(total, 1e-9) / side
    mean_y = (weight * (y + 0.0)).sum(axis=(1, 2)) / np.maximum(total, 1e-9) / side
    return np.where(strong[:, None], np.stack([mean_x, mean_y], axis=-1), points)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))
    return result
