# SPDX-License-Identifier: Apache-2.0
"""What concerns the whole body of a role: its size, its tilt away from upright, and what of it rests on the floor."""

from __future__ import annotations

import math

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.training.synthetic.curves import keyed
from closeint_core.training.synthetic.legs import axis_rotation
from closeint_core.training.synthetic.spec import Kind, Role
from closeint_core.training.synthetic.surface import JOINT, PLACE

_ENDS = [JOINT[name] for name in ("head", "left_ankle", "right_ankle", "left_foot", "right_foot")]


def of_stature(betas: Tensor, wanted: Tensor, body: TorchBody) -> Tensor:
    """Shapes (N, B) changed in their first coefficient, size, so that people are ``wanted`` (N,) metres tall."""
    # The top of a head and the soles, whichever vertex that is.
    ends = torch.as_tensor(np.flatnonzero(np.isin(body.data.parts, _ENDS)))

    def height(shapes: Tensor) -> Tensor:
        up = body.rest_vertices(shapes, ends)[..., 1]
        return up.amax(-1) - up.amin(-1)

    betas = betas.clone()
    size = torch.zeros(2, betas.shape[1])
    size[1, 0] = 1.0
    low, high = height(size)
    for _ in range(3):  # nearly linear
        betas[:, 0] += (wanted - height(betas)) / (high - low)
    return betas


def tilted(role: Role, times: Tensor, prior: Tensor) -> dict[str, Tensor]:
    """The whole body's turn (N, T, 3, 3) of a role, and the planned joints that it belongs to."""
    none = torch.eye(3).expand(*times.shape, 3, 3)
    if not role.tilt:
        return {"tilt": none}
    pitch, roll, turn = torch.deg2rad(keyed(role.tilt, times)).unbind(-1)
    tilt = axis_rotation(1, turn) @ axis_rotation(0, pitch) @ axis_rotation(2, -roll)
    prior = prior.clone()
    prior[:, :, 0] = _continuous(roma.rotmat_to_rotvec(tilt @ roma.rotvec_to_rotmat(prior[:, :, 0])))
    return {"tilt": tilt, "prior": prior}


def raised(person: dict[str, Tensor], height: Tensor) -> dict[str, Tensor]:
    """Curves of a person (see ``Plan``) whose pelvis and free feet are moved up by ``height`` (N,) metres."""
    up = torch.tensor([0.0, 0.0, 1.0]) * height[:, None, None]
    ankles = person["ankles"] + person["free"][..., None] * up[:, :, None]
    return person | {"pelvis": person["pelvis"] + up, "ankles": ankles}


def _continuous(vectors: Tensor) -> Tensor:
    """Rotation vectors (N, T, 3), each the way round that is nearer to half a turn's first frame."""
    first = vectors[:, :1]
    angle = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    other = vectors * (1 - 2 * math.pi / angle)
    return torch.where(
        (other - first).norm(dim=-1, keepdim=True) < (vectors - first).norm(dim=-1, keepdim=True), other, vectors
    )


def resting(kind: Kind) -> Tensor:
    """(1, 2, len(PLACES)) 1 where a place of a role rests on the floor."""
    rests = torch.zeros(1, 2, len(PLACE))
    for p, role in enumerate(kind.roles):
        rests[0, p, [PLACE[name] for name in role.rests]] = 1.0
    return rests
