# SPDX-License-Identifier: Apache-2.0
"""Finds and reads a body model by its name or file: the bundled default body, or a licensed SMPL file.

Numpy and the standard library only, so that Blender's Python can import it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from closeint_core.body.data import (
    DEFAULT_BODY_FILE,
    DEFAULT_BODY_NAME,
    PARENTS,
    SMPL_NAMES,
    SMPL_OWNER,
    BodyData,
)
from closeint_core.body.smpl_files import load_smpl
from closeint_core.errors import CloseintError
from closeint_core.foreign_files import read_arrays, said
from closeint_core.models import store

_NUM_BETAS = 10
_MOST_KEYPOINTS = 100  # rows of a regressor
_DAMAGED = (ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError)
"""What numpy raises for arrays that do not belong together."""


def load_body(spec: str | Path = "default", data_dir: Path | None = None) -> BodyData:
    """Load a body model.

    Args:
        spec: ``default`` or ``closeint-default/1`` for the bundled body; ``smpl-neutral``, ``smpl-male`` or
            ``smpl-female`` for a licensed file in a model folder; else the path of a body file
            (``.npz`` or ``.pkl``).
        data_dir: folder searched first, see ``closeint_core.models.store``.

    Raises:
        CloseintError: no such file (exit code 3 for a model that must be supplied), or an unusable one.
    """
    text = str(spec)
    if text in ("default", DEFAULT_BODY_NAME):
        return read_default_body(DEFAULT_BODY_FILE)
    if text in SMPL_NAMES:
        stem = f"SMPL_{text.removeprefix('smpl-').upper()}"
        names = [f"{folder}{stem}{suffix}" for folder in ("smpl/", "") for suffix in (".npz", ".pkl")]
        path = store.find(names, data_dir)
        if path is None:
            places = ", ".join(str(folder / "smpl") for folder in store.search_paths(data_dir))
            raise CloseintError(
                f"The body model {stem}.npz or {stem}.pkl was not found (looked in: {places}).",
                f"Get it from {SMPL_OWNER} (registration needed) and put it in one of these folders, "
                "or use --body default.",
                exit_code=3,
            )
        return load_smpl(path, text)
    path = Path(spec).expanduser()
    if not path.is_file():
        raise CloseintError(
            f"There is no body model {text!r}.",
            f"Give default, {', '.join(SMPL_NAMES)}, or the path of a .npz or .pkl body file.",
            exit_code=3,
        )
    if path.suffix.lower() == ".npz" and _format_of(path) == DEFAULT_BODY_NAME:
        return read_default_body(path)
    return load_smpl(path)


def _format_of(path: Path) -> str | None:
    """The ``format`` text of an npz file; None if it has none or is not one."""
    try:
        found = read_arrays(path, "a body model", ("format",)).get("format")
    except CloseintError:
        return None
    return str(found) if found is not None and found.shape == () else None


def read_default_body(path: Path) -> BodyData:
    """Read a body file written by ``scripts/build_default_body.py`` (its layout: see DEFAULT_BODY.md).

    Raises:
        CloseintError: missing (exit code 3), damaged, or of another format.
    """
    if not path.is_file():
        raise CloseintError(f"The bundled body model {path} is missing.", "Install closeint again.", exit_code=3)
    try:
        arrays = read_arrays(path, "a body model")
        found = str(arrays["format"]) if "format" in arrays and arrays["format"].shape == () else None
        if found != DEFAULT_BODY_NAME:
            raise CloseintError(
                f"{path} is a {said(found)} file, not a {DEFAULT_BODY_NAME!r} body.", "Install closeint again."
            )
        with np.errstate(all="ignore"):
            return _checked(_unpack_default_body(arrays))
    except CloseintError as error:
        raise CloseintError(f"The body model is damaged: {error.message}", "Install closeint again.") from None
    except _DAMAGED as error:
        raise CloseintError(f"The body model {path} is damaged ({error}).", "Install closeint again.") from error


def _checked(body: BodyData) -> BodyData:
    """The same body; ValueError where its parts do not belong together."""
    count = body.num_vertices
    shapes = {
        "template": (count, 3), "shapedirs": (count, 3, _NUM_BETAS), "joint_regressor": (len(PARENTS), count),
        "skin_joints": (count, 4), "skin_weights": (count, 4), "faces": (len(body.faces), 3), "parts": (count,),
        "halpe_regressor": (26, count), "lsp_regressor": (14, count),
    }  # fmt: skip
    for name, shape in shapes.items():
        value = getattr(body, name)
        if value.shape != shape or value.size == 0 or not np.isfinite(value).all():
            raise ValueError(f"{name} is {value.shape} or not finite, and {shape} is needed")
    for name, end in (("skin_joints", len(PARENTS)), ("faces", count), ("parts", len(PARENTS))):
        value = getattr(body, name)
        if value.min() < 0 or value.max() >= end:
            raise ValueError(f"{name} names what is not there")
    if body.uv is not None and body.uv.shape != (len(body.faces), 3, 2):
        raise ValueError("uv does not belong to the faces")
    return body


def _unpack_default_body(arrays: dict[str, np.ndarray]) -> BodyData:
    template = arrays["template"].astype(np.float32)
    count = len(template)
    weights = arrays["skin_weights"].astype(np.float64)
    uv = arrays["uv"].astype(np.float32) / np.float32(65535.0) if "uv" in arrays else None
    return BodyData(
        name=DEFAULT_BODY_NAME,
        template=template,
        shapedirs=arrays["shapedirs"].astype(np.float32) * arrays["shapedirs_scale"].astype(np.float32),
        posedirs=None,
        joint_regressor=_sparse_rows(arrays, "joint", count),
        skin_joints=arrays["skin_joints"].astype(np.int32),
        skin_weights=(weights / weights.sum(axis=1, keepdims=True)).astype(np.float32),
        parents=np.array(PARENTS, np.int32),
        faces=arrays["faces"].astype(np.int32),
        parts=arrays["parts"].astype(np.int32),
        halpe_regressor=_sparse_rows(arrays, "halpe", count),
        lsp_regressor=_sparse_rows(arrays, "lsp", count),
        uv=uv[arrays["uv_faces"].astype(np.int64)] if uv is not None else None,
        regions=arrays["regions"].astype(np.int8),
    )


def _sparse_rows(arrays: dict[str, np.ndarray], name: str, columns: int) -> np.ndarray:
    """Dense f4 (K, columns) from the row, column and value lists of ``{name}_regressor``."""
    rows = arrays[f"{name}_regressor_rows"].astype(np.int64)
    if rows.min() < 0 or rows.max() >= _MOST_KEYPOINTS:
        raise ValueError(f"{name}_regressor has a row {rows.max()}")
    dense = np.zeros((int(rows.max()) + 1, columns), np.float32)
    dense[rows, arrays[f"{name}_regressor_columns"].astype(np.int64)] = arrays[f"{name}_regressor_values"]
    return dense
