# SPDX-License-Identifier: Apache-2.0
"""How deep people are in each other and in themselves before and after a refinement, and whether it may be taken.

Whoever is pushed out of the partner can be pushed into oneself: a wild motion went from 36 to 2 mm in the partner and
from 0 to 68 mm in itself. So both are watched.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch

from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.mesh.self_penetration import solids_of

_FRAMES = 128  # of which the skins are in memory at a time


@dataclass(frozen=True)
class Depths:
    """Metres of the deepest vertex inside the partner, and inside another part of its own body, before and after."""

    before: float
    after: float
    own_before: float
    own_after: float

    def worse(self, acceptable: float) -> bool:
        """Whether somebody is deeper in the partner than before, or in oneself by more than was gained.

        Args:
            acceptable: metres of penetration, or of more of it in oneself, up to which nothing counts.
        """
        lost, gained = self.own_after - self.own_before, self.before - self.after
        return self.after > max(self.before, acceptable) or (self.traded(acceptable) and lost > gained)

    def traded(self, acceptable: float) -> bool:
        """Whether a body is ``acceptable`` metres deeper in itself than it was."""
        return self.own_after > self.own_before + acceptable

    def __str__(self) -> str:
        before, after, own_before, own_after = (
            round(1000 * depth) for depth in (self.before, self.after, self.own_before, self.own_after)
        )
        return f"{before} to {after} mm deep in the partner, {own_before} to {own_after} mm in oneself"


@torch.no_grad()
def own_depth(clip: InteractionClip, body: TorchBody) -> float:
    """Metres of the deepest vertex of anybody inside another part of the own body, in all frames.

    Args:
        body: the clip's, on the device on which this is computed.
    """
    device = body.template.device
    solids = solids_of(body.data, device)
    poses, transl, betas = (
        torch.as_tensor(one, dtype=torch.float32, device=device) for one in (clip.poses, clip.transl, clip.betas)
    )
    deepest = []
    for some in torch.arange(clip.frames, device=device).split(_FRAMES):
        posed = body(roma.rotvec_to_rotmat(poses[:, some]), betas[:, None], transl[:, some])
        deepest.append(solids.depths(posed.vertices).max())
    return float(torch.stack(deepest).max()) if deepest else 0.0
