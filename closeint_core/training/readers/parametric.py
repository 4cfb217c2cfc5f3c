# SPDX-License-Identifier: Apache-2.0
"""Motion that is already in SMPL's parameters: AMASS npz of one person, InterHuman (InterGen) of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.body import restricted_pickle
from closeint_core.errors import CloseintError

_INTERHUMAN_FPS = 59.94


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
    fields = _load_npz(Path(path))
    if not {"poses", "trans"} <= set(fields):
        raise CloseintError(f"{path} does not hold poses and trans.", "Give an npz of AMASS.")
    rate = next((fields[key] for key in ("mocap_framerate", "mocap_frame_rate", "fps") if key in fields), None)
    if rate is None:
        raise CloseintError(f"{path} does not say its frame rate.", "Give an npz of AMASS with mocap_framerate.")
    poses = _body_pose(path, np.asarray(fields["poses"], np.float32))
    pose, transl, betas = _person(path, poses, fields["trans"], fields.get("betas"))
    fps = float(np.asarray(rate).reshape(()))
    return ParametricMotion(pose[None], transl[None], betas[None], (_gender(fields.get("gender")),), fps)


def read_interhuman(path: str | Path) -> ParametricMotion:
    """A pair of InterHuman: its pickles, or an npz of the same fields named ``person1_trans``, ``person2_trans``...

    Each person has ``root_orient`` (F, 3), ``pose_body`` (F, 63), ``trans`` (F, 3) and perhaps ``betas``, ``gender``.

    Raises:
        CloseintError: the file cannot be read, is unsafe, or does not hold a pair.
    """
    path = Path(path)
    if path.suffix == ".npz":
        flat = _load_npz(path)
        record: dict[str, Any] = {"mocap_framerate": flat.get("mocap_framerate", _INTERHUMAN_FPS)}
        for person in ("person1", "person2"):
            prefix = f"{person}_"
            record[person] = {key[len(prefix) :]: value for key, value in flat.items() if key.startswith(prefix)}
    else:
        try:
            record = restricted_pickle.loads(path.read_bytes(), deep=True)
        except OSError:
            raise CloseintError(f"{path} cannot be read.", "Check that the file is there.") from None
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
        pose = np.concatenate([np.asarray(fields[k], np.float32) for k in ("root_orient", "pose_body")], -1)
        people.append(_person(path, _body_pose(path, pose), fields["trans"], fields.get("betas")))
        genders.append(_gender(fields.get("gender")))
    if people[0][0].shape != people[1][0].shape:
        raise CloseintError(f"The two people of {path} have different numbers of frames.", "Get the file anew.")
    fps = float(np.asarray(record.get("mocap_framerate", _INTERHUMAN_FPS)).reshape(()))
    poses, transl, betas = (np.stack(parts) for parts in zip(*people, strict=True))
    return ParametricMotion(poses, transl, betas, tuple(genders), fps)


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, KeyError) as problem:
        raise CloseintError(f"{path} cannot be read as npz: {problem}.", "Give an npz of plain arrays.") from None


def _body_pose(path: str | Path, flat: np.ndarray) -> np.ndarray:
    """(F, 24, 3) of SMPL (72), SMPL+H (66 or 156) or SMPL-X (165) parameters: 22 joints are the same in all."""
    if flat.ndim != 2 or flat.shape[1] not in (66, 72, 156, 165):
        raise CloseintError(f"The poses of {path} are {flat.shape}, not F x 66, 72, 156 or 165.", "Give SMPL motion.")
    count = 72 if flat.shape[1] == 72 else 66
    poses = np.zeros((len(flat), 24, 3), np.float32)
    poses[:, : count // 3] = flat[:, :count].reshape(len(flat), -1, 3)
    return poses


def _person(path: str | Path, poses: np.ndarray, trans: Any, betas: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    transl = np.asarray(trans, np.float32)
    if transl.shape != (len(poses), 3) or not (np.isfinite(transl).all() and np.isfinite(poses).all()):
        raise CloseintError(f"The translations of {path} do not fit its {len(poses)} poses.", "Get the file anew.")
    shape = np.zeros(10, np.float32)
    if betas is not None:
        given = np.asarray(betas, np.float32).reshape(-1)[:10]
        shape[: len(given)] = given
    return poses, transl, shape


def _gender(value: Any) -> str:
    if value is None:
        return "neutral"
    text = value.decode("latin-1") if isinstance(value, bytes) else str(np.asarray(value).reshape(-1)[0])
    text = text.removeprefix("b'").removesuffix("'").lower()
    return text if text in ("female", "male") else "neutral"
