# SPDX-License-Identifier: Apache-2.0
"""The tuned numbers of the stages from observations to a clip.

"Chosen by hand" is a value that nobody measured. ``RECONSTRUCTION.now`` has the values in force (``calibrated``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from closeint_core.calibrated import Calibrated
from closeint_core.mesh.calibration import MESH
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.physics.calibration import PHYSICS
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.fit_calibration import FitWeights, Stage


@dataclass(frozen=True)
class LearnedCalibration:
    """The denoiser, and the fit that settles what it says."""

    rate: float = 30.0
    """frames/s: that the denoiser was trained around; faster footage is taken in interleaved sequences. Origin: the
    training's."""
    stages: tuple[Stage, ...] = (
        Stage(
            "placing", 3, 0.5, 2.0, FitWeights(pose=4.0, gravity=0.3, overlap=0.3, smooth=0.05, turn=0.01, skate=0.0)
        ),
        Stage("fitting", 3, 0.15, 0.5, FitWeights(pose=4.0, gravity=0.3, overlap=0.3)),
    )
    """m: the first stages of the fit. The denoiser's poses are the usual ones, and how well it knows them is in
    ``physics.joints.denoised``: they count for more than a stance at ease does in the plain fit, and that people stand
    upright for less. Origin: measured on held-out interactions, 12 films and 12 simulated: MPJPE 81 and 62 mm with a
    weight of 0.5 for poses, 77 and 58 mm with 4."""
    polish: tuple[Stage, ...] = (
        Stage("settling", 3, 0.3, 0.3, FitWeights(pose=4.0, gravity=0.3, overlap=0.3)),
        Stage("polishing", 3, 0.10, 0.15, FitWeights(pose=4.0, gravity=0.3, overlap=0.3)),
    )
    """m: the stages after doubtful joints were dealt out anew, one for each of ``claims``. Origin: as ``stages``."""
    claims: tuple[float, float] = (0.12, 0.07)
    """m: by which the bodies may be off when they claim doubtful joints, before each stage. Origin: chosen by hand."""
    sure: float = 0.4
    """1: weight from which a keypoint is sure. Origin: chosen by hand."""
    apart: float = 0.05
    """m: in which windows are usually apart about the pelvis. Origin: chosen by hand."""
    off: float = 0.06
    """m: half of the sure joints further off than this, and the denoiser is not believed. Origin: chosen by hand."""
    least_metres_per_pixel: float = 1e-4
    """m: that a pixel spans at a person at least. Origin: a guard, no tuning."""
    shape_ridge: float = 1e-4
    """1: weight of shapes near the mean where bones do not tell them. Origin: a guard, no tuning."""
    least_window: float = 1e-4
    """1: weight that a window has at its ends. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class ConditionCalibration:
    """What the denoiser is told; trained weights depend on it."""

    sure: float = 0.1
    """probability: confidence from which a keypoint counts for the crop. Origin: chosen by hand, then trained with."""
    smoothing: float = 3.0
    """frames: over which a crop moves; one wrong joint must not make it jump. Origin: chosen by hand, then trained
    with."""
    least_side: float = 8.0
    """px: that a crop has at least. Origin: chosen by hand, then trained with."""
    margin: float = 1.1
    """1: times the extent of the keypoints that a crop has. Origin: chosen by hand, then trained with."""
    upright: tuple[float, float, float] = (1.0, -1.0, -1.0)
    """1: diagonal of the root's rotation of somebody never seen: standing, facing the camera. Origin: a definition."""


@dataclass(frozen=True)
class FloorCalibration:
    """The floor under a motion of which only poses are known, and the world of a floor."""

    tilt: float = 0.3
    """m: by which feet may be off the floor for every unit of its slope (both horizontal slopes). Origin: chosen by
    hand."""
    low: float = 0.08
    """m: over the floor at which a foot's say is halved. Origin: chosen by hand."""
    low_range: float = 0.03
    """m: over which that changes (logistic). Origin: chosen by hand."""
    lowest: float = 0.02
    """1: share of the feet that may be under the floor. Origin: chosen by hand."""
    straight_down: float = 0.05
    """1: length along the floor of the camera's direction below which it looks straight down. Origin: a guard, no
    tuning."""


@dataclass(frozen=True)
class ReconstructionCalibration:
    """All tuned numbers of the reconstruction's own stages."""

    learned: LearnedCalibration = LearnedCalibration()
    """The denoiser and what settles it."""
    conditions: ConditionCalibration = ConditionCalibration()
    """What the denoiser is told."""
    floor: FloorCalibration = FloorCalibration()
    """The floor of a motion."""


RECONSTRUCTION = Calibrated("reconstruction", ReconstructionCalibration())
"""The reconstruction's numbers; ``RECONSTRUCTION.now`` are those in force."""

PACKAGES: tuple[Calibrated[Any], ...] = (MESH, PERCEPTION, PHYSICS, SOLVER, RECONSTRUCTION)
"""All that has tuned numbers between a video and a clip."""
