# SPDX-License-Identifier: Apache-2.0
"""Joints found again in the detector's own maps, once the fitted bodies say where to look.

At contact and in a hug the detector sees both people's joints but cannot tell whose they are, so
perception leaves them out or doubts them. The fit knows both bodies: it hands out the peaks anew
and takes those that clearly belong to one person and one joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from closeint_core.perception.assignment import reassign
from closeint_core.solver.calibration import SOLVER


def relocate_doubtful_joints(
    keypoints: Tensor,
    weights: Tensor,
    trust: Tensor,
    peaks: np.ndarray,
    predicted: Tensor,
    metres_per_pixel: Tensor,
) -> tuple[Tensor, Tensor]:
    """Keypoints and weights with doubtful COCO joints replaced by peaks near the fitted bodies.

    Args:
        keypoints: (P, T, 26, 2) pixels. weights: (P, T, 26). trust: (P, T, 1) in whole frames.
        peaks: (T, 17, M, 3) x, y, score, NaN padded.
        predicted: (P, T, 26, 2) pixels of the fitted bodies. metres_per_pixel: (P, T, 1).
    """
    spreads = SOLVER.now.reassociation
    sigma = (spreads.spread / metres_per_pixel).numpy()
    found = reassign(peaks, predicted[:, :, :17].numpy(), sigma)
    # A frame in which everything is doubtful has the bodies in doubt too, and with them who owns a peak.
    score = np.nan_to_num(found.keypoints[..., 2]) * trust.numpy()
    clear = (found.peak >= 0) & ~found.contested & ~found.mirrored
    clear &= (found.margin > spreads.clear) & (found.cost < spreads.near)
    known = weights[:, :, :17].numpy()
    better = torch.as_tensor(clear & (score > known) & (known < spreads.doubtful))
    keypoints, weights = keypoints.clone(), weights.clone()
    place = torch.as_tensor(np.nan_to_num(found.keypoints[..., :2]))
    keypoints[:, :, :17] = torch.where(better[..., None], place, keypoints[:, :, :17])
    # A peak says what it is, not whose: part of its score is what it is worth.
    worth = torch.as_tensor(spreads.worth * score, dtype=weights.dtype)
    weights[:, :, :17] = torch.where(better, torch.maximum(worth, weights[:, :, :17]), weights[:, :, :17])
    return keypoints, weights


def reassign_doubtful_frames(
    keypoints: Tensor,
    weights: Tensor,
    trust: Tensor,
    peaks: np.ndarray,
    predicted: Tensor,
    metres_per_pixel: Tensor,
    spread: float,
) -> tuple[Tensor, Tensor]:
    """Keypoints and weights in which the COCO joints of doubtful frames are dealt out from scratch.

    In a hug the maps hold nearly every joint, but the tracks have lost whose it is, and a wrong arm is as
    confident as a right one. So what was decided there is set aside; the bodies, bridged from the frames before
    and after, claim the peaks.

    Args:
        keypoints, weights, trust, peaks, predicted, metres_per_pixel: as for ``relocate_doubtful_joints``.
        spread: metres by which a fitted joint may be off.
    """
    found = reassign(peaks, predicted[:, :, :17].numpy(), (spread / metres_per_pixel).numpy())
    doubt = (1 - trust).numpy()
    spreads = SOLVER.now.reassociation
    score = np.nan_to_num(found.keypoints[..., 2]) * np.where(found.contested, spreads.contested, 1.0)
    sure = score * (1.0 - spreads.unclear * np.exp(-found.margin))
    score = np.where((found.peak >= 0) & ~found.mirrored, sure, 0.0)
    claimed = torch.as_tensor((doubt > spreads.untrusted) & (score > 0))
    share = torch.as_tensor(doubt, dtype=weights.dtype)
    place = torch.as_tensor(np.nan_to_num(found.keypoints[..., :2]))
    worth = torch.as_tensor(spreads.claim * score, dtype=weights.dtype) * share + weights[:, :, :17] * (1 - share)
    keypoints, weights = keypoints.clone(), weights.clone()
    keypoints[:, :, :17] = torch.where(claimed[..., None], place, keypoints[:, :, :17])
    weights[:, :, :17] = torch.where(claimed, worth, weights[:, :, :17])
    return keypoints, weights
