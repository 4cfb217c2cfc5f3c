# SPDX-License-Identifier: Apache-2.0
"""Pictures to look at: what the network was shown, what it said, and what is true."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from closeint_core.body.parts import JOINT_BONES
from closeint_core.eyes.decoding import WITHIN, decode
from closeint_core.eyes.network import MASKS, STRIDE, PairNetwork
from closeint_core.eyes.prompts import prompt_points, trunk_lengths
from closeint_core.rendering.renderer import RenderedPairs
from closeint_core.training.eyes.pictures import EyesBatch

COLOURS = ((60, 60, 255), (255, 200, 60))
"""BGR of the two people."""
_SIDE = 384  # pixels of each picture


def palette() -> np.ndarray:
    """(61, 3) uint8 BGR of the classes of masks: the second person's darker."""
    colours = np.random.default_rng(3).integers(60, 256, (MASKS, 3)).astype(np.uint8)
    colours[0] = 0
    colours[1 + MASKS // 2 :] //= 2
    return colours


def draw_joints(image: np.ndarray, points: np.ndarray, sure: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Bones, and joints (13, 2; pixels) as discs the larger the surer (13,)."""
    at = points.round().astype(int)
    for a, b in JOINT_BONES:
        cv2.line(image, tuple(map(int, at[a])), tuple(map(int, at[b])), colour, 1, cv2.LINE_AA)
    for place, share in zip(at, sure, strict=True):
        cv2.circle(image, tuple(map(int, place)), 1 + round(4 * float(share)), colour, -1, cv2.LINE_AA)


@torch.no_grad()
def drawn_answers(network: PairNetwork, rendered: RenderedPairs, batch: EyesBatch, count: int) -> list[np.ndarray]:
    """``count`` pictures (H, W, 3) BGR: what was shown with joints found (crosses: the truth), hands, and masks."""
    count = min(count, len(rendered))
    rows = slice(0, 2 * count)
    first = network.look(batch.pictures[rows], batch.prompts[rows])
    trunks = trunk_lengths(*prompt_points(rendered.joints[:count]), 1.0).flatten()
    found, sure = decode(first.heat, WITHIN * trunks / STRIDE)
    scale = _SIDE / rendered.image.shape[-1]
    points = (found * STRIDE * scale).unflatten(0, (-1, 2)).cpu().numpy()
    certain = sure.unflatten(0, (-1, 2)).cpu().numpy()
    truth = (rendered.joints[:count] * scale).cpu().numpy()
    sheets = []
    for number in range(count):
        image = _bgr(batch.pictures[2 * number])
        for person, colour in enumerate(COLOURS):
            draw_joints(image, points[number, person], certain[number, person], colour)
            for place in truth[number, person]:
                cv2.drawMarker(image, tuple(int(v) for v in place), colour, cv2.MARKER_TILTED_CROSS, 8, 1)
        hands = batch.hands[number].flatten(0, 1).unflatten(0, (2, 2)).permute(2, 0, 3, 1, 4).flatten(1, 2).flatten(2)
        masks = [_masks(first.masks[2 * number].argmax(0)), _masks(batch.masks[2 * number])]
        sheets.append(np.hstack([image, _bgr(hands), *masks]))
    return sheets


def _bgr(picture: torch.Tensor) -> np.ndarray:
    array = (picture.float().clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(cv2.resize(array[..., ::-1], (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR))


def _masks(classes: torch.Tensor) -> np.ndarray:
    result: np.ndarray = cv2.resize(palette()[classes.cpu().numpy()], (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    return result
