# SPDX-License-Identifier: Apache-2.0
"""From joint positions of any skeleton to SMPL pose, with the error that is left.

Only positions are used, so that the rest pose and the axes of the source do not matter. What positions cannot tell,
the twist of a straight limb, stays near the rest pose and smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch

from closeint_core.body.data import JOINT_NAMES
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.training.usual_range import USUAL_HIGH, USUAL_LOW

# Words by which skeletons call the joints of SMPL; compared without case, spaces, colons and underscores.
ALIASES: dict[str, tuple[str, ...]] = {
    "pelvis": ("hips", "root", "hip", "pelvis"),
    "spine2": ("spine", "upperback", "abdomen", "spine1", "chest"),
    "neck": ("neck", "lowerneck", "neck1"),
    "head": ("head",),
}
for _side, _letter in (("left", "l"), ("right", "r")):
    ALIASES |= {
        f"{_side}_hip": (f"{_side}upleg", f"{_letter}femur", f"{_letter}thigh", f"{_side}thigh", f"{_side}hip"),
        f"{_side}_knee": (f"{_side}leg", f"{_letter}tibia", f"{_letter}shin", f"{_side}shin", f"{_side}knee"),
        f"{_side}_ankle": (f"{_side}foot", f"{_letter}foot", f"{_side}ankle"),
        f"{_side}_foot": (f"{_side}toebase", f"{_letter}toes", f"{_side}toe"),
        f"{_side}_shoulder": (f"{_side}arm", f"{_letter}humerus", f"{_letter}shldr", f"{_side}shoulder"),
        f"{_side}_elbow": (f"{_side}forearm", f"{_letter}radius", f"{_letter}forearm", f"{_side}elbow"),
        f"{_side}_wrist": (f"{_side}hand", f"{_letter}hand", f"{_letter}wrist", f"{_side}wrist"),
    }
_NEEDED = tuple(
    f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)


@dataclass
class Recording:
    """Joint positions of one person: names (K), positions (F, K, 3) in the file's units and axes, frames a second."""

    names: tuple[str, ...]
    positions: np.ndarray
    fps: float


@dataclass
class Retargeted:
    """SMPL pose of one person: poses (F, 24, 3) axis-angle, transl (F, 3), betas (B,), metres, in the recording's axes.

    ``error`` is the mean, ``worst`` the greatest distance in metres between the joints used and the recorded ones.
    """

    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    error: float
    worst: float


def match_joints(names: tuple[str, ...]) -> dict[str, int]:
    """Index in ``names`` of each SMPL joint that is found there."""
    plain = [name.lower().split(":")[-1].replace("_", "").replace(" ", "") for name in names]
    found: dict[str, int] = {}
    for joint, aliases in ALIASES.items():
        for alias in aliases:
            if alias in plain:
                found[joint] = plain.index(alias)
                break
    return found


def retarget(
    recording: Recording,
    body: TorchBody,
    metres_per_unit: float,
    steps: int = 250,
    *,
    limits: float = 0.0,
    smoothness: float = 2.0,
) -> Retargeted:
    """The pose and shape of ``body`` whose joints come nearest to the recorded ones.

    Args:
        limits: weight of the joints' limits, which tell what positions cannot: which way round an elbow bends.
        smoothness: weight of the change of the joints' speed.

    Raises:
        CloseintError: joints are missing.
    """
    found = match_joints(recording.names)
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise CloseintError(
            f"The skeleton has no joints for {', '.join(missing)}.", f"It names {', '.join(recording.names[:40])}."
        )
    joints = torch.tensor([JOINT_NAMES.index(name) for name in found])
    target = torch.tensor(recording.positions[:, list(found.values())] * metres_per_unit, dtype=torch.float32)
    # The inside of a trunk differs from skeleton to skeleton; limbs do not.
    trust = torch.tensor([1.0 if name in _NEEDED else 0.15 for name in found])
    poses, transl = _start(target, list(found), body)
    poses.requires_grad_()
    transl.requires_grad_()
    betas = torch.zeros(body.num_betas, requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [poses, betas], "lr": 0.05}, {"params": [transl], "lr": 0.02}])
    still = torch.ones(24, 1)
    still[0] = 0
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, (0.05, 0.02), strict=True):
            group["lr"] = rate * (1 - 0.95 * step / steps)
        optimizer.zero_grad()
        reached = body.skeleton(roma.rotvec_to_rotmat(poses), betas[None], transl).joints[:, joints]
        loss = (trust * (reached - target).square().sum(-1)).sum(-1).mean() / 0.01**2
        loss = loss + 0.05 * (poses * still).square().sum((-1, -2)).mean() + 0.05 * betas.square().sum()
        if len(poses) > 2:
            second = (poses[2:] - 2 * poses[1:-1] + poses[:-2]) * still
            loss = loss + smoothness * second.square().sum((-1, -2)).mean()
        if limits:
            over = (poses - USUAL_HIGH).clamp(min=0) + (USUAL_LOW - poses).clamp(min=0)
            loss = loss + limits * (over * still).square().sum((-1, -2)).mean()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        reached = body.skeleton(roma.rotvec_to_rotmat(poses), betas[None], transl).joints[:, joints]
        off = (reached - target).norm(dim=-1)[:, trust == 1]
    return Retargeted(
        poses.detach().numpy(), transl.detach().numpy(), betas.detach().numpy(), float(off.mean()), float(off.max())
    )


def _start(target: torch.Tensor, names: list[str], body: TorchBody) -> tuple[torch.Tensor, torch.Tensor]:
    """A pose that already faces the right way: (F, 24, 3), and translations (F, 3)."""

    def at(name: str) -> torch.Tensor:
        return target[:, names.index(name)]

    hips = (at("left_hip") + at("right_hip")) / 2
    up = torch.nn.functional.normalize((at("left_shoulder") + at("right_shoulder")) / 2 - hips, dim=-1)
    left = at("left_hip") - at("right_hip")
    left = torch.nn.functional.normalize(left - (left * up).sum(-1, keepdim=True) * up, dim=-1)
    turn = torch.stack((left, up, torch.linalg.cross(left, up)), -1)
    poses = torch.zeros(len(target), 24, 3)
    # Rotation vectors of neighbouring frames take the same way round.
    quaternion = roma.rotmat_to_unitquat(turn)
    flips = torch.where((quaternion[1:] * quaternion[:-1]).sum(-1) < 0, -1.0, 1.0)
    quaternion = quaternion * torch.cat((torch.ones(1), flips)).cumprod(0)[:, None]
    w, v = quaternion[:, 3], quaternion[:, :3]
    angle = 2 * torch.atan2(v.norm(dim=-1), w)
    poses[:, 0] = torch.nn.functional.normalize(v, dim=-1) * angle[:, None]
    rest = body.rest_joints(torch.zeros(body.num_betas))
    middle = (rest[1] + rest[2]) / 2 - rest[0]
    return poses, hips - (turn @ middle) - rest[0]
