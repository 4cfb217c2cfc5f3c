# SPDX-License-Identifier: Apache-2.0
"""Long clips are solved in windows that overlap, and mixed where they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import roma
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


def window_starts(frames: int, length: int, stride: int | None = None) -> list[int]:
    """First frames of windows of ``length`` that cover ``frames``; the last ends with the last frame.

    Args:
        stride: at most ``length``; by default half of it, so that each frame is in two windows. A clip shorter than
            ``length`` is one window.
    """
    stride = max(1, stride or length // 2)
    last = max(0, frames - length)
    return sorted({*range(0, last, stride), last})


def window_weights(starts: Sequence[int], length: int, frames: int) -> Tensor:
    """(W, length) how much each window counts in each of its frames; the weights of a frame sum to 1.

    Towards a neighbour a weight falls as 6 t^5 - 15 t^4 + 10 t^3, whose slope and curvature vanish at both ends: what
    the windows disagree in adds no acceleration where a window begins or ends.
    """
    weights = torch.ones(len(starts), length, dtype=torch.float64)
    position = torch.arange(length, dtype=torch.float64)
    for window in range(len(starts) - 1):
        overlap = starts[window] + length - starts[window + 1]
        if overlap <= 0:
            continue
        t = (position[:overlap] + 0.5) / overlap
        ramp = t**3 * (t * (6 * t - 15) + 10)
        weights[window + 1, :overlap] *= ramp
        weights[window, length - overlap :] *= 1 - ramp
    total = torch.zeros(frames, dtype=torch.float64)
    for start, row in zip(starts, weights, strict=True):
        total[start : start + length] += row
    for start, row in zip(starts, weights, strict=True):
        row /= total[start : start + length]
    return weights.to(torch.float32)


def blend(windows: Tensor, starts: Sequence[int], weights: Tensor, frames: int) -> Tensor:
    """Weighted mean (frames, ...) of windows (W, length, ...)."""
    result = windows.new_zeros(frames, *windows.shape[2:])
    for values, start, row in zip(windows, starts, weights, strict=True):
        result[start : start + len(values)] += row.reshape(-1, *[1] * (values.ndim - 1)).to(values) * values
    return result


def blend_rotations(windows: Tensor, starts: Sequence[int], weights: Tensor, frames: int) -> Tensor:
    """Weighted mean (frames, ..., 3, 3) of rotations (W, length, ..., 3, 3).

    The mean is the rotation nearest to all of them by the chordal distance (Hartley et al., "Rotation Averaging",
    2013); between two windows it moves along the shortest way from one to the other.
    """
    result: Tensor = roma.special_procrustes(blend(windows, starts, weights, frames))
    return result


def gather(values: Tensor, starts: Sequence[int], length: int) -> Tensor:
    """Windows (W, length, ...) of values (frames, ...)."""
    index = torch.as_tensor(np.asarray(starts))[:, None] + torch.arange(length)
    return values[index]
