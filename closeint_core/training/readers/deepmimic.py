# SPDX-License-Identifier: Apache-2.0
"""DeepMimic's single-person motion clips (``humanoid3d_*.txt``, JSON)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import roma
import torch

from closeint_core.errors import CloseintError
from closeint_core.foreign_files import read_json
from closeint_core.training.readers.retarget import Recording

# name, parent, rest offset in metres (x ahead, y up, z right), column of the rotation in a frame, numbers it takes:
# four are a quaternion w, x, y, z, one is an angle about z. Columns 0..7 are duration, root position and rotation.
_JOINTS: tuple[tuple[str, str, tuple[float, float, float], int, int], ...] = (
    ("root", "", (0.0, 0.0, 0.0), 4, 4),
    ("chest", "root", (0.0, 0.236151, 0.0), 8, 4),
    ("neck", "chest", (0.0, 0.223894, 0.0), 12, 4),
    ("right_hip", "root", (0.0, 0.0, 0.084887), 16, 4),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0), 20, 1),
    ("right_ankle", "right_knee", (0.0, -0.40987, 0.0), 21, 4),
    ("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311), 25, 4),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), 29, 1),
    ("left_hip", "root", (0.0, 0.0, -0.084887), 30, 4),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0), 34, 1),
    ("left_ankle", "left_knee", (0.0, -0.40987, 0.0), 35, 4),
    ("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311), 39, 4),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), 43, 1),
)
_ENDS: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("head", "neck", (0.0, 0.12, 0.0)),
    ("right_wrist", "right_elbow", (0.0, -0.258947, 0.0)),
    ("left_wrist", "left_elbow", (0.0, -0.258947, 0.0)),
    ("right_toe", "right_ankle", (0.13, -0.045, 0.0)),
    ("left_toe", "left_ankle", (0.13, -0.045, 0.0)),
)
_NUMBERS = 44
_LONGEST = 3600.0  # seconds of a clip; the published ones last up to four
_FARTHEST = 1e4  # metres; also above any number of a quaternion or angle


def read_deepmimic(path: Path, fps: float = 30.0) -> tuple[Recording, bool]:
    """Joint positions at an even rate, metres, x ahead, y up, and whether the end goes on as the beginning.

    Raises:
        CloseintError: the file is not such a clip.
    """
    content = read_json(path, "a DeepMimic motion clip")
    try:
        rows = np.array(content["Frames"])
        loop = content.get("Loop") == "wrap"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise CloseintError(
            f"{path.name} is not a DeepMimic motion clip: {error}.", "Remove it or name others."
        ) from error
    rows = rows.astype(np.float64) if rows.dtype.kind in "biuf" else np.zeros(0)
    if rows.ndim != 2 or rows.shape[1] != _NUMBERS or len(rows) < 2 or not np.isfinite(rows).all():
        raise CloseintError(
            f"{path.name} is not a DeepMimic motion clip: its frames should have {_NUMBERS} finite numbers each.",
            "Remove it or name others.",
        )
    rows = rows[np.abs(rows[:, 4:8]).sum(1) > 0]
    seconds = rows[:-1, 0]
    if len(rows) < 2 or (seconds < 0).any() or not 0 < seconds.sum() <= _LONGEST or np.abs(rows).max() > _FARTHEST:
        raise CloseintError(
            f"{path.name} is not a DeepMimic motion clip: its frames do not last from 0 to {_LONGEST:.0f} seconds.",
            "Remove it or name others.",
        )
    turned: dict[str, torch.Tensor] = {}
    placed: dict[str, torch.Tensor] = {}
    for name, parent, offset, column, size in _JOINTS:
        numbers = torch.tensor(rows[:, column : column + size])
        if size == 4:
            local = roma.unitquat_to_rotmat(torch.nn.functional.normalize(numbers[:, [1, 2, 3, 0]], dim=-1))
        else:
            local = roma.rotvec_to_rotmat(torch.cat((torch.zeros(len(rows), 2, dtype=numbers.dtype), numbers), 1))
        if not parent:
            turned[name], placed[name] = local, torch.tensor(rows[:, 1:4])
            continue
        turned[name] = turned[parent] @ local
        placed[name] = placed[parent] + turned[parent] @ torch.tensor(offset, dtype=local.dtype)
    for name, parent, offset in _ENDS:
        placed[name] = placed[parent] + turned[parent] @ torch.tensor(offset, dtype=torch.float64)
    positions = torch.stack(list(placed.values()), 1).numpy()  # (F, K, 3)
    at = np.concatenate(([0.0], np.cumsum(rows[:-1, 0])))
    # From the first frame to the last, which a loop shares with its next round: the rate is as near as that allows.
    times = np.linspace(0, at[-1], max(1, round(at[-1] * fps)) + 1)
    flat = positions.reshape(len(rows), -1)
    even = np.stack([np.interp(times, at, column) for column in flat.T], 1).reshape(len(times), -1, 3)
    return Recording(tuple(placed), even, fps), loop
