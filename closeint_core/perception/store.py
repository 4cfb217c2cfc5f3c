# SPDX-License-Identifier: Apache-2.0
"""What perception saw of a film, kept in a file: solving can be repeated, or done where there is no video at all.

A file says which footage it belongs to and which perception made it. Arrays only; nothing in it is executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.foreign_files import read_arrays
from closeint_core.perception.observations import Observations, PairSeen
from closeint_core.settings import EYES

SUFFIX = ".observed.npz"
PERCEPTION = 2 if EYES else 1
"""Raised by whoever changes what perception reports: what was kept before then is looked at again."""
_ARRAYS = ("keypoints2d", "landmarks3d", "landmarks3d_confidence", "visible", "boxes", "peaks")
_PAIR = "pair_"
"""Before the names of what the eyes for pairs saw; such arrays are all there or none is."""


def content_key(source: Path) -> str:
    """Hex digest of a file's content, or of the names and contents of a folder's files.

    Raises:
        CloseintError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
        for path in files:
            if source.is_dir():
                digest.update(path.name.encode() + b"\0")
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise CloseintError(f"{source} cannot be read: {error.strerror or error}.", "Check the path.") from error
    return digest.hexdigest()


def save_observations(path: Path, observations: Observations, key: str) -> None:
    """Write observations with the key of what was seen; peaks in single precision.

    Raises:
        CloseintError: the file cannot be written.
    """
    arrays = {name: getattr(observations, name) for name in _ARRAYS}
    arrays = {name: array if array.dtype == bool else array.astype(np.float32) for name, array in arrays.items()}
    if observations.pair is not None:
        arrays |= {_PAIR + f.name: getattr(observations.pair, f.name) for f in fields(PairSeen)}
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            fps=np.float64(observations.fps),
            frame_start=np.int64(observations.frame_start),
            image_size=np.array(observations.image_size, np.int64),
            people=np.array(observations.people, np.int64),
            key=np.array(key),
            perception=np.int64(PERCEPTION),
            **arrays,
        )


def load_observations(path: Path, key: str | None = None) -> Observations | None:
    """Observations of a file; None if it is of another perception, or of other footage than ``key`` (None: any).

    Raises:
        CloseintError: the file is damaged or of another kind.
    """
    fix = "Remove it; it is made again."
    try:
        stored = read_arrays(path, "a file of observations")
        if int(stored["perception"]) != PERCEPTION or (key is not None and str(stored["key"]) != key):
            return None
        arrays: dict[str, Any] = {name: stored[name] for name in _ARRAYS}
        pair_names = [f.name for f in fields(PairSeen) if any(name.startswith(_PAIR) for name in stored)]
        pair = {name: stored[_PAIR + name] for name in pair_names}
        width, height = (int(value) for value in stored["image_size"])
        people = tuple(int(value) for value in stored["people"])
        fps, start = float(stored["fps"]), int(stored["frame_start"])
        if any(array.dtype.kind not in "bf" for array in (*arrays.values(), *pair.values())):
            raise ValueError("an array of another type")
    except CloseintError as error:
        raise CloseintError(f"{path} does not hold observations: {error.message}", fix) from None
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise CloseintError(f"{path} does not hold observations ({type(error).__name__}: {error}).", fix) from error
    people_frames = arrays["visible"].shape
    if len(people_frames) != 2 or 0 in people_frames:
        raise CloseintError(f"{path} does not hold observations: visible is {people_frames}, not people x frames.", fix)
    expected = {
        "keypoints2d": (*people_frames, 26, 3),
        "landmarks3d": (*people_frames, 26, 3),
        "landmarks3d_confidence": (*people_frames, 26),
        "boxes": (*people_frames, 4),
        "peaks": (people_frames[-1], 17, *arrays["peaks"].shape[2:3], 3),
    }
    wrong = [name for name, shape in expected.items() if arrays[name].shape != shape]
    if pair:
        told = PairSeen.shapes(people_frames[-1])
        wrong += [_PAIR + n for n, shape in told.items() if pair[n].shape != shape or people_frames[0] != 2]
    if wrong or len(people_frames) != 2 or arrays["visible"].dtype != bool or not (fps > 0 and width > 0 < height):
        raise CloseintError(
            f"{path} does not hold observations: {', '.join(wrong) or 'its header'} is wrong.",
            "Remove it; it is made again.",
        )
    seen = PairSeen(**pair) if pair else None
    return Observations(**arrays, fps=fps, frame_start=start, image_size=(width, height), people=people, pair=seen)


def kept(path: Path, source: Path, perceive: Callable[[], Observations], tag: str = "") -> Observations:
    """The observations of ``source`` kept at ``path``, made by ``perceive`` and kept if they are not there yet.

    Where the source is not there, what was kept is taken as it is.

    Args:
        tag: what else the observations depend on, as the range of frames.

    Raises:
        CloseintError: neither is there, or the file is damaged or cannot be written.
    """
    key = content_key(source) + tag if source.exists() else None
    found = load_observations(path, key) if path.is_file() else None
    if found is not None:
        return found
    if key is None:
        raise CloseintError(
            f"Neither {source} nor observations of it that this version can use are there.", "Bring the footage."
        )
    made = perceive()
    save_observations(path, made, key)
    return made
