# SPDX-License-Identifier: Apache-2.0
"""The tuned numbers of the first solve: weights, spreads, stages and steps. ``SOLVER.now.fit`` are those in force."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitWeights:
    """Weights of the first solve's terms; one is the natural choice, since every term is in units of its spread."""

    reprojection: float = 1.0
    """1: of keypoints. Origin: the unit."""
    directions: float = 0.5
    """1: of limbs' directions. Origin: chosen by hand."""
    limits: float = 1.0
    """1: of joint limits. Origin: chosen by hand."""
    pose: float = 0.15
    """1: of usual poses. Origin: chosen by hand."""
    betas: float = 0.3
    """1: of usual shapes. Origin: chosen by hand."""
    smooth: float = 0.3
    """1: of joints' accelerations. Origin: chosen by hand."""
    turn: float = 0.05
    """1: of rotations' accelerations. Origin: chosen by hand."""
    stand: float = 0.5
    """1: of standing feet. Origin: chosen by hand."""
    sink: float = 1.0
    """1: of feet under the floor. Origin: chosen by hand."""
    skate: float = 0.2
    """1: of planted feet that slide. Origin: chosen by hand."""
    gravity: float = 1.0
    """1: of people and floors that are upright. Origin: chosen by hand."""
    overlap: float = 1.0
    """1: of bodies in each other. Origin: chosen by hand."""
    apart: float = 2.0
    """1: of how two people stand to each other by a motion that is nearly right. Origin: chosen by hand."""


@dataclass(frozen=True)
class Stage:
    """Some Gauss-Newton steps over the same terms."""

    name: str
    """1: told to whoever shows progress. Origin: a name."""
    steps: int
    """1: at standard quality. Origin: more steps fit the noise (PA-MPJPE 67 mm with 3, 73 mm with 8 on the sample)."""
    outlier: float
    """m: beyond which a keypoint counts as an outlier. Origin: chosen by hand."""
    floor: float = 0.15
    """m: beyond which a standing foot's height counts as an outlier. Origin: chosen by hand."""
    weights: FitWeights = FitWeights()
    """Of the terms."""
    shape_is_free: bool = True
    """1: shapes and the floor are unknown too. Origin: a choice."""


@dataclass(frozen=True)
class Damping:
    """How Gauss-Newton steps are damped, in units of how far each unknown reaches."""

    first: float = 0.2
    """1: damping of the first step. Origin: chosen by hand."""
    least: float = 0.02
    """1: damping that is not fallen below. Origin: chosen by hand."""
    easier: float = 3.0
    """1: times less damping of a frame that did not rise. Origin: chosen by hand."""
    harder: tuple[float, float] = (3.0, 6.0)
    """1: times more damping of a frame that rose, where all together fell and where they did not. Origin: chosen by
    hand."""
    rose: float = 1e-3
    """1: energy of a frame by which it has to rise for its damping to. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class FitCalibration:
    """The first solve: from keypoints to people on a floor."""

    stages: tuple[Stage, ...] = (
        Stage("placing", 3, 0.5, 2.0, FitWeights(smooth=0.05, turn=0.01, skate=0.0, overlap=0.05)),
        Stage("fitting", 3, 0.15, 0.5),
    )
    """m: the first stages, coarse to fine. Origin: chosen by hand."""
    untangle: Stage = Stage("untangling", 3, 0.15)
    """m: the stage after whole frames in doubt were dealt out anew. Origin: chosen by hand."""
    claims: tuple[float, ...] = (0.20, 0.12, 0.07)
    """m: by which the bodies may be off when they claim such frames' joints, in turn. Origin: chosen by hand."""
    refit: Stage = Stage("refitting", 4, 0.10)
    """m: the last stage. Origin: chosen by hand."""
    pixels: float = 0.02
    """m: by which a keypoint is off. Origin: chosen by hand."""
    direction: float = 0.3
    """rad: by which a limb's direction is off. Origin: chosen by hand."""
    limit: float = 0.08
    """rad: beyond a joint's limits that are plausible. Origin: chosen by hand."""
    smooth: float = 0.012
    """m: a frame squared at 30 frames a second, that joints accelerate. Origin: chosen by hand."""
    turn: float = 0.08
    """rad: the same of rotations. Origin: chosen by hand."""
    skate: float = 0.006
    """m: a frame at 30 frames a second, that a planted foot slides. Origin: chosen by hand."""
    stand: float = 0.02
    """m: by which a standing foot is off the floor. Origin: chosen by hand."""
    sink: float = 0.01
    """m: by which a foot is under the floor. Origin: chosen by hand."""
    lowest: float = 0.01
    """m: over which the lowest of a foot's points is told. Origin: chosen by hand."""
    upright: float = 0.15
    """1: chord of a person's angle to upright that is plausible. Origin: chosen by hand."""
    leans: float = 0.4
    """1: chord of that angle beyond which it says nothing. Origin: chosen by hand."""
    tilt: float = 0.05
    """1: by which the floor's normal is off its first guess. Origin: chosen by hand."""
    overlap: float = 0.01
    """m: of spheres in each other. Origin: chosen by hand."""
    nearest: float = 0.05
    """m: from the camera at least. Origin: a guard, no tuning."""
    made_for: float = 3.0
    """1: shape coefficients up to which the body was made. Origin: how the body was made."""
    beyond: float = 10.0
    """1: weight of the square beyond. Origin: chosen by hand."""
    foot_off: float = 0.05
    """m: by which the height of feet under the camera is off, as far as sizes go. Origin: chosen by hand."""
    gap_off: float = 0.06
    """1: by which a motion prior is off in how much larger one person is than the other. Origin: chosen by hand."""
    low_camera: float = 0.4
    """m: over the soles; below, the floor says nothing of sizes, and all only from twice this. Origin: chosen by
    hand."""
    level: tuple[float, float] = (0.6, 0.3)
    """1: share of the people's slant that the first floor takes, and least part of its normal that points up. Origin:
    chosen by hand; cameras are held level far more often than not."""
    foot_seen: float = 0.2
    """1: weight from which on a foot's point was seen. Origin: chosen by hand."""
    least_clearance: float = 0.2
    """m: that the camera is over the soles at least. Origin: a guard, no tuning."""
    seldom: float = 0.05
    """1: least share of frames in which feet count as seen. Origin: chosen by hand."""
    least_standing: float = 0.05
    """1: least weight of the belief that a person stands on the floor. Origin: chosen by hand."""
    sizes: tuple[float, float] = (0.6, 1.4)
    """1: common scales of people that are tried. Origin: chosen by hand."""
    enough: float = 0.05
    """1: squared weight from which on a keypoint places a person. Origin: chosen by hand."""
    least_depth: float = 0.3
    """m: that a placed person is away at least. Origin: a guard, no tuning."""
    doubt: float = 0.25
    """1: weight of the usual pose where a motion is not believed. Origin: chosen by hand."""
    least_metres_per_pixel: float = 1e-4
    """m: that a pixel spans at a person at least. Origin: a guard, no tuning."""
    on_floor: float = 0.03
    """m: height below which a foot of a single picture stands. Origin: chosen by hand."""
    arms_down: float = 1.2
    """rad: that arms hang from a T at ease. Origin: chosen by hand."""
    elbows: float = 0.3
    """rad: that elbows are bent at ease. Origin: chosen by hand."""
    knees: float = 0.1
    """rad: that knees are bent at ease. Origin: chosen by hand."""
    damping: Damping = Damping(first=0.1, least=0.003, easier=4.0, harder=(3.0, 10.0))
    """Of steps."""
    reach: tuple[float, float] = (0.3, 0.3)
    """1: radians and metres that damping of one holds unknowns to. Origin: chosen by hand."""
    shared_hold: tuple[float, float] = (1.0, 4.0)
    """1: that holds shapes and floor in a step, and times as much after one that did not help. Origin: chosen by
    hand."""
    longest: float = 0.6
    """rad: the longest step of a joint. Origin: chosen by hand."""
    tolerance: float = 1e-2
    """1: of the linear solve, relative. Origin: 8 iterations reach it; more changed no figure of the sample."""
