# SPDX-License-Identifier: Apache-2.0
"""Long clips are solved in windows that overlap, and mixed where they do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from closeint_core.clip import InteractionClip

LONGEST = 300  # frames solved at once
OVERLAP = 30


def window_spans(frames: int, longest: int = LONGEST, overlap: int = OVERLAP) -> list[tuple[int, int]]:
    """Windows (start, stop) of equal length that cover ``frames`` and overlap by at least ``overlap``."""
    if frames <= longest:
        return [(0, frames)]
    count = -(-(frames - overlap) // (longest - overlap))
    starts = np.linspace(0, frames - longest, count).round().astype(int)
    return [(int(start), int(start) + longest) for start in starts]


def frames_of(clip: InteractionClip, part: slice | np.ndarray) -> InteractionClip:
    """Some of a clip's frames."""
    moving = len(clip.camera_K) > 1
    return clip.copy(
        poses=clip.poses[:, part],
        transl=clip.transl[:, part],
        keypoints2d=clip.keypoints2d[:, part],
        visible=clip.visible[:, part],
        contacts=clip.contacts[:, part],
        foot_contacts=clip.foot_contacts[:, part],
        camera_K=clip.camera_K[part] if moving else clip.camera_K,
        camera_R=clip.camera_R[part] if moving else clip.camera_R,
        camera_t=clip.camera_t[part] if moving else clip.camera_t,
    )


def blend_in(quats: Tensor, transl: Tensor, new: Tensor, moved: Tensor, start: int, filled: int) -> None:
    """Write a window's motion in place, mixed smoothly with the one before where they overlap.

    Args:
        quats: (P, T, 24, 4), transl: (P, T, 3), the whole clip, known up to frame ``filled``.
        new: (P, t, 24, 4), moved: (P, t, 3), the window from frame ``start``.
    """
    stop = start + new.shape[1]
    shared = max(filled - start, 0)
    if shared:
        mix = (torch.arange(shared) + 1.0) / (shared + 1.0)
        mix = (mix * mix * (3 - 2 * mix))[:, None]
        old = quats[:, start:filled]
        flip = torch.where((old * new[:, :shared]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        mixed = old * (1 - mix[..., None]) + flip * new[:, :shared] * mix[..., None]
        quats[:, start:filled] = torch.nn.functional.normalize(mixed, dim=-1)
        transl[:, start:filled] = transl[:, start:filled] * (1 - mix) + moved[:, :shared] * mix
    quats[:, start + shared : stop] = new[:, shared:]
    transl[:, start + shared : stop] = moved[:, shared:]
