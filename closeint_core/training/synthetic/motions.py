# SPDX-License-Identifier: Apache-2.0
"""Recorded motion of single people as what one of a pair does: the files stay where they are, plans take their motion.

A clip serves one side of the wall between training and test only (``SIDES``).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.training.readers.deepmimic import read_deepmimic
from closeint_core.training.readers.retarget import retarget
from closeint_core.training.synthetic.curves import smooth
from closeint_core.training.synthetic.legs import BASE
from closeint_core.training.synthetic.spec import Split
from closeint_core.training.synthetic.surface import JOINT

SIDES: dict[str, Split] = {
    "walk": "train", "run": "train", "jump": "train", "punch": "train", "dance_a": "train", "spin": "train",
    "kick": "test", "spinkick": "test", "dance_b": "test",
}  # fmt: skip
"""Clips of people on their feet, and the only side on which each is used."""
FPS = 30.0
_PLANTED = 0.2  # metres a second


@dataclass
class Motions:
    """C clips of at most F frames at ``FPS``, of a person whose legs measure 1; world with Z up, start ahead along +X.

    Attributes:
        names: of the clips. frames: (C,) number of frames. loop: (C,) bool, goes on from the start.
        prior: (C, F, 24, 3). heading: (C, F). pelvis: (C, F, 3), its height above the ankles' lowest. ankles: (C, F,
            2, 3), height above their lowest. foot_yaw, foot_pitch, planted: (C, F, 2).
        error: (C,) metres, mean distance of the joints from the recorded ones.
    """

    names: tuple[str, ...]
    frames: Tensor
    loop: Tensor
    prior: Tensor
    heading: Tensor
    pelvis: Tensor
    ankles: Tensor
    foot_yaw: Tensor
    foot_pitch: Tensor
    planted: Tensor
    error: Tensor


def load_motions(folder: Path, body: TorchBody, wanted: Collection[str]) -> Motions:
    """Those of the ``wanted`` clips that a folder holds.

    Args:
        body: on the CPU.

    Raises:
        CloseintError: the folder holds none of them, or a file is damaged.
    """
    names = [name for name in SIDES if name in wanted]
    paths = {name: folder / f"humanoid3d_{name}.txt" for name in names}
    names = [name for name in names if paths[name].is_file()]
    if not names:
        raise CloseintError(
            f"There are no motion clips in {folder}.", "Its files are called humanoid3d_walk.txt and so on."
        )
    clips = []
    for name in names:
        recording, loop = read_deepmimic(paths[name], FPS)
        made = retarget(recording, body, 1.0, steps=200, limits=100.0, smoothness=50.0)
        parts = _parts(made.poses, made.transl, made.betas, body)
        clips.append((_closed(parts) if loop else parts, loop, made.error))
    longest = max(len(parts["heading"]) for parts, _, _ in clips)

    def padded(name: str) -> Tensor:
        return torch.stack([torch.cat((p[name], p[name][-1:].expand(longest - len(p[name]), *p[name].shape[1:])))
                            for p, _, _ in clips])  # fmt: skip

    return Motions(
        names=tuple(names),
        frames=torch.tensor([len(parts["heading"]) for parts, _, _ in clips]),
        loop=torch.tensor([loop for _, loop, _ in clips]),
        error=torch.tensor([error for _, _, error in clips]),
        **{n: padded(n) for n in ("prior", "heading", "pelvis", "ankles", "foot_yaw", "foot_pitch", "planted")},
    )


def _parts(poses: np.ndarray, transl: np.ndarray, betas: np.ndarray, body: TorchBody) -> dict[str, Tensor]:
    """One clip, see ``Motions``; the recording's axes are x ahead, y up."""
    upright = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    rotations = roma.rotvec_to_rotmat(torch.as_tensor(poses))
    shape = torch.as_tensor(betas)[None]
    with torch.no_grad():
        skeleton = body.skeleton(rotations, shape, torch.as_tensor(transl))
    rest = body.rest_joints(shape)[0]
    leg = rest[0, 1] - 0.5 * (rest[JOINT["left_ankle"], 1] + rest[JOINT["right_ankle"], 1])
    world = upright @ skeleton.rotations
    joints = (upright @ skeleton.joints[..., None])[..., 0] / leg
    forward = world[:, 0, :, 2]
    heading = torch.as_tensor(np.unwrap(np.arctan2(forward[:, 1].numpy(), forward[:, 0].numpy())))
    # Turned so that the clip starts ahead.
    back = roma.rotvec_to_rotmat(torch.stack((*torch.zeros(2), -heading[0])))
    start = heading[0].clone()
    world, joints, heading = back @ world, (back @ joints[..., None])[..., 0], heading - start
    joints = joints - joints[:1, :1] * torch.tensor([1.0, 1.0, 0.0])
    heading = smooth(heading[None, :, None], 2.0)[0, :, 0]
    zero = torch.zeros_like(heading)
    facing = roma.rotvec_to_rotmat(torch.stack((zero, zero, heading), -1)) @ BASE
    prior = torch.as_tensor(poses).clone()
    prior[:, 0] = roma.rotmat_to_rotvec(facing.mT @ world[:, 0])
    ankles = joints[:, [JOINT["left_ankle"], JOINT["right_ankle"]]]
    floor = ankles[..., 2].amin()
    ankles = ankles - torch.tensor([0.0, 0.0, 1.0]) * floor
    pelvis = joints[:, 0] - torch.tensor([0.0, 0.0, 1.0]) * floor
    foot = world[:, [JOINT["left_ankle"], JOINT["right_ankle"]], :, 2]
    yaw = torch.as_tensor(np.unwrap(np.arctan2(foot[..., 1].numpy(), foot[..., 0].numpy()), axis=0))
    # Next to the heading, not a whole turn away.
    yaw = yaw - 2 * math.pi * torch.round((yaw - heading[:, None]) / (2 * math.pi))
    pitch = torch.asin((-foot[..., 2]).clamp(-0.9, 0.9))
    speed = torch.diff(ankles, dim=0, prepend=ankles[:1]).norm(dim=-1) * FPS * leg
    speed[0] = speed[1]
    level = (ankles[..., 2] < 0.06) & (speed < _PLANTED)
    return {
        "prior": prior, "heading": heading, "pelvis": pelvis, "ankles": ankles, "foot_yaw": smooth(yaw[None], 1.5)[0],
        "foot_pitch": smooth(pitch[None], 1.5)[0] * (~level), "planted": level.float(),
    }  # fmt: skip


def _closed(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """A loop whose end goes on as the beginning: what is between them is spread over the clip."""
    share = torch.linspace(0, 1, len(parts["heading"]))
    out = dict(parts)
    for name in ("prior", "heading", "pelvis", "ankles", "foot_yaw", "foot_pitch"):
        values = parts[name]
        gap = values[-1] - values[0]
        if name in ("heading", "foot_yaw"):
            gap = gap - 2 * math.pi * torch.round(gap / (2 * math.pi))
        elif name in ("pelvis", "ankles"):
            gone = (parts["pelvis"][-1] - parts["pelvis"][0]) * torch.tensor([1.0, 1.0, 0.0])
            gap = gap - gone
        out[name] = values - (share - 0.5).reshape(-1, *[1] * (values.ndim - 1)) * gap
    return out


def sample_motions(motions: Motions, clip: Tensor, times: Tensor) -> dict[str, Tensor]:
    """Curves (N, T, ...) of clips (N,) at ``times`` (N, T) seconds; see ``Motions``."""
    last = (motions.frames[clip] - 1)[:, None].float()
    loop = motions.loop[clip][:, None]
    at = times * FPS
    cycles = torch.where(loop, torch.floor(at / last), torch.zeros_like(at))
    at = torch.where(loop, at - cycles * last, torch.minimum(at.clamp(min=0), last))
    low = at.floor().long()
    high = torch.minimum(low + 1, last.long())
    share = at - low
    rows = clip[:, None]

    def curve(values: Tensor) -> Tensor:
        part = share.reshape(*share.shape, *[1] * (values.ndim - 2))
        return values[rows, low] * (1 - part) + values[rows, high] * part

    out = {n: curve(getattr(motions, n)) for n in ("prior", "heading", "pelvis", "ankles", "foot_yaw", "foot_pitch")}
    out["planted"] = torch.minimum(motions.planted[rows, low], motions.planted[rows, high])
    # Every time round begins where the last one ended.
    index = torch.arange(len(motions.names))
    gone = motions.pelvis[index, motions.frames - 1] - motions.pelvis[:, 0]
    gone = gone[clip][:, None] * cycles[..., None] * torch.tensor([1.0, 1.0, 0.0])
    # Whole turns of the body go on as well.
    turned = torch.round((motions.heading[index, motions.frames - 1] - motions.heading[:, 0]) / (2 * math.pi))
    turned = 2 * math.pi * turned[clip][:, None] * cycles
    out["heading"] = out["heading"] + turned
    out["foot_yaw"] = out["foot_yaw"] + turned[..., None]
    out["pelvis"] = out["pelvis"] + gone
    out["ankles"] = out["ankles"] + gone[:, :, None]
    return out
