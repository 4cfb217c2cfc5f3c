# SPDX-License-Identifier: Apache-2.0
"""What was observed of people, as the fit needs it: every pixel and landmark with how much it counts, and which feet
stand still."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from closeint_core.physics import energies
from closeint_core.sequences import fill_gaps
from closeint_core.solver.calibration import SOLVER


@dataclass
class Evidence:
    """What was observed, ready for the fit (P people, T frames).

    Attributes:
        keypoints: (P, T, 26, 2) pixels, 0 where unseen. weights: (P, T, 26), 0 where unseen.
        landmarks: (P, T, 26, 3) metres, camera axes, gaps filled. directions: (P, T, D, 3) limb directions in the
        camera's frame. direction_weights: (P, T, D). visible: (P, T). trust: (P, T, 1) in 0..1, of whole frames.
        peaks: (T, 17, M, 3) the detector's peaks, whoever's. camera: (3, 3) intrinsics. fps: frames per second.
    """

    keypoints: Tensor
    weights: Tensor
    landmarks: Tensor
    directions: Tensor
    direction_weights: Tensor
    visible: Tensor
    trust: Tensor
    peaks: np.ndarray
    camera: Tensor
    fps: float

    def window(self, start: int, stop: int) -> Evidence:
        """The same for frames start to stop."""
        names = ("keypoints", "weights", "landmarks", "directions", "direction_weights", "visible", "trust")
        parts = {name: getattr(self, name)[:, start:stop] for name in names}
        return replace(self, peaks=self.peaks[start:stop], **parts)


def planted_feet(evidence: Evidence, metres_per_pixel: Tensor, heights: Tensor) -> Tensor:
    """(P, T - 1, 6) how surely a foot point stands still from one frame to the next.

    A foot is planted when its pixels hardly move and the body has it near the floor; a raised foot
    held still is not. heights: (P, T, 6) over the floor.
    """
    pixels = evidence.keypoints[:, :, energies.FOOT_POINTS]
    weights = evidence.weights[:, :, energies.FOOT_POINTS]
    if pixels.shape[1] < 2:
        return weights[:, :0]
    # The three points of a foot move together: their mean is steadier than each.
    pair = torch.minimum(weights[:, 1:], weights[:, :-1])
    spreads = SOLVER.now.evidence
    span = max(1, round(evidence.fps / 15))
    index = torch.arange(pixels.shape[1])
    ahead, behind = (index + span).clamp(max=len(index) - 1), (index - span).clamp(min=0)
    speed = (pixels[:, ahead] - pixels[:, behind]) / (ahead - behind)[:, None, None] * evidence.fps
    speed = speed * metres_per_pixel[..., None]
    grouped = weights.reshape(*weights.shape[:2], 2, 3)
    mean = (speed.reshape(*speed.shape[:2], 2, 3, 2) * grouped[..., None]).sum(3) / grouped.sum(3, keepdim=True).clamp(
        min=spreads.least_foot
    )
    still = torch.sigmoid((spreads.foot_still - mean.norm(dim=-1)) / spreads.foot_still_range).repeat_interleave(3, -1)
    above = heights - heights.amin(-1, keepdim=True)
    low = torch.sigmoid((spreads.foot_low - above) / spreads.foot_low_range)
    both = torch.minimum(still[:, 1:], still[:, :-1]) * torch.minimum(low[:, 1:], low[:, :-1])
    return both * pair.clamp(max=1)


def gather_evidence(
    keypoints: Tensor,
    landmarks: Tensor,
    landmark_confidence: Tensor,
    visible: Tensor,
    peaks: np.ndarray,
    camera: Tensor,
    fps: float,
) -> Evidence:
    """Evidence from observations as they come: (P, T, 26, 3) each, NaN where unseen; see ``Evidence``."""
    seen = torch.isfinite(keypoints).all(-1)
    confidence = torch.where(seen, keypoints[..., 2].nan_to_num(0.0).clamp(0, 1), torch.zeros(()))
    spreads = SOLVER.now.evidence
    # In a hug the networks mix two people up and doubt everything: such a frame says little, its neighbours more.
    # The same holds for a single joint.
    mean = confidence.sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp(min=1)
    least = spreads.least_trust
    trust = ((mean - spreads.doubtful_frame) / spreads.doubtful_frame_range).clamp(0.0, 1.0) * (1 - least) + least
    sure = (confidence - spreads.doubtful_joint) / spreads.doubtful_joint_range
    weights = confidence * sure.clamp(spreads.least_joint, 1.0) * trust
    pixels = torch.where(seen[..., None], keypoints[..., :2], torch.zeros(()))
    # The landmarks are used as the network gives them. In theory a crop is seen as if the camera were aimed at it, and
    # its directions should be turned by the viewing ray; measured on calibrated footage that made them worse.
    directions, direction_weights = energies.limb_directions(landmarks, landmark_confidence)
    whole = landmark_confidence.mean(-1, keepdim=True) > spreads.whole_landmarks
    complete = torch.isfinite(landmarks).all(-1) & whole
    filled = torch.stack([fill_gaps(landmarks[:, :, k].nan_to_num(0.0), complete[:, :, k]) for k in range(26)], 2)
    return Evidence(pixels, weights, filled, directions, direction_weights, visible, trust, peaks, camera, fps)
