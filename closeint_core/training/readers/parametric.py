# SPDX-License-Identifier: Apache-2.0
"""Motion that is already in SMPL's parameters: AMASS npz of one person, InterHuman (InterGen) of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.body import restricted_pickle
from closeint_core.errors import CloseintError
from closeint_core.exchange.parameters import body_poses, finite_numbers, first_betas, frame_rate, gender_of
from closeint_core.foreign_files import read_arrays, read_bytes

_INTERHUMAN_FPS = 59.94
_LARGEST = 500_000_000  # bytes of a file; those of InterHuman have a few megabytes
_AMASS = ("poses", "trans", "betas", "gender", "mocap_framerate", "mocap_frame_rate", "fps")
_INTERHUMAN = ("mocap_framerate",) + tuple(
    f"{person}_{key}"
    for person in ("person1", "person2")
    for key in ("root_orient", "pose_body", "trans", "betas", "gender")
)


@dataclass
class ParametricMotion:
    """P people over F frames: poses (P, F, 24, 3) axis-angle, transl (P, F, 3) metres, betas (P, 10), genders, frames
    per second. Axes are those of the file: Z up in AMASS and InterHuman."""

    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    genders: tuple[str, ...]
    fps: float


def read_amass(path: str | Path) -> ParametricMotion:
    """One person of an AMASS npz (SMPL+H or SMPL-X, or plain SMPL); fingers are left out, hands straight.

    Raises:
        CloseintError: the file cannot be read or is not AMASS.
    """
    fields = read_arrays(path, "an npz of AMASS", _AMASS)
    if not {"poses", "trans"} <= set(fields):
        raise CloseintError(f"{path} does not hold poses and trans.", "Give an npz of AMASS.")
    rate = next((fields[key] for key in ("mocap_framerate", "mocap_frame_rate", "fps") if key in fields), None)
    if rate is None:
        raise CloseintError(f"{path} does not say its frame rate.", "Give an npz of AMASS with mocap_framerate.")
    pose, transl, betas = _person(path, fields, ("poses",))
    fps = frame_rate(rate, str(path))
    return ParametricMotion(pose[None], transl[None], betas[None], (gender_of(fields.get("gender")),), fps)


def read_interhuman(path: str | Path) -> ParametricMotion:
    """A pair of InterHuman: its pickles, or an npz of the same fields named ``person1_trans``, ``person2_trans``...

    Each person has ``root_orient`` (F, 3), ``pose_body`` (F, 63), ``trans`` (F, 3) and perhaps ``betas``, ``gender``.

    Raises:
        CloseintError: the file cannot be read, is unsafe, or does not hold a pair.
    """
    path = Path(path)
    if path.suffix == ".npz":
        flat = read_arrays(path, "an npz of InterHuman", _INTERHUMAN)
        record: dict[str, Any] = {"mocap_framerate": flat.get("mocap_framerate", _INTERHUMAN_FPS)}
        for person in ("person1", "person2"):
            prefix = f"{person}_"
            record[person] = {key[len(prefix) :]: value for key, value in flat.items() if key.startswith(prefix)}
    else:
        try:
            record = restricted_pickle.loads(read_bytes(path, "a motion of InterHuman", _LARGEST), deep=True)
        except restricted_pickle.Refused as refusal:
            raise CloseintError(f"{path} would run {refusal} and is not read.", "Get the file anew.") from None
        except restricted_pickle.Unusable as problem:
            raise CloseintError(f"{path} cannot be read: {problem}.", "Give a motion of InterHuman.") from None
    people, genders = [], []
    for person in ("person1", "person2"):
        fields = record.get(person) if isinstance(record, dict) else None
        if not isinstance(fields, dict) or not {"root_orient", "pose_body", "trans"} <= set(fields):
            raise CloseintError(
                f"{path} does not hold root_orient, pose_body and trans of {person}.", "Give a motion of InterHuman."
            )
        people.append(_person(path, fields, ("root_orient", "pose_body")))
        genders.append(gender_of(fields.get("gender")))
    if people[0][0].shape != people[1][0].shape:
        raise CloseintError(f"The two people of {path} have different numbers of frames.", "Get the file anew.")
    fps = frame_rate(record.get("mocap_framerate", _INTERHUMAN_FPS), str(path))
    poses, transl, betas = (np.stack(parts) for parts in zip(*people, strict=True))
    return ParametricMotion(poses, transl, betas, tuple(genders), fps)


def _person(
    path: str | Path, fields: dict[str, Any], keys: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses (F, 24, 3), translations (F, 3) and betas (10,) of one person; the ``keys`` hold the poses."""
    fix = "Get the file anew."
    parts = [finite_numbers(fields[key], f"{path}: {key}", fix) for key in keys]
    if any(part.ndim != 2 or len(part) != len(parts[0]) for part in parts):
        raise CloseintError(f"{path}: {' and '.join(keys)} are not frames x numbers.", fix)
    poses = body_poses(np.concatenate(parts, 1), str(path))
    transl = finite_numbers(fields["trans"], f"{path}: trans", fix)
    if transl.shape != (len(poses), 3):
        raise CloseintError(f"The translations of {path} do not fit its {len(poses)} poses.", fix)
    betas = fields.get("betas")
    shape = np.zeros(10, np.float32) if betas is None else first_betas(finite_numbers(betas, f"{path}: betas", fix))
    return poses, transl, shape
