# SPDX-License-Identifier: Apache-2.0
"""The solver's tuned numbers: how far residuals may plausibly be off, weights, and when something counts.

"Chosen by hand" is a value that nobody measured. ``SOLVER.now`` has the values in force (``calibrated``).
"""

from __future__ import annotations

from dataclasses import dataclass

from closeint_core.calibrated import Calibrated
from closeint_core.solver.fit_calibration import Damping, FitCalibration
from closeint_core.solver.refinement_calibration import RefinementCalibration


@dataclass(frozen=True)
class EvidenceCalibration:
    """How much is made of what was observed."""

    least_trust: float = 0.03
    """1: what a frame counts in which every joint is doubtful. Origin: chosen by hand."""
    doubtful_frame: float = 0.25
    """probability: mean confidence of a frame's joints up to which it counts least. Origin: chosen by hand."""
    doubtful_frame_range: float = 0.35
    """probability: more of it, with which a frame counts fully. Origin: chosen by hand."""
    doubtful_joint: float = 0.3
    """probability: confidence of a joint up to which it counts least; below, most are elsewhere altogether. Origin:
    chosen by hand."""
    doubtful_joint_range: float = 0.3
    """probability: more of it, with which a joint counts fully. Origin: chosen by hand."""
    least_joint: float = 0.05
    """1: share with which a doubtful joint counts. Origin: chosen by hand."""
    whole_landmarks: float = 0.35
    """probability: mean confidence from which on a person's landmarks bridge gaps. Origin: chosen by hand."""
    least_foot: float = 1e-3
    """1: weight of a foot's points below which their mean is that of nothing. Origin: a guard, no tuning."""
    foot_still: float = 0.3
    """m/s: speed at which a foot is as likely to stand as to move. Origin: chosen by hand."""
    foot_still_range: float = 0.08
    """m/s: over which that changes (logistic). Origin: chosen by hand."""
    foot_low: float = 0.06
    """m: height over the lowest foot point at which a foot is as likely down as up. Origin: chosen by hand."""
    foot_low_range: float = 0.015
    """m: over which that changes (logistic). Origin: chosen by hand."""
    stands: tuple[float, float] = (0.6, 0.25)
    """probability: from which on a foot is taken to stand, and until below which it does. Origin: chosen by hand."""


@dataclass(frozen=True)
class ReassociationCalibration:
    """When joints are dealt out anew to the fitted bodies."""

    doubtful: float = 0.5
    """1: weight from which on a keypoint is left alone. Origin: chosen by hand."""
    untrusted: float = 0.3
    """1: doubt (one less trust) above which a frame's joints are dealt out anew. Origin: chosen by hand."""
    claim: float = 0.7
    """1: share of a peak's score that it is worth to the body that claims it. Origin: chosen by hand."""
    spread: float = 0.06
    """m: by which a fitted joint may be off. Origin: chosen by hand."""
    clear: float = 1.0
    """1: margin over the other person's claim, in the assignment's units. Origin: chosen by hand."""
    near: float = 2.0
    """1: cost, in the assignment's units, up to which a peak is near a fitted joint. Origin: chosen by hand."""
    worth: float = 0.5
    """1: share of a peak's score that it is worth if only its place is certain. Origin: chosen by hand."""
    contested: float = 0.4
    """1: share of a peak's score that is left where both claim it. Origin: chosen by hand."""
    unclear: float = 0.6
    """1: share of a peak's score that is lost where its margin is nothing. Origin: chosen by hand."""


@dataclass(frozen=True)
class MotionPriorCalibration:
    """How far a motion that is nearly right is believed."""

    stature_knee: float = 2.0
    """1: first shape coefficients, in standard deviations of adults; beyond, the cost grows slowly. Origin: chosen by
    hand."""
    apart: float = 0.045
    """1: share of the distance from the camera by which the motion is off in where one is from the other. Origin:
    chosen by hand."""
    enough: float = 2.0
    """1: weight of all limbs' keypoints with which a person-frame counts as seen. Origin: chosen by hand."""
    believed: float = 0.5
    """1: belief in the motion from which on it replaces what was fitted. Origin: chosen by hand."""
    least_depth: float = 0.1
    """m: depth that a place is taken to have at least. Origin: a guard, no tuning."""
    least_mean_depth: float = 0.3
    """m: mean depth that two people are taken to have at least. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class SharedShapeCalibration:
    """One shape a person for a whole clip."""

    worth: float = 8.0
    """frames: that say something of their own; errors of keypoints and poses last. Origin: chosen by hand."""
    pixels: float = 0.03
    """m: by which a keypoint is off; three times that, and it is an outlier. Origin: chosen by hand."""
    floor: float = 0.015
    """m: by which a standing sole is off the floor. Origin: chosen by hand."""
    lowest: float = 0.002
    """m: what lies this much higher than the lowest of a sole is no longer the lowest. Origin: chosen by hand."""
    across: float = 0.05
    """m: by which places are off across the view. Origin: chosen by hand."""
    along: float = 0.20
    """m: by which places are off along the view. Origin: chosen by hand."""
    least_depth: float = 0.1
    """m: depth that a point is taken to have at least. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class TermSpreads:
    """How far each residual of the refinement may plausibly be off, at 30 frames a second where time is in it."""

    turn_knee: float = 2.0
    """1: turns, in units of ``JointSpreads.refined``, beyond which the cost grows linearly. Origin: chosen by hand."""
    across: float = 0.05
    """m: by which a place is moved across the view. Origin: chosen by hand."""
    along: float = 0.20
    """m: by which a place is moved along the view, which a single camera knows least. Origin: chosen by hand."""
    least_freedom: float = 0.03
    """1: freedom of a frame that hardly moves. Origin: chosen by hand."""
    limits: float = 0.08
    """rad: by which a joint may be beyond its limits. Origin: chosen by hand."""
    keypoint: float = 0.02
    """m: by which an ordinary keypoint is off at the person's distance. Origin: chosen by hand."""
    least_depth: float = 0.05
    """m: depth that a keypoint is taken to have at least. Origin: a guard, no tuning."""
    least_metres_per_pixel: float = 1e-4
    """m: that a pixel spans at a person at least. Origin: a guard, no tuning."""
    sole: float = 0.003
    """m: over which the lowest of a foot's points is told. Origin: chosen by hand."""
    stand_slack: float = 0.004
    """m: by which a standing foot may be over the floor at no cost. Origin: chosen by hand."""
    stand: float = 0.01
    """m: by which a standing foot may be off the floor beyond that. Origin: chosen by hand."""
    sunk: float = 0.0017
    """m: that a foot may plausibly be off under the floor. Origin: chosen by hand."""
    clearance: float = 0.002
    """m: over the floor at which what was under it is to be, and under it what stood on it may be. Origin: chosen by
    hand."""
    soft: float = 0.0015
    """m: over which one-sided terms begin. Origin: chosen by hand."""
    skate: float = 0.003
    """m: by which a standing foot slides from frame to frame. Origin: chosen by hand."""
    bend: float = 0.012
    """m: second difference of a joint from frame to frame. Origin: chosen by hand."""
    jerk: float = 0.012
    """m: third difference of a joint from frame to frame. Origin: chosen by hand."""
    turn_bend: float = 0.06
    """rad: second difference from frame to frame by which a joint's change may bend. Origin: chosen by hand."""
    balance: float = 0.05
    """m: by which the centre of mass is beside the feet. Origin: chosen by hand."""
    itself: float = 0.01
    """m: by which the spheres of one body are in each other. Origin: chosen by hand."""
    thick: float = 0.01
    """m: by which limbs are thicker than their spheres, where a body meets itself. Origin: chosen by hand."""
    spacing: float = 0.01
    """m: by which the spheres of two people are in each other. Origin: chosen by hand."""
    skin: float = 0.002
    """m: at which skins that touch are to be at least. Origin: chosen by hand."""
    angles: tuple[float, float] = (1e-3, 3.1)
    """rad: least and greatest angle of which a rotation vector's slope is taken. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class TermWeights:
    """Weights of the refinement's terms, see ``pairs.Weights``."""

    push: float = 1.0
    """1: of springs that push out. Origin: the unit of the others."""
    contact: float = 1.0
    """1: of what draws parts together. Origin: the unit of the others."""
    spacing: float = 1.0
    """1: of the spheres of two people. Origin: the unit of the others."""
    keep: float = 6.0
    """1: of the pose as it came. Origin: chosen by hand."""
    place: float = 1.0
    """1: of the place as it came. Origin: the unit of the others."""
    seen: float = 0.7
    """1: of the observed keypoints. Origin: chosen by hand."""
    outlier: float = 0.1
    """m: beyond which a keypoint is an outlier. Origin: chosen by hand."""
    smooth: float = 0.3
    """1: of second differences. Origin: chosen by hand."""
    turn: float = 0.0
    """1: of second differences of what joints are turned by. Origin: off, as a refinement makes motions smooth."""
    jerk: float = 0.05
    """1: of third differences. Origin: chosen by hand."""
    ground: float = 3.0
    """1: of standing on the floor and not in it. Origin: chosen by hand."""
    skate: float = 2.0
    """1: of feet that stand still. Origin: chosen by hand."""
    itself: float = 0.5
    """1: of a body not in itself. Origin: chosen by hand."""
    balance: float = 0.1
    """1: of the centre of mass over the feet. Origin: chosen by hand."""


@dataclass(frozen=True)
class SkinCalibration:
    """What is inside the partner, what should touch, and what should not."""

    lean: float = 1.5
    """1: how much the way out leans towards the side on which the limb is. Origin: chosen by hand."""
    out: float = 0.002
    """m: by which vertices that were inside are to be outside. Origin: chosen by hand."""
    away: float = 0.013
    """m: more where they are of a part that surely does not touch. Origin: chosen by hand."""
    tangled_from: float = 0.005
    """m: of depth from which on the nearest way out may be the wrong one. Origin: chosen by hand."""
    tangled_range: float = 0.015
    """m: more of it, over which that gets likely. Origin: chosen by hand."""
    tie_break: float = 1e-3
    """1: share by which the partner's normal decides where two normals cancel. Origin: a guard, no tuning."""
    danger: float = 0.025
    """m: from the skin beyond which a vertex that came out is no longer watched. Origin: chosen by hand."""
    watched_height: float = 0.005
    """m: of depth up to which a watched vertex is believed; deeper, the plane is the wrong one. Origin: chosen by
    hand."""
    spring: float = 0.004
    """m: by which a vertex may plausibly be inside. Origin: chosen by hand."""
    spring_knee: float = 0.01
    """m: beyond which a spring's energy grows linearly. Origin: chosen by hand."""
    contact: float = 0.0045
    """m: by which parts that touch may plausibly be off. Origin: chosen by hand."""
    contact_knee: float = 0.03
    """m: beyond which a contact's energy grows linearly. Origin: chosen by hand."""
    aside: float = 0.1
    """1: share of a contact's weight that acts across the normal. Origin: chosen by hand."""
    far: float = 0.012
    """m: between skins that surely do not touch, more than where a touch has even odds (``mesh.calibration``). Origin:
    chosen by hand."""
    implied_range: tuple[float, float] = (0.003, 0.012)
    """m: least and greatest distance that a probability of touch is drawn to. Origin: chosen by hand."""
    implied_odds: tuple[float, float] = (0.01, 0.99)
    """probability: least and greatest of which log odds are taken. Origin: a guard, no tuning."""
    inside_slope: float = 0.7
    """1: cosine between a normal and the way to the nearest vertex beyond which a point is inside. Origin: chosen by
    hand."""
    inside_reach: float = 0.1
    """m: deeper than which nothing is inside a part. Origin: chosen by hand."""
    on_skin: float = 0.005
    """m: from the skin within which the way out is its normal. Origin: chosen by hand."""


@dataclass(frozen=True)
class DescentCalibration:
    """Damped Gauss-Newton steps."""

    damping: Damping = Damping()  # noqa: RUF009 - it is frozen
    """Of steps."""
    longest_turn: float = 0.3
    """rad: of a joint in a step. Origin: chosen by hand."""
    longest_move: float = 0.15
    """m: of the place in a step. Origin: chosen by hand."""
    place_reach: float = 0.05
    """m: how far a place is moved as readily as a joint by its reach. Origin: chosen by hand."""
    fixed: float = 1e6
    """1: damping of unknowns that stay. Origin: a guard, no tuning."""
    tolerance: float = 1e-3
    """1: share of the first error at which conjugate gradients are content. Origin: chosen by hand."""
    enough: float = 0.03
    """1: share of the energy; the first solve of a refinement ends with a step that gains less. Origin: the sample's
    gained 50, 10 and then at most 1 % a step (benchmarks/solver.py)."""


@dataclass(frozen=True)
class CorrectionCalibration:
    """Solving again around corrections."""

    able: float = 0.3
    """1: freedom from which on a frame can mend penetration. Origin: chosen by hand."""
    point: float = 0.005
    """m: by which a pinned place, or a marked contact, may plausibly be off. Origin: chosen by hand."""
    held: float = 0.006
    """m: by which a contact that was there may change. Origin: chosen by hand."""
    held_weight: float = 3.0
    """1: weight of contacts that were there. Origin: chosen by hand."""
    lost: float = 0.05
    """m: beyond which a contact that was there is given up. Origin: chosen by hand."""
    settled: float = 0.003
    """1: share of the energy: a step that gains less is the last before touches are looked for again. Origin: chosen
    by hand."""
    closed: float = 0.003
    """m: at which skins that are to touch do. Origin: chosen by hand."""
    pull: float = 10.0
    """1: weight of pins in the first round. Origin: chosen by hand."""
    pull_growth: float = 5.0
    """1: times as much in every further round. Origin: chosen by hand."""
    pull_marks: float = 4.0
    """1: greatest weight of marked contacts. Origin: chosen by hand."""
    push_growth: float = 1.5
    """1: times as hard in the next look that springs push. Origin: chosen by hand."""
    push_most: float = 4.0
    """1: greatest weight of springs. Origin: chosen by hand."""
    look_apart: float = 0.01
    """m: beyond the gap within which parts marked as apart are looked at. Origin: chosen by hand."""
    weights: TermWeights = TermWeights(
        keep=3.0, place=0.4, seen=0.3, spacing=0.0, balance=0.0, itself=0.2, smooth=0.03, jerk=0.005, turn=1.0
    )
    """Of the terms. A correction moves limbs further than a refinement does: the motion is held less firmly, and the
    animator knows better than keypoints and balance."""


@dataclass(frozen=True)
class SolverSpreads:
    """All tuned numbers of the solver."""

    evidence: EvidenceCalibration = EvidenceCalibration()
    """What was observed."""
    fit: FitCalibration = FitCalibration()  # noqa: RUF009 - it is frozen
    """The first solve."""
    reassociation: ReassociationCalibration = ReassociationCalibration()
    """Joints dealt out anew."""
    motion_prior: MotionPriorCalibration = MotionPriorCalibration()
    """A motion that is nearly right."""
    shape: SharedShapeCalibration = SharedShapeCalibration()
    """Shapes for a whole clip."""
    terms: TermSpreads = TermSpreads()
    """Residuals."""
    weights: TermWeights = TermWeights()
    """Weights of residuals."""
    skins: SkinCalibration = SkinCalibration()
    """Skins in and on each other."""
    descent: DescentCalibration = DescentCalibration()
    """Steps."""
    refinement: RefinementCalibration = RefinementCalibration()  # noqa: RUF009 - it is frozen
    """Rounds."""
    correction: CorrectionCalibration = CorrectionCalibration()
    """Corrections."""


SOLVER = Calibrated("solver", SolverSpreads())
"""The solver's numbers; ``SOLVER.now`` are those in force."""
