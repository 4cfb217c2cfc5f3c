# SPDX-License-Identifier: Apache-2.0
"""Annotation files in the layout in which CloseInt was published: ``<root>/<name>/annot/{train,test}.pkl``.

A pickled dictionary of lists, one entry a sequence. It is read without running anything that it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from closeint_core.body import restricted_pickle
from closeint_core.errors import CloseintError

_MAX_PARTS = 60_000_000
_FIX = "Give a folder with <name>/annot/train.pkl and test.pkl as published with CloseInt."
# Shape behind the frames and people, and whether the file may lack it.
_ARRAYS: dict[str, tuple[tuple[int, ...], bool]] = {
    "pose2ds": ((26, 3), True), "pose2ds_pred": ((26, 3), False), "features": ((1024,), False), "center": ((2,), True),
    "patch_scale": ((), True), "init_poses": ((72,), False), "poses": ((72,), True), "shapes": ((10,), True),
    "intris": ((3, 3), True), "genders": ((), True), "valid": ((), False),
}  # fmt: skip


@dataclass
class AnnotatedSequence:
    """One sequence: F frames, P (1 or 2) people; float32 unless said.

    Attributes:
        keypoints2d: (F, P, 26, 3) true Halpe-26, pixels and confidence. keypoints2d_detected: the same as detected, or
            None. features: (F, P, 1024) HMR2.0 tokens or None.
        centre: (F, P, 2) of the crop, pixels. patch_scale: (F, P) its side / 200.
        poses: (F, P, 24, 3) axis-angle in camera axes. betas: (F, P, 10). initial_poses: as poses, or None.
        focal: (F,) pixels; the principal point is the middle of the image. image_size: (F, 2) width, height.
        genders: (P,) ``female``, ``male`` or ``neutral``, by the first frame. valid: (F, P) bool.
        image_names: F paths relative to the data set's folder.
    """

    keypoints2d: np.ndarray
    keypoints2d_detected: np.ndarray | None
    features: np.ndarray | None
    centre: np.ndarray
    patch_scale: np.ndarray
    poses: np.ndarray
    betas: np.ndarray
    initial_poses: np.ndarray | None
    focal: np.ndarray
    image_size: np.ndarray
    genders: tuple[str, ...]
    valid: np.ndarray
    image_names: tuple[str, ...]

    @property
    def frames(self) -> int:
        """F."""
        return len(self.poses)

    def windows(self, length: int = 16, split: Literal["train", "test"] = "train") -> range:
        """First frames of the windows of the published protocol.

        Training takes every start; testing takes every ``length``-th and drops what is left at the end.
        """
        if split == "train":
            return range(max(0, self.frames - length + 1))
        return range(0, max(0, self.frames - length), length)


def read_annotations(root: str | Path, split: Literal["train", "test"], name: str = "Hi4D") -> list[AnnotatedSequence]:
    """Every sequence of one annotation file.

    Args:
        root: folder that holds the data set's folder ``name``.

    Raises:
        CloseintError: the file is missing (exit code 3), unsafe, damaged or not of this layout.
    """
    path = Path(root) / name / "annot" / f"{split}.pkl"
    if not path.is_file():
        raise CloseintError(f"There is no annotation file {path}.", _FIX, exit_code=3)
    try:
        record = restricted_pickle.loads(path.read_bytes(), max_parts=_MAX_PARTS, deep=True)
    except restricted_pickle.Refused as refusal:
        raise CloseintError(f"{path} would run {refusal} and is not read.", "Get the file from its owners.") from None
    except restricted_pickle.Unusable as problem:
        raise CloseintError(f"{path} cannot be read: {problem}.", _FIX) from None
    if not isinstance(record, dict):
        raise CloseintError(f"{path} does not hold a dictionary.", _FIX)
    needed = {key for key, (_, required) in _ARRAYS.items() if required} | {"imnames", "img_size"}
    missing = sorted(needed - set(record))
    if missing:
        raise CloseintError(f"{path} lacks {', '.join(missing)}.", _FIX)
    count = _count(path, record)
    return [_sequence(path, record, index) for index in range(count)]


def _count(path: Path, record: dict[str, Any]) -> int:
    """How many sequences there are; every key that is read must have as many."""
    lengths: dict[str, int] = {}
    for key in (*_ARRAYS, "imnames", "img_size"):
        if key not in record:
            continue
        values = record[key]
        if not isinstance(values, list | tuple) and (not isinstance(values, np.ndarray) or values.ndim == 0):
            raise CloseintError(f"{path}: {key} is not a list with one entry a sequence.", _FIX)
        lengths[key] = len(values)
    for key, length in lengths.items():
        if length != lengths["poses"]:
            raise CloseintError(f"{path}: {key} has {length} sequences, poses has {lengths['poses']}.", _FIX)
    if lengths["poses"] == 0:
        raise CloseintError(f"{path} holds no sequence.", _FIX)
    return lengths["poses"]


def _sequence(path: Path, record: dict[str, Any], index: int) -> AnnotatedSequence:
    def fail(key: str, what: str) -> CloseintError:
        return CloseintError(f"{path}, sequence {index}: {key} {what}.", _FIX)

    def array(key: str, tail: tuple[int, ...]) -> np.ndarray:
        value = _numbers(record[key][index])
        if value is None:
            raise fail(key, "is not an array of numbers")
        if value.ndim < 2 or value.shape[2:] != tail:
            wanted = " x ".join(["F", "P", *(str(n) for n in tail)])
            raise fail(key, f"is {' x '.join(map(str, value.shape)) or 'a single number'}, not {wanted}")
        if value.size and not np.isfinite(value).any():
            raise fail(key, "holds no number at all, only NaN or infinity")
        return value

    found = {key: array(key, tail) for key, (tail, _) in _ARRAYS.items() if key in record}
    frames, people = found["poses"].shape[:2]
    if not 1 <= people <= 2 or frames == 0:
        raise fail("poses", f"has {frames} frames of {people} people, not at least one frame of one or two")
    for key, value in found.items():
        if value.shape[:2] != (frames, people):
            raise fail(key, f"has {value.shape[0]} frames of {value.shape[1]} people, poses {frames} of {people}")
    names, size = record["imnames"][index], _numbers(record["img_size"][index])
    if not isinstance(names, list | tuple | np.ndarray) or np.ndim(names) == 0 or len(names) != frames:
        raise fail("imnames", f"does not name {frames} images, one for each frame of poses")
    if size is None or size.shape != (frames, 2):
        raise fail("img_size", f"is not {frames} x 2 numbers, one pair for each frame of poses")
    if not (np.isfinite(size) & (size >= 1)).all():
        raise fail("img_size", "has sizes that are not positive")
    codes = np.where(np.isfinite(found["genders"][0]), found["genders"][0], 2)
    return AnnotatedSequence(
        keypoints2d=found["pose2ds"],
        keypoints2d_detected=found.get("pose2ds_pred"),
        features=found.get("features"),
        centre=found["center"],
        patch_scale=found["patch_scale"],
        poses=found["poses"].reshape(frames, people, 24, 3),
        betas=found["shapes"],
        initial_poses=found["init_poses"].reshape(frames, people, 24, 3) if "init_poses" in found else None,
        focal=found["intris"][:, 0, 0, 0],
        image_size=size[:, ::-1].copy(),  # stored as height, width
        genders=tuple({0: "female", 1: "male"}.get(int(code), "neutral") for code in codes),
        valid=found["valid"] > 0.5 if "valid" in found else np.ones((frames, people), bool),
        image_names=tuple(str(entry) for entry in names),
    )


def _numbers(values: Any) -> np.ndarray | None:
    """float32 of numbers in lists or arrays, None if there is anything else among them (texts that look like numbers,
    None, complex numbers) or if rows differ in length."""
    try:
        found = np.asarray(values)
    except (ValueError, TypeError):
        return None
    if found.dtype.kind not in "biuf":
        return None
    with np.errstate(over="ignore"):
        return found.astype(np.float32)
