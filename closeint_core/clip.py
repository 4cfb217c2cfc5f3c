# SPDX-License-Identifier: Apache-2.0
"""The result file: two people's motion, the camera that saw them, and what was observed.

World frame: metres, right-handed, Z up, floor at z = 0. Poses are axis-angle on the joints of
``body``; translations are added after skinning, so joint 0 stands at J0(betas) + transl.
Only numpy is needed here, so Blender's Python reads and writes clips too.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.foreign_files import Unreadable, parse_json, read_arrays, said

FORMAT = "closeint-clip/1"
SUFFIX = ".closeint.npz"
BODIES = ("closeint-default/1", "smpl-neutral", "smpl-male", "smpl-female")

_DTYPES: dict[str, Any] = {
    "poses": np.float32, "transl": np.float32, "betas": np.float32, "fps": np.float64, "frame_start": np.int64,
    "image_size": np.int64, "camera_K": np.float32, "camera_R": np.float32, "camera_t": np.float32,
    "keypoints2d": np.float32, "visible": np.bool_, "contacts": np.float32, "foot_contacts": np.float32,
}  # fmt: skip
_JOINTS, _BETAS = 24, 10
"""Joints and shape coefficients of every body in ``BODIES``."""
_FARTHEST = 1e6
"""Metres, radians and shape coefficients beyond which there is no motion; arithmetic on them overflows."""
_LARGEST_IMAGE = 100_000  # pixels a side
_TURNED = 1e-2  # by which a matrix may miss a rotation; files of other tools hold few digits
_KEYS = ("format", *_DTYPES, "body", "video", "metadata")
_MUST_BE_FINITE = ("poses", "transl", "betas", "camera_K", "camera_R", "camera_t", "contacts", "foot_contacts")


@dataclass
class InteractionClip:
    """The motion of P people over T frames (J joints, B shape coefficients, C cameras: 1 or T).

    Attributes:
        poses: (P, T, J, 3) axis-angle, radians; [..., 0, :] is the global orientation.
        transl: (P, T, 3) metres.
        betas: (P, B) shape coefficients of ``body``.
        body: one of ``BODIES``.
        fps: frames per second.
        image_size: (2,) width, height in pixels.
        camera_K: (C, 3, 3) intrinsics, pixels, pixel centres at +0.5.
        camera_R: (C, 3, 3) world to camera rotation, OpenCV axes (x right, y down, z forward).
        camera_t: (C, 3) world to camera translation, metres.
        keypoints2d: (P, T, 26, 3) observed Halpe-26 pixels and confidence; NaN where unseen.
        visible: (P, T) the person was observed in that frame.
        contacts: (P, T, J) probability that the joint's body part touches another person.
        foot_contacts: (P, T, 2) probability that the left, right foot is planted.
        frame_start: index in the source video of the first frame.
        video: path of the source as given; may be empty.
        metadata: version, settings, models with hashes, quality metrics (JSON types only).
    """

    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    body: str
    fps: float
    image_size: np.ndarray
    camera_K: np.ndarray
    camera_R: np.ndarray
    camera_t: np.ndarray
    keypoints2d: np.ndarray
    visible: np.ndarray
    contacts: np.ndarray
    foot_contacts: np.ndarray
    frame_start: int = 0
    video: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def people(self) -> int:
        """P, the number of people."""
        return int(self.poses.shape[0])

    @property
    def frames(self) -> int:
        """T, the number of frames."""
        return int(self.poses.shape[1])

    def copy(self, **changes: Any) -> InteractionClip:
        """The same clip with some fields replaced; the arrays of the others are shared."""
        return replace(self, **changes)

    def validate(self) -> InteractionClip:
        """Check types, shapes and finiteness; returns self with every field in its file dtype.

        Raises:
            CloseintError: naming the field, what it should be and what it is.
        """
        for name, dtype in _DTYPES.items():
            if name not in ("fps", "frame_start"):
                setattr(self, name, _converted(name, getattr(self, name), dtype))
        if self.poses.ndim != 4 or self.poses.shape[3] != 3 or 0 in self.poses.shape:
            raise _invalid(
                f"poses has shape {self.poses.shape}, not (people, frames, joints, 3) with at least one each"
            )
        p, t, j, _ = self.poses.shape
        if self.camera_K.ndim != 3 or self.camera_K.shape[0] not in (1, t):
            raise _invalid(f"camera_K has shape {self.camera_K.shape}, not (1 or {t}, 3, 3)")
        if self.betas.ndim != 2:
            raise _invalid(f"betas has shape {self.betas.shape}, not ({p}, coefficients)")
        c = self.camera_K.shape[0]
        expected = {
            "transl": (p, t, 3), "betas": (p, self.betas.shape[1]), "image_size": (2,), "camera_K": (c, 3, 3),
            "camera_R": (c, 3, 3), "camera_t": (c, 3), "keypoints2d": (p, t, 26, 3), "visible": (p, t),
            "contacts": (p, t, j), "foot_contacts": (p, t, 2),
        }  # fmt: skip
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise _invalid(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        for name in _MUST_BE_FINITE:
            if not np.isfinite(getattr(self, name)).all():
                raise _invalid(f"{name} holds values that are not finite")
        for name in ("poses", "transl", "betas", "camera_t"):
            if (np.abs(getattr(self, name)) > _FARTHEST).any():
                raise _invalid(f"{name} holds values above {_FARTHEST:.0e}, which no motion has")
        if not isinstance(self.body, str) or self.body not in BODIES:
            raise _invalid(f"the body {said(self.body)} is unknown; known are {', '.join(BODIES)}")
        if (j, self.betas.shape[1]) != (_JOINTS, _BETAS):
            raise _invalid(
                f"it has {j} joints and {self.betas.shape[1]} shape coefficients; the body {self.body} has {_JOINTS} "
                f"and {_BETAS}"
            )
        self._validate_numbers()
        self._validate_camera()
        if not isinstance(self.metadata, dict):
            raise _invalid("metadata is not a JSON object")
        return self

    def _validate_numbers(self) -> None:
        for name in ("fps", "frame_start"):
            value = getattr(self, name)
            if isinstance(value, bool | str | bytes) or not isinstance(value, int | float | np.integer | np.floating):
                raise _invalid(f"{name} is {said(value)}, not a number")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise _invalid(f"fps is {self.fps}, not a positive number")
        if not np.isfinite(self.frame_start) or self.frame_start != int(self.frame_start):
            raise _invalid(f"frame_start is {self.frame_start}, not a whole number")
        if abs(self.frame_start) >= 1 << 53:
            raise _invalid("frame_start is beyond any video")
        self.fps, self.frame_start = float(self.fps), int(self.frame_start)

    def _validate_camera(self) -> None:
        """Raises CloseintError where the cameras could not have taken a picture."""
        if (self.image_size <= 0).any() or (self.image_size > _LARGEST_IMAGE).any():
            raise _invalid(f"image_size is {self.image_size.tolist()}, not positive (or beyond {_LARGEST_IMAGE})")
        focal = np.stack([self.camera_K[:, 0, 0], self.camera_K[:, 1, 1]])
        if (focal <= 0).any():
            raise _invalid(f"camera_K has the focal length {focal.min():g}, not a positive one")
        if np.abs(self.camera_K[:, 2] - [0.0, 0.0, 1.0]).max() > _TURNED:
            raise _invalid("the last row of camera_K is not 0, 0, 1")
        turned = self.camera_R.astype(np.float64)
        off = np.abs(turned @ turned.swapaxes(1, 2) - np.eye(3)).max()
        if off > _TURNED or (np.linalg.det(turned) < 0).any():
            raise _invalid("camera_R is not a rotation")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Validate and write the clip, whole or not at all; returns the path.

        Raises:
            CloseintError: the clip is not valid or the file cannot be written.
        """
        self.validate()
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name), dtype) for name, dtype in _DTYPES.items()}
        arrays |= {"format": FORMAT, "body": self.body, "video": str(self.video)}
        try:
            arrays["metadata"] = json.dumps(self.metadata, allow_nan=False, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise _invalid(f"metadata holds what JSON does not ({error})") from None
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> InteractionClip:
        """Read and validate a clip.

        Raises:
            CloseintError: the file is missing, not a clip, of another format, or damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise CloseintError(f"There is no clip file at {path}.", "Check the path.")
        data: dict[str, Any] = read_arrays(path, "a clip file (*.closeint.npz)", _KEYS)
        found = _text(data, "format", path) if "format" in data else None
        if found != FORMAT:
            what = f"says its format is {said(found)}" if found else "names no format"
            raise CloseintError(
                f"{path} {what}; this version reads {FORMAT!r}.",
                "Export it again with this version.",
            )
        missing = [key for key in _KEYS if key not in data]
        if missing:
            raise CloseintError(f"{path} lacks {', '.join(missing)}.", "Make the clip again.")
        del data["format"]
        try:
            data |= {key: _text(data, key, path) for key in ("body", "video", "metadata")}
            data["metadata"] = parse_json(data["metadata"] or "{}", numbers_only=True)
            for name in ("fps", "frame_start"):
                if data[name].shape != ():
                    raise _invalid(f"{name} has shape {data[name].shape}, not a single number")
                data[name] = data[name].item()
            return cls(**{f.name: data[f.name] for f in fields(cls)}).validate()
        except Unreadable as problem:
            raise _invalid(f"metadata cannot be read: {problem}", path) from None
        except CloseintError as error:
            raise CloseintError(f"{path}: {error.message}", error.fix) from error

    def world_to_camera(self, points: np.ndarray) -> np.ndarray:
        """Points (..., T, K, 3) of the world, in the camera's frame."""
        result: np.ndarray = np.einsum("tij,...tkj->...tki", self.camera_R, points) + self.camera_t[:, None]
        return result

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., T, K, 3) of the world, in pixels (..., T, K, 2)."""
        image = np.einsum("tij,...tkj->...tki", self.camera_K, self.world_to_camera(points))
        result: np.ndarray = image[..., :2] / image[..., 2:]
        return result


def _converted(name: str, value: Any, dtype: Any) -> np.ndarray:
    """An array of a clip in its file's type; texts, objects and complex numbers are not taken for numbers."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.zeros(0, object)
    if array.dtype.kind not in "biuf":
        raise _invalid(f"{name} does not convert to {np.dtype(dtype).name}")
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype is np.int64 and not (np.abs(array.astype(np.float64)) < 1 << 53).all():
            raise _invalid(f"{name} does not convert to {np.dtype(dtype).name}")
        return array.astype(dtype, order="C")


def _text(data: dict[str, Any], key: str, path: Path) -> str:
    if data[key].shape != () or data[key].dtype.kind not in "US":
        raise _invalid(f"{key} is not a text", path)
    value = data[key].item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _invalid(problem: str, path: Path | None = None) -> CloseintError:
    where = f"{path}: " if path else ""
    return CloseintError(f"{where}The clip is not valid: {problem}.", "Make the clip again.")
