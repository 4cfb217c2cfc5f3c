# SPDX-License-Identifier: Apache-2.0
"""Recorded couples as pairs of BVH files: the salsa dancers of the CMU library (subjects 60 and 61).

The files' traps are handled here: both dancers carry the same figure, at three quarters of life size, while the way
between them is nearly life-size, and a little off from trial to trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from closeint_core.errors import CloseintError
from closeint_core.training.readers.mocap import read_bvh
from closeint_core.training.readers.retarget import Recording, match_joints

FIGURE = 0.75
"""Size of the recorded figures relative to life: thigh and shin together measure 0.643 m."""
WAYS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Factors of the dancers' way over the floor, of which each trial takes the one at which hand holds close best."""
HELD_OUT_TRIALS = ("04", "15")
"""Trials for tests: never to be trained on, nor to be looked at when kinds of interaction are written."""
COUPLE_JOINTS = (
    "pelvis", "head", "neck",
    *(f"{side}_{name}" for side in ("left", "right")
      for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist", "hand")),
)  # fmt: skip
"""Joints of a couple, in order; a hand is its middle knuckle."""
_KNUCKLES = {"left_hand": ("lmid1", "leftmiddle1"), "right_hand": ("rmid1", "rightmiddle1")}
_PERCENTILE = 40.0


@dataclass(frozen=True)
class Couple:
    """Two people recorded together.

    Attributes:
        name: of the trial. joints: (2, F, len(COUPLE_JOINTS), 3) metres, right-handed, Z up. fps: frames a second.
        way: factor by which the recorded way over the floor was scaled (``WAYS``).
        gap: metres, 40th percentile over time of the distance between the two hands nearest to each other.
    """

    name: str
    joints: np.ndarray
    fps: float
    way: float
    gap: float


def read_couples(folder: str | Path, trials: Sequence[str] | None = None) -> list[Couple]:
    """The couples of a folder with ``60_NN.bvh`` beside ``61_NN.bvh``.

    Args:
        trials: two-digit numbers; None for all but ``HELD_OUT_TRIALS``.

    Raises:
        CloseintError: there is no such pair of files, one is damaged, or the two are not of the same length.
    """
    folder = Path(folder)
    found = sorted(path.stem.removeprefix("60_") for path in folder.glob("60_??.bvh"))
    wanted = [name for name in found if name not in HELD_OUT_TRIALS] if trials is None else list(trials)
    if not wanted or any(name not in found for name in wanted):
        missing = ", ".join(name for name in wanted if name not in found) or "any"
        raise CloseintError(
            f"{folder} does not hold the recorded couples asked for ({missing}).",
            "Its files are called 60_01.bvh with 61_01.bvh and so on.",
        )
    return [_read(folder, name) for name in wanted]


def _read(folder: Path, name: str) -> Couple:
    recordings = [read_bvh(folder / f"{subject}_{name}.bvh") for subject in ("60", "61")]
    if len(recordings[0].positions) != len(recordings[1].positions):
        raise CloseintError(
            f"60_{name}.bvh and 61_{name}.bvh in {folder} differ in length.", "Give both halves of one recording."
        )
    people = np.stack([_joints(recording, f"trial {name}") for recording in recordings])
    best: tuple[float, float, np.ndarray] | None = None
    for way in WAYS:
        joints = life_size(people, way)
        gap = float(np.percentile(hand_gap(joints), _PERCENTILE))
        if best is None or gap < best[0]:
            best = gap, way, joints
    assert best is not None
    return Couple(name, best[2].astype(np.float32), recordings[0].fps, best[1], best[0])


def _joints(recording: Recording, what: str) -> np.ndarray:
    """(F, len(COUPLE_JOINTS), 3) in the file's units, turned from Y up to Z up."""
    found = match_joints(recording.names)
    plain = [name.lower() for name in recording.names]
    for hand, names in _KNUCKLES.items():
        found.update((hand, plain.index(name)) for name in names if name in plain)
    missing = [name for name in COUPLE_JOINTS if name not in found]
    if missing:
        raise CloseintError(
            f"The skeleton of {what} has no joints for {', '.join(missing)}.", "Export it with fingers."
        )
    points = recording.positions[:, [found[name] for name in COUPLE_JOINTS]]
    return np.stack((points[..., 0], -points[..., 2], points[..., 1]), -1).astype(np.float64)


def life_size(people: np.ndarray, way: float = 1.0) -> np.ndarray:
    """Figures of ``FIGURE`` size (2, F, K, 3), the first joint the root, blown up about the floor below the root, whose
    way over the floor is scaled by ``way``."""
    root = people[:, :, :1] * [1.0, 1.0, 0.0]
    result: np.ndarray = (people - root) / FIGURE + way * root
    return result


def hand_gap(joints: np.ndarray) -> np.ndarray:
    """(F,) metres between the nearest hands of the two, joints (2, F, len(COUPLE_JOINTS), 3)."""
    hands = joints[:, :, [COUPLE_JOINTS.index("left_hand"), COUPLE_JOINTS.index("right_hand")]]
    result: np.ndarray = np.linalg.norm(hands[0][:, :, None] - hands[1][:, None], axis=-1).min((1, 2))
    return result
