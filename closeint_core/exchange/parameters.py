# SPDX-License-Identifier: Apache-2.0
"""Parameters of the SMPL family in other tools' files, as a clip has them; numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from closeint_core.errors import CloseintError

_JOINTS = {66: 22, 72: 24, 156: 22, 165: 22}
"""Numbers of a frame's pose -> joints that are SMPL's: body alone, SMPL, SMPL-H, SMPL-X (fingers and face apart)."""
_BETAS = 10


def finite_numbers(values: Any, what: str, fix: str) -> np.ndarray:
    """float32 of an array out of a file.

    Raises:
        CloseintError: it holds something else than finite numbers; begins with ``what``.
    """
    if not isinstance(values, np.ndarray):
        try:
            values = np.asarray(values)
        except (ValueError, TypeError):
            values = np.asarray("")
    if values.dtype.kind not in "biuf":
        raise CloseintError(f"{what} is not an array of numbers.", fix)
    with np.errstate(over="ignore", invalid="ignore"):
        found: np.ndarray = values.astype(np.float32)
    if not np.isfinite(found).all():
        raise CloseintError(f"{what} holds values that are not finite.", fix)
    return found


def body_poses(flat: np.ndarray, where: str) -> np.ndarray:
    """Axis-angle (F, 24, 3) of SMPL from the flat poses (F, N) of SMPL, SMPL-H or SMPL-X.

    The first 22 joints are the same in all of them; SMPL's two hand joints are then at rest.

    Raises:
        CloseintError: N is none of theirs; begins with ``where``.
    """
    if flat.ndim != 2 or flat.shape[1] not in _JOINTS or len(flat) == 0:
        raise CloseintError(
            f"{where}: poses are {' x '.join(map(str, flat.shape))}, not F x 66, 72, 156 or 165.",
            "Give motion of SMPL (72), SMPL-H (156) or SMPL-X (165).",
        )
    joints = _JOINTS[flat.shape[1]]
    poses = np.zeros((len(flat), 24, 3), np.float32)
    poses[:, :joints] = flat[:, : 3 * joints].reshape(len(flat), joints, 3)
    return poses


def first_betas(betas: np.ndarray) -> np.ndarray:
    """(10,) coefficients of SMPL from any number of them (B,), or of many frames (F, B), of which the first counts.

    Coefficients beyond ten describe ever smaller differences; missing ones are 0.
    """
    shape = np.zeros(_BETAS, np.float32)
    given = np.atleast_1d(betas)
    given = given.reshape(-1, given.shape[-1])[0][:_BETAS] if given.size else given.reshape(-1)
    shape[: len(given)] = given
    return shape


def frame_rate(value: Any, where: str) -> float:
    """Frames per second out of a file: one positive number, however it is wrapped.

    Raises:
        CloseintError: it is something else; begins with ``where``.
    """
    rate = np.asarray(value)
    if rate.size != 1 or rate.dtype.kind not in "iuf" or not (np.isfinite(rate).all() and (rate > 0).all()):
        raise CloseintError(f"{where}: the frame rate is not one positive number.", "Correct mocap_framerate.")
    return float(rate.reshape(()))


def text_of(value: Any) -> str:
    """The (first) text of an array, or of bytes, as Python 2 wrote them or not."""
    first = np.asarray(value).reshape(-1)[:1].tolist()
    text = first[0] if first else ""
    text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    return text.removeprefix("b'").removesuffix("'")


def gender_of(value: Any) -> str:
    """``female``, ``male``, or ``neutral`` for anything else."""
    text = "" if value is None else text_of(value).lower()
    return text if text in ("female", "male") else "neutral"
