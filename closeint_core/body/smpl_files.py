# SPDX-License-Identifier: Apache-2.0
"""SMPL's official model files (``.pkl`` and ``.npz``), read without chumpy, scipy, or trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.body import restricted_pickle
from closeint_core.body.data import PARENTS, SMPL_NAMES, SMPL_OWNER, BodyData
from closeint_core.body.restricted_pickle import Unusable
from closeint_core.errors import CloseintError
from closeint_core.foreign_files import read_array, read_arrays, read_bytes
from closeint_core.halpe import HALPE_INDEX, HALPE_NAMES, HALPE_TO_LSP

NUM_BETAS = 10
_FIELDS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
_REGRESSOR_SUM = 0.1  # by which a row may miss 1; the official ones miss it by 1e-6
_LARGEST_NUMBER = 1 << 40  # in any field; the root's parent is written as 2^32 - 1
_LARGEST_WEIGHT = 1e3  # of a vertex in a keypoint; the published ones are below 2
_MAX_FILE_BYTES = 2 << 30  # the largest official file, with 300 betas, is below 300 MB

# Vertices of SMPL's mesh at landmarks (left, right where there are two).
_LANDMARKS = {
    "nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071, "head_top": 411,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
}  # fmt: skip
_KEYPOINT_JOINTS = {
    "left_shoulder": (16,), "right_shoulder": (17,), "left_elbow": (18,), "right_elbow": (19,), "left_wrist": (20,),
    "right_wrist": (21,), "left_hip": (1,), "right_hip": (2,), "left_knee": (4,), "right_knee": (5,),
    "left_ankle": (7,), "right_ankle": (8,), "neck": (12,), "pelvis": (1, 2),
}  # fmt: skip


def load_smpl(path: Path, name: str | None = None) -> BodyData:
    """Read an SMPL model.

    Args:
        path: ``.npz`` or ``.pkl``, by content. ``J_regressor_halpe.npy`` (26, V) and ``J_regressor_lsp.npy`` (14, V)
            beside it are used for the keypoints when present, else SMPL's joints and known landmark vertices.
        name: one of ``SMPL_NAMES``; by default told from the file's name (neutral if it tells nothing).

    Raises:
        CloseintError: not a body model, damaged, or a pickle that names something it has no need for.
    """
    path = Path(path)
    fields = read_fields(path)
    try:
        return _to_body(fields, path, name or _name_of(path))
    except Unusable as problem:
        raise CloseintError(
            f"{path} is not a usable SMPL model: {problem}.", f"Get the original file from {SMPL_OWNER}."
        ) from None


def read_fields(path: Path) -> dict[str, Any]:
    """The file's dictionary, every array as a plain numpy array. Errors as ``load_smpl``."""
    fix = f"Get the original file from {SMPL_OWNER}."
    data = read_bytes(path, "the body model", _MAX_FILE_BYTES)
    if data[:4] == b"PK\x03\x04":
        try:
            return dict(read_arrays(path, "an SMPL model (npz)", _FIELDS))
        except CloseintError as error:
            raise CloseintError(f"The body model is damaged or not an SMPL .npz file: {error.message}", fix) from None
    try:
        fields = restricted_pickle.loads(data)
    except restricted_pickle.Refused as refusal:
        raise CloseintError(
            f"{path} is refused: its pickle asks for {refusal}, which no SMPL model needs; nothing of it was run.",
            f"Do not open this file with other software. {fix}",
        ) from None
    except Unusable as problem:
        raise CloseintError(f"{path} is not a usable SMPL model: {problem}.", fix) from None
    if not isinstance(fields, dict):
        raise CloseintError(f"{path} is not an SMPL model: it holds a {type(fields).__name__}, not a dictionary.", fix)
    return fields


def _name_of(path: Path) -> str:
    """The body's name from the file's: SMPL_FEMALE, basicModel_f_lbs_..., and so on."""
    words = path.stem.lower().replace("-", "_").split("_")
    if "female" in words or "f" in words:
        return "smpl-female"
    if "male" in words or "m" in words:
        return "smpl-male"
    return SMPL_NAMES[0]


def _to_body(fields: dict[str, Any], path: Path, name: str) -> BodyData:
    template = _numbers(fields, "v_template", (None, 3))
    count = len(template)
    shapedirs = _numbers(fields, "shapedirs", (count, 3, None))
    if shapedirs.shape[2] < NUM_BETAS:
        raise Unusable(f"shapedirs has {shapedirs.shape[2]} components, {NUM_BETAS} are needed")
    regressor = _numbers(fields, "J_regressor", (24, count))
    if np.abs(regressor.sum(axis=1) - 1.0).max() > _REGRESSOR_SUM:
        raise Unusable("the rows of J_regressor do not sum to 1")
    weights = _numbers(fields, "weights", (count, 24))
    posedirs = _numbers(fields, "posedirs", None)
    if posedirs.shape == (207, count * 3):  # as smplx keeps them
        posedirs = posedirs.T
    if posedirs.size != count * 3 * 207:
        raise Unusable(f"posedirs is {posedirs.shape}, not ({count}, 3, 207)")
    posedirs = posedirs.reshape(count, 3, 207)
    faces = _integers(fields, "f", (None, 3))
    if faces.size == 0 or faces.min() < 0 or faces.max() >= count:
        raise Unusable("f names vertices that do not exist")
    kinematic = _integers(fields, "kintree_table", (2, 24))
    if tuple(kinematic[0, 1:]) != PARENTS[1:]:
        raise Unusable("kintree_table is not SMPL's tree of 24 joints")
    skin_joints, skin_weights = four_weights(weights)
    halpe, lsp = _keypoint_regressors(path, regressor, count)
    return BodyData(
        name=name,
        template=template.astype(np.float32),
        shapedirs=np.ascontiguousarray(shapedirs[:, :, :NUM_BETAS], np.float32),
        posedirs=posedirs.astype(np.float32) if np.any(posedirs) else None,
        joint_regressor=regressor.astype(np.float32),
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        parents=np.array(PARENTS, np.int32),
        faces=faces.astype(np.int32),
        parts=weights.argmax(axis=1).astype(np.int32),
        halpe_regressor=halpe,
        lsp_regressor=lsp,
        uv=None,
        regions=None,
    )


def four_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four largest of each row of (V, 24) skinning weights: joints i4 (V, 4) and weights f4 (V, 4), rows sum to 1.

    Exact for the official files, whose vertices hang on at most four joints.
    """
    order = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(weights, order, axis=1).clip(0.0, None)
    total = kept.sum(axis=1, keepdims=True)
    if np.any(total < 0.5):
        raise Unusable("some vertices have no skinning weights")
    return order.astype(np.int32), (kept / total).astype(np.float32)


def _keypoint_regressors(path: Path, joint_regressor: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    halpe_file, lsp_file = (path.with_name(f"J_regressor_{name}.npy") for name in ("halpe", "lsp"))
    if halpe_file.is_file():
        halpe = _regressor_file(halpe_file, 26, count)
    elif count > max(_LANDMARKS.values()):
        halpe = np.zeros((26, count), np.float32)
        for name in HALPE_NAMES:
            if name in _LANDMARKS:
                halpe[HALPE_INDEX[name], _LANDMARKS[name]] = 1.0
            else:
                halpe[HALPE_INDEX[name]] = joint_regressor[list(_KEYPOINT_JOINTS[name])].mean(axis=0)
    else:
        raise Unusable(f"it has {count} vertices, so the keypoints need J_regressor_halpe.npy beside it")
    lsp = _regressor_file(lsp_file, 14, count) if lsp_file.is_file() else halpe[HALPE_TO_LSP]
    return halpe, lsp


def _regressor_file(path: Path, rows: int, count: int) -> np.ndarray:
    matrix = read_array(path, "a regressor (npy)")
    if matrix.shape != (rows, count) or matrix.dtype.kind not in "fiu":
        raise CloseintError(
            f"The regressor {path} is {matrix.shape}, not numbers ({rows}, {count}).", "Get the file again."
        )
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > _LARGEST_WEIGHT:
        raise CloseintError(f"The regressor {path} holds values that are not finite.", "Get the file again.")
    return matrix.astype(np.float32)


def _numbers(fields: dict[str, Any], key: str, shape: tuple[int | None, ...] | None) -> np.ndarray:
    """A float64 field whose shape fits (None: any extent), finite."""
    value = fields.get(key)
    if value is None:
        raise Unusable(f"it has no {key}")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise Unusable(f"{key} is not an array of numbers")
    if shape is not None and (
        value.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, value.shape, strict=True))
    ):
        raise Unusable(f"{key} is {value.shape}, not {tuple('any' if n is None else n for n in shape)}")
    # The first axis of every field is the vertices' or the joints': an empty one is no body.
    if value.size == 0 or not np.all(np.isfinite(value)) or np.abs(value).max() > _LARGEST_NUMBER:
        raise Unusable(f"{key} is empty or not finite")
    return value.astype(np.float64)


def _integers(fields: dict[str, Any], key: str, shape: tuple[int | None, ...]) -> np.ndarray:
    # The root's parent is written as 2^32 - 1; nothing else exceeds the number of vertices.
    return _numbers(fields, key, shape).astype(np.int64)
