# SPDX-License-Identifier: Apache-2.0
"""The tuned numbers of physics: how stiff joints are, how far they bend, the floor and the feet on it.

"Chosen by hand" is a value that nobody measured. ``PHYSICS.now`` has the values in force (``calibrated``).
"""

from __future__ import annotations

from dataclasses import dataclass

from closeint_core.calibrated import Calibrated


@dataclass(frozen=True)
class JointSpreads:
    """How far each of SMPL's 24 joints strays, by what it strays from: one table, a column for each use.

    The columns differ because they answer different questions, and results depend on them.
    """

    relaxed: tuple[float, ...] = (
        1e3, 1.2, 1.2, 0.4, 1.5, 1.5, 0.4, 0.4, 0.4, 0.4, 0.1, 0.1,
        0.4, 0.2, 0.2, 0.5, 1.5, 1.5, 1.5, 1.5, 0.4, 0.4, 0.1, 0.1,
    )  # fmt: skip
    """rad: from a relaxed stance, without evidence; the root is free. Origin: chosen by hand."""
    refined: tuple[float, ...] = (
        0.10, 0.25, 0.25, 0.10, 0.3, 0.3, 0.10, 0.2, 0.2, 0.10, 0.10, 0.10,
        0.12, 0.15, 0.15, 0.15, 0.35, 0.35, 0.4, 0.4, 0.25, 0.25, 0.1, 0.1,
    )  # fmt: skip
    """rad: from a motion that is refined; as far each joint is moved as readily as any other: limbs before the spine,
    the root last. Origin: chosen by hand."""
    denoised: tuple[float, ...] = (
        0.15, 0.27, 0.27, 0.08, 0.2, 0.2, 0.08, 0.3, 0.3, 0.08, 0.1, 0.1,
        0.16, 0.08, 0.08, 0.13, 0.42, 0.42, 0.44, 0.44, 0.29, 0.29, 0.15, 0.15,
    )  # fmt: skip
    """rad: from what the denoiser says, root mean square. Origin: measured on held-out interactions, mean of both
    sides."""


@dataclass(frozen=True)
class LimitCalibration:
    """How far joints bend; the published ranges are in ``joint_limits``."""

    margin: float = 10.0
    """deg: that every joint is given beyond the published range. Origin: chosen by hand."""


@dataclass(frozen=True)
class SegmentMasses:
    """Shares of the body's mass, mean of women and men; the trunk's by its upper, middle and lower part.

    de Leva, "Adjustments to Zatsiorsky-Seluyanov's segment inertia parameters", Journal of Biomechanics 29, 1996.
    """

    head: float = 6.8
    """%: head and neck. Origin: de Leva 1996."""
    chest: float = 15.7
    """%: upper part of the trunk. Origin: de Leva 1996."""
    belly: float = 15.5
    """%: middle part of the trunk. Origin: de Leva 1996."""
    pelvis: float = 11.8
    """%: lower part of the trunk. Origin: de Leva 1996."""
    upper_arm: float = 2.6
    """%: of each side. Origin: de Leva 1996."""
    forearm: float = 1.5
    """%: of each side. Origin: de Leva 1996."""
    hand: float = 0.6
    """%: of each side. Origin: de Leva 1996."""
    thigh: float = 14.5
    """%: of each side. Origin: de Leva 1996."""
    shin: float = 4.6
    """%: of each side. Origin: de Leva 1996."""
    foot: float = 1.3
    """%: of each side. Origin: de Leva 1996."""


@dataclass(frozen=True)
class BalanceCalibration:
    """The centre of mass over the feet."""

    masses: SegmentMasses = SegmentMasses()
    """What weighs how much."""
    foot_width: float = 0.03
    """m: by which a sole reaches beyond its keypoints. Origin: chosen by hand."""


@dataclass(frozen=True)
class GroundCalibration:
    """The floor and the feet on it."""

    slope_prior: float = 0.03
    """rad: by which the direction taken for up is typically wrong: stances have to beat it. Origin: chosen by hand."""
    stance_noise: float = 0.015
    """m: by which a stance is typically off the floor in a reconstruction. Origin: chosen by hand."""
    outlier: float = 0.04
    """m: off the plane from which on a stance hardly counts. Origin: chosen by hand."""
    least_weight: float = 1e-3
    """1: weight of a stance below which it is left out. Origin: a guard, no tuning."""
    sure: float = 0.25
    """1: weight from which on a stance can tell a slope. Origin: chosen by hand."""
    lowest: float = 0.01
    """m: over which the points of a foot share what its lowest point is. Origin: chosen by hand."""
    sole: float = 0.003
    """m: over which the points of a sole share its weight. Origin: chosen by hand."""
    shortest: float = 0.08
    """s: a shorter stance is chance. Origin: chosen by hand."""
    stands: float = 0.5
    """probability: above which a foot has a stance. Origin: even odds."""
    low: float = 0.05
    """m: over the floor at which a foot is as likely down as up. Origin: chosen by hand."""
    low_range: float = 0.015
    """m: over which that changes (logistic). Origin: chosen by hand."""
    slow: float = 0.35
    """m/s: at which a foot is as likely to stand as to move. Origin: chosen by hand."""
    slow_range: float = 0.1
    """m/s: over which that changes (logistic). Origin: chosen by hand."""
    speed_span: float = 1 / 30
    """s: over which a foot's speed is measured; a frame where that is longer. Origin: a frame of most footage."""
    down_percentile: float = 10.0
    """%: of all feet's heights that are taken for the floor, to judge a clip whose floor is off. Origin: chosen by
    hand."""
    down_height: float = 0.06
    """m: over that up to which a foot is down. Origin: measured, soles that stand are at one height within 4 cm in
    reconstructions."""
    down_seconds: float = 0.25
    """s: around in most of which a foot that is down is slow. Origin: chosen by hand."""
    down_speed: float = 0.6
    """m/s: that a foot that is down is slower than. Origin: measured, feet that swing in walking do 1.5 to 4, feet that
    slid in reconstructions 0.2 on average and 0.9 at worst."""


@dataclass(frozen=True)
class PhysicsCalibration:
    """All tuned numbers of physics."""

    joints: JointSpreads = JointSpreads()
    """How stiff joints are."""
    limits: LimitCalibration = LimitCalibration()
    """How far joints bend."""
    balance: BalanceCalibration = BalanceCalibration()
    """The centre of mass over the feet."""
    ground: GroundCalibration = GroundCalibration()
    """The floor."""


PHYSICS = Calibrated("physics", PhysicsCalibration())
"""The numbers of physics; ``PHYSICS.now`` are those in force."""
