# SPDX-License-Identifier: Apache-2.0
"""Annotated frames without usable numbers: one NaN would otherwise pass through the network into every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.progress import Progress
from closeint_core.training.readers import AnnotatedSequence

_KEYS = {
    "poses": "poses", "betas": "shapes", "initial_poses": "init_poses", "features": "features", "centre": "center",
    "patch_scale": "patch_scale", "focal": "intris",
}  # fmt: skip
"""Names of an ``AnnotatedSequence`` and of the annotation file. Single keypoints may be NaN: they are unseen."""
_POSITIVE = ("patch_scale", "focal")


def fill_unusable(sequences: Sequence[AnnotatedSequence], progress: Progress) -> list[AnnotatedSequence]:
    """Sequences in which every number that the network or the metrics read is finite, every size and focal length
    above 0.

    A person-frame that lacks one takes everything from the person's nearest frame that is whole, and is not valid.
    ``progress`` is warned of how many there are.

    Raises:
        CloseintError: a person has no usable frame; says in which sequence and by which key.
    """
    found, count = [], 0
    for index, sequence in enumerate(sequences):
        usable = np.ones(sequence.valid.shape, bool)
        for name, key in _KEYS.items():
            here = _usable(sequence, name)
            usable &= here
            for problem, good in ((f"{key} has no usable number", here), ("no frame has all its numbers", usable)):
                if not good.any(axis=0).all():
                    person = int(np.flatnonzero(~good.any(axis=0))[0])
                    raise CloseintError(
                        f"Sequence {index} of the annotations, person {person}: {problem}.",
                        "Correct the sequence in the annotation file, or leave it out.",
                    )
        count += int((sequence.valid & ~usable).sum())
        found.append(sequence if usable.all() else _filled(sequence, usable))
    if count:
        progress.warn(f"{count} person-frames have no usable numbers in the annotations and count as not valid.")
    return found


def _usable(sequence: AnnotatedSequence, name: str) -> np.ndarray:
    """Bool (F, P): where an attribute can be used."""
    values = getattr(sequence, name)
    if values is None:
        return np.ones(sequence.valid.shape, bool)
    good = np.isfinite(values)
    if name in _POSITIVE:
        good &= values > 0
    if name == "focal":
        good = np.repeat(good[:, None], sequence.valid.shape[1], 1)
    flat: np.ndarray = good.reshape(*sequence.valid.shape, -1).all(axis=-1)
    return flat


def _filled(sequence: AnnotatedSequence, usable: np.ndarray) -> AnnotatedSequence:
    frames = np.arange(sequence.frames)
    arrays: dict[str, Any] = {
        f.name: getattr(sequence, f.name).copy()
        for f in fields(sequence)
        if f.name in _KEYS and getattr(sequence, f.name) is not None
    }
    for person in range(usable.shape[1]):
        whole = np.flatnonzero(usable[:, person])
        nearest = whole[np.abs(frames[:, None] - whole).argmin(axis=1)]
        for name, values in arrays.items():
            if name != "focal":
                values[:, person] = values[nearest, person]
    whole = np.flatnonzero(_usable(sequence, "focal")[:, 0])
    arrays["focal"] = arrays["focal"][whole[np.abs(frames[:, None] - whole).argmin(axis=1)]]
    return replace(sequence, valid=sequence.valid & usable, **arrays)
