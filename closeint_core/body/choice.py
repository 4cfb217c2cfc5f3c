# SPDX-License-Identifier: Apache-2.0
"""The body that a clip is shown on, when it is not the one that the clip names. Numpy only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError

_SMPL_PELVIS = np.array([-0.0018, -0.2233, 0.0282], np.float32)
"""Metres: rest pelvis of SMPL's neutral mean shape, for clips of SMPL where no SMPL file is at hand."""


def clip_and_body(
    clip: InteractionClip, spec: str | None, data: Path | None, warn: Callable[[str], None]
) -> tuple[InteractionClip, BodyData]:
    """The clip's body, or the clip on another one: poses and places stay, shapes are the other body's mean.

    Args:
        spec: as ``load_body`` takes it; None is the body that the clip names.
        data: folder of licensed models, besides the usual places.
        warn: is told what was lost.

    Raises:
        CloseintError: as ``load_body``.
    """
    body = load_body(spec or clip.body, data)
    if body.name == clip.body:
        return clip, body
    try:
        before = load_body(clip.body, data).rest(clip.betas)[1][:, 0]
    except CloseintError:
        before = np.broadcast_to(_SMPL_PELVIS, (clip.people, 3))
    betas = np.zeros((clip.people, body.num_betas), np.float32)
    shift = before - body.joint_template[0]
    warn(f"The clip's shapes are of {clip.body}: {body.name} stands in for it, with its mean shape.")
    return clip.copy(body=body.name, betas=betas, transl=clip.transl + shift[:, None]), body
