# SPDX-License-Identifier: Apache-2.0
"""The tuned numbers of perception, a class for each module. Distances are in sizes of a person's body in the picture
(``tracking.body_size``) or in pixels, times in seconds.

"Chosen by hand" is a value that nobody measured. ``PERCEPTION.now`` has the values in force (``calibrated``).
"""

from __future__ import annotations

from dataclasses import dataclass

from closeint_core.calibrated import Calibrated


@dataclass(frozen=True)
class SeenCalibration:
    """From which confidence on something counts as seen; all that ask for it ask here."""

    peak: float = 0.05
    """1: score of the lowest peak of a heatmap that is kept. Origin: chosen by hand."""
    box: float = 0.1
    """1: score above which a keypoint is inside a person's box. Origin: chosen by hand."""
    person: float = 0.1
    """1: score of a skeleton above which it may be a person. Origin: chosen by hand."""
    joint: float = 0.15
    """1: score above which a joint belongs to somebody. Origin: chosen by hand."""
    skeleton: float = 0.2
    """1: mean score of its joints above which a skeleton is a person. Origin: chosen by hand."""
    trunk: float = 0.2
    """1: score above which a joint of the trunk tells its path. Origin: chosen by hand."""
    sure: float = 0.3
    """1: score above which the motion of a joint is trusted and a person counts as visible. Origin: chosen by hand."""
    limb: float = 0.5
    """1: score of both ends above which a limb's length is measured. Origin: chosen by hand."""
    crop: float = 0.5
    """probability: of a person in the crop above which the person counts as visible. Origin: even odds."""
    heatmap: float = 0.5
    """1: value of a landmark's heatmap from which on it moves the landmark. Origin: chosen by hand."""
    same_place: float = 0.025
    """sizes: of the smaller body, within which two peaks are one place. Origin: chosen by hand."""
    least_sigma: float = 1e-3
    """px: standard deviation of where a joint is expected, at least. Origin: a guard, no tuning."""
    peaks_apart: float = 2.0
    """1: cells of a heatmap within which two maxima are one peak. Origin: chosen by hand."""


@dataclass(frozen=True)
class AppearanceCalibration:
    """Where clothes are looked at and how their colours are binned."""

    across: tuple[float, float] = (0.15, 0.85)
    """1: of the way from the left to the right side of the trunk. Origin: chosen by hand."""
    down: tuple[float, float] = (0.1, 0.9)
    """1: of the way from the shoulders to the hips. Origin: chosen by hand."""
    thigh: tuple[float, float] = (0.15, 0.75)
    """1: of the way from a hip to its knee. Origin: chosen by hand."""
    colours: float = 80.0
    """1: span of the a and b axes of Lab (of 256) that the bins cover; clothes span little of it. Origin: chosen by
    hand."""
    unknown: float = 0.5
    """1: distance of descriptors of which one is unknown. Origin: the middle of what there is."""


@dataclass(frozen=True)
class TrackingCalibration:
    """Who is who from frame to frame."""

    same_tolerance: float = 0.04
    """sizes: by which joints of a skeleton that was found twice differ. Origin: chosen by hand."""
    same: float = 0.35
    """1: distance of poses below which a skeleton was found twice. Origin: chosen by hand."""
    known: float = 0.5
    """1: weight of joints seen in both above which poses can be compared. Origin: chosen by hand."""
    appearance: float = 1.2
    """1: weight of clothes beside the pose. Origin: chosen by hand."""
    appearance_free: float = 0.2
    """1: distance of clothes that costs nothing. Origin: chosen by hand."""
    growth: float = 0.3
    """1: weight of a change of size. Origin: chosen by hand."""
    growth_free: float = 0.3
    """1: logarithm of a change of size that costs nothing. Origin: chosen by hand."""
    link: float = 1.0
    """1: cost below which a skeleton goes on with a track. Origin: the cost of a pose that has nothing in common."""
    rate: float = 30.0
    """frames/s: at which the numbers of this class that are of frames hold. Origin: that of most footage."""
    tolerance: float = 0.08
    """sizes: by which joints may be off where a frame was expected. Origin: chosen by hand."""
    tolerance_growth: float = 0.03
    """sizes: more for every frame since. Origin: chosen by hand."""
    tolerance_frames: float = 40.0
    """frames: after which that grows no more. Origin: chosen by hand."""
    velocity_frames: float = 8.0
    """frames: after which the last velocity says nothing any more. Origin: chosen by hand."""
    velocity_gain: float = 0.3
    """1: share of the newest step in a velocity. Origin: chosen by hand."""
    velocity_kept: float = 0.7
    """1: share of the former velocity, one less ``velocity_gain``. Origin: chosen by hand."""
    appearance_gain: float = 0.03
    """1: share of the newest frame in a track's clothes. Origin: chosen by hand."""
    alone: float = 0.2
    """sizes: between two trunks beyond which their colours are their own. Origin: chosen by hand."""
    size: float = 100.0
    """px: size of a body that is not known. Origin: a guard, no tuning."""
    rejoin_longest: float = 4.0
    """s: that a person may have been lost. Origin: chosen by hand."""
    rejoin_overlap: float = 0.3
    """s: by which a later track may begin before the earlier one ends. Origin: chosen by hand."""
    rejoin_moved: float = 0.2
    """1: weight of the way between two tracks, in sizes, beside their clothes. Origin: chosen by hand."""
    rejoin_look: tuple[float, float] = (0.45, 0.25)
    """1: distance of clothes up to which two tracks are one person, after a gap and where they overlap. Origin: chosen
    by hand."""
    rejoin_reach: float = 1.0
    """sizes: between two tracks beyond which they are two people. Origin: chosen by hand."""


@dataclass(frozen=True)
class PairCalibration:
    """Which two people are the pair."""

    overlap: float = 0.3
    """1: overlap (intersection over union) with a box from which on a person is the one pointed at. Origin: chosen by
    hand."""
    shortest: float = 0.2
    """s: in which somebody must be seen to be a person, or a tenth of the video. Origin: chosen by hand."""
    child: float = 0.5
    """1: ratio of sizes down to which two people are as likely a pair. Origin: a child is half of an adult."""
    longest_gap: float = 2.0
    """s: for which somebody unseen is still looked for where motion predicts them. Origin: chosen by hand."""
    margin: float = 0.25
    """s: before the first and after the last detection in which a person is looked for. Origin: chosen by hand."""


@dataclass(frozen=True)
class AssignmentWeights:
    """Whose a peak is: costs, in units of half a squared standard deviation."""

    presence: float = 1.0
    """1: gain of explaining a joint by any peak at all. Origin: chosen by hand."""
    score: float = 3.0
    """1: further gain for each unit of the peak's score. Origin: chosen by hand."""
    mirrored: float = 1.2
    """1: cost of taking a peak that the network gave to the other side. Origin: chosen by hand."""
    shared: float = 3.5
    """1: cost of one place standing for two people's joints; half of it where the heatmaps of both sides have a peak
    there. Origin: chosen by hand."""
    shared_side: float = 2.5
    """1: cost of one peak standing for both sides of one person. Origin: chosen by hand."""
    limb: float = 0.12
    """1: relative standard deviation by which a limb may be longer than its limit. Origin: chosen by hand."""
    candidates: int = 5
    """1: peaks looked at for each joint of each person. Origin: chosen by hand."""


@dataclass(frozen=True)
class ContinuityCalibration:
    """Paths of peaks through time; costs as ``AssignmentWeights``."""

    step_limit: float = 5.0
    """1: most that a jump costs: fast motion and cuts happen. Origin: chosen by hand."""
    appear: float = 0.4
    """1: cost of a path that loses or finds its peak. Origin: chosen by hand."""
    exclusive: float = 50.0
    """1: cost of two paths that share a peak; they never do, as behind it who is who would be forgotten. Origin: chosen
    by hand."""
    loosened: float = 1.5
    """1: times the prediction's standard deviation, as continuity is to decide. Origin: chosen by hand."""
    least_spread: float = 0.04
    """sizes: standard deviation of a prediction at least. Origin: chosen by hand."""
    jitter: float = 0.012
    """sizes: by which peaks move of themselves between frames. Origin: chosen by hand."""
    speed: float = 0.3
    """sizes/s: at which a joint usually moves. Origin: chosen by hand."""
    size: float = 100.0
    """px: size of a body that is not known. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class MotionCalibration:
    """Where joints are expected from the frames around."""

    window: float = 0.1
    """s: standard deviation of the window. Origin: chosen by hand."""
    window_reach: float = 2.5
    """1: standard deviations that the window reaches to. Origin: chosen by hand."""
    outlier: float = 0.06
    """sizes: beyond which a joint hardly counts. Origin: chosen by hand."""
    spread: float = 0.02
    """sizes: standard deviation of a prediction at least. Origin: chosen by hand."""
    support: float = 0.2
    """1: weight of frames above which their own spread is told. Origin: chosen by hand."""
    least_support: float = 1e-3
    """1: weight of frames taken at least. Origin: a guard, no tuning."""
    speed: float = 1.0
    """sizes/s: by which the uncertainty of an unseen joint grows. Origin: chosen by hand."""
    unseen: float = 0.15
    """s: after which it grows no more. Origin: chosen by hand."""
    slope_damping: float = 0.1
    """1: share of a full window's weight by which slopes are held: few frames on one side must not extrapolate wildly.
    Origin: chosen by hand."""
    prior: float = 0.02
    """1: weight of the interpolation. Origin: chosen by hand."""
    trusted: float = 0.3
    """1: weight of frames from which on a line is taken instead of the interpolation. Origin: chosen by hand."""
    limb_allowance: float = 1.12
    """1: times the 90th percentile of a limb's lengths that it may have. Origin: chosen by hand."""
    size: float = 100.0
    """px: size of a body that is not known. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class CloseupCalibration:
    """Where is looked closely."""

    region_margin: float = 0.18
    """sizes: around all people. Origin: chosen by hand."""
    crop_margin: float = 1.3
    """1: times the reach of a person's joints. Origin: chosen by hand."""
    least_reach: float = 0.4
    """sizes: that a person is taken to reach at least: somebody bent double needs room. Origin: chosen by hand."""
    least_trunk: float = 0.05
    """sizes: length of a trunk from which on it tells which way is up. Origin: chosen by hand."""
    first_look: float = 0.8
    """1: factor on the scores of the first look beside the closer one. Origin: chosen by hand."""
    next_crop: float = 2.5
    """1: times the distance of the network's two auxiliary points that a person takes up. Origin: published, BlazePose
    (twice that distance, and a quarter more)."""


@dataclass(frozen=True)
class FusionCalibration:
    """Peaks, landmarks, masks and motion as one set of keypoints."""

    agreement: float = 0.045
    """sizes: by which the two networks' idea of one joint may differ: half the confidence is left there. Origin: chosen
    by hand."""
    near: float = 1.5
    """1: times that for landmarks in space. Origin: chosen by hand."""
    claimed: float = 0.04
    """sizes: two people's landmarks of the same name closer than this are probably one joint. Origin: chosen by
    hand."""
    claimed_left: float = 0.3
    """1: share of their reliability that is left. Origin: chosen by hand."""
    same_person: float = 0.05
    """sizes: between landmarks of two crops that show the same joint. Origin: chosen by hand."""
    same_share: float = 0.6
    """1: share of such landmarks above which two crops show the same person. Origin: chosen by hand."""
    together: float = 0.02
    """sizes: two people's keypoints of the same name closer than this are one. Origin: chosen by hand."""
    together_left: float = 0.4
    """1: share of the weaker one's confidence that is left. Origin: chosen by hand."""
    contested: float = 0.4
    """1: share of a peak's score that is left where another joint has the same place. Origin: chosen by hand."""
    mirrored: float = 0.8
    """1: the same where the peak is one of the other side. Origin: chosen by hand."""
    exchangeable: float = 0.6
    """1: share of the confidence that is lost where the other person could as well have the peak. Origin: chosen by
    hand."""
    continuity: float = 1.0
    """1: gain of the peak that lies on a person's path through time. Origin: chosen by hand."""
    mask: float = 0.4
    """1: cost of a peak outside of the person's mask; low, as hidden joints are outside. Origin: chosen by hand."""
    mask_unknown: float = 0.5
    """probability: of a mask where there is none. Origin: even odds."""
    on_partner: float = 0.5
    """1: share of the confidence that is lost on the partner's mask. Origin: chosen by hand."""
    hidden: float = 0.3
    """1: share of a landmark's reliability that is left where it is hidden. Origin: chosen by hand."""
    shown: float = 0.7
    """1: the rest, by its visibility. Origin: one less ``hidden``."""
    self_weight: float = 0.5
    """1: how much a frame counts in what motion expects in it. Origin: chosen by hand."""
    landmark: float = 0.03
    """sizes: standard deviation of a reliable landmark. Origin: chosen by hand."""
    landmark_mirrored: float = 0.5
    """1: of the distance to the mirror image's landmark, more. Origin: chosen by hand."""
    least_reliable: float = 0.02
    """1: reliability of a landmark above which it counts at all. Origin: chosen by hand."""
    landmark_share: float = 0.6
    """1: weight of a landmark's place beside a peak's. Origin: chosen by hand."""
    support: float = 0.8
    """1: share of a landmark's reliability that supports a peak. Origin: chosen by hand."""
    supported: float = 0.1
    """1: reliability above which a landmark is asked whether it supports a peak. Origin: chosen by hand."""
    lone_peak: tuple[float, float] = (0.75, 0.25)
    """1: confidence of a peak without a reliable landmark, and more of it where they agree. Origin: chosen by hand."""
    both: tuple[float, float] = (0.65, 0.35)
    """1: the same with a reliable landmark. Origin: chosen by hand."""
    lone_landmark: float = 0.5
    """1: confidence of a reliable landmark without a peak. Origin: chosen by hand."""
    lone_landmark_off: float = 0.25
    """1: how fast that falls with the squared distance to what is expected, in standard deviations. Origin: chosen by
    hand."""
    foot: float = 0.85
    """1: of a landmark's reliability that a keypoint of a foot has. Origin: chosen by hand."""
    foot_over_ankle: float = 0.2
    """1: more confidence than its ankle that a keypoint of a foot may have. Origin: chosen by hand."""
    ankle_unknown: float = 0.3
    """1: confidence of an ankle that is not known. Origin: chosen by hand."""
    small_toe: float = 0.4
    """1: of the big toe's confidence that the small toe has. Origin: chosen by hand."""
    head_top: float = 0.5
    """1: of the face's confidence that the top of the head has. Origin: chosen by hand."""
    skull: float = 0.13
    """m: from the ears to the top of the head. Origin: chosen by hand."""
    forefoot: float = 0.07
    """m: from the big to the small toe's joint. Origin: chosen by hand."""
    nowhere: float = 10.0
    """sizes: distance of what is not there. Origin: a guard, no tuning."""


@dataclass(frozen=True)
class CameraCalibration:
    """Whether the camera moves and where the picture cuts."""

    found: float = 0.6
    """px: within which a corner that is followed there and back comes back. Origin: chosen by hand."""
    kept: float = 0.5
    """1: share of the corners that must follow one motion; below, a new key frame is taken. Origin: chosen by hand."""
    lost: float = 0.2
    """1: share of the corners that are found again, below which the view may be another one. Origin: chosen by hand."""
    far: float = 0.15
    """1: of the longer side; a picture that moved so far from its key frame gets a new one. Origin: chosen by hand."""
    moved: float = 0.04
    """1: of the diagonal; what the picture has to move within a shot for its camera to be one that moves. Origin:
    measured, cameras that stand still 0.000, in hands 0.002 to 0.028, a slow pan 0.37, one that follows people 0.25."""
    moving: float = 0.3
    """1: of the mean speed between start and end of the motion; what is slower counts as still, to say in which frames.
    Origin: chosen by hand."""
    jump: float = 8.0
    """grey: that the picture changes at a cut, on average. Origin: chosen by hand."""
    times: float = 3.0
    """1: times the changes around it. Origin: chosen by hand."""
    border: float = 0.12
    """1: of a person's box, what is left out around it. Origin: chosen by hand."""
    quality: float = 0.01
    """1: of the best corner's quality that a corner has at least. Origin: chosen by hand, as in OpenCV's examples."""
    inlier: float = 1.0
    """px: within which a corner follows a motion. Origin: chosen by hand."""
    watched: tuple[float, float] = (0.25, 0.75)
    """1: of the width and the height, where the four points are whose way is the picture's. Origin: chosen by hand."""


@dataclass(frozen=True)
class PairLookCalibration:
    """When and where the eyes for pairs look."""

    looks: float = 8.0
    """frames/s: that are looked at on a CPU at least; on a GPU every frame is. Origin: a look costs half of what the
    other networks need for a frame, and a hand at 3 m/s moves by 0.3 m in between, so it is within 0.15 m of a look."""
    doubtful: float = 0.35
    """trunks: a prompt whose standard deviation is larger is not given. Origin: the eyes were trained with errors up to
    it."""
    around: float = 1.4
    """1: side of the pair's square relative to what its joints take up. Origin: the middle of what the eyes were
    trained with."""
    log_odds: float = 6.0
    """1: largest log-odds that take part in a mean: no single frame is surer than 1 in 400. Origin: chosen by hand."""


@dataclass(frozen=True)
class BeliefCalibration:
    """How the detectors' and the eyes' answers err."""

    detected_seen: tuple[float, float] = (1.2, 2.4)
    """1: slope and shift of the log-odds from the detectors' confidence to the probability that a keypoint is right, of
    joints in sight. Origin: fitted on 3,136 keypoints of seven rendered films of interactions that no network was
    trained on, rounded. (People filmed apart give more: of pose2sim's 2,599 keypoints those with 0.35 are right in
    0.91, here 0.84.)"""
    detected_hidden: tuple[float, float] = (1.0, 1.6)
    """1: the same of joints that are not in sight. Origin: fitted on 1,005 keypoints of the same films, rounded."""
    detected_spread: float = 0.042
    """trunks: standard deviation along each axis of a right keypoint of the detectors. Origin: measured, a median
    distance of 0.05 on labelled footage, over 1.18."""
    seen_spread: float = 0.076
    """trunks: the same of a right joint of the eyes. Origin: measured, a median distance of 0.09 on labelled footage,
    over 1.18."""
    elsewhere: float = 3.0
    """trunks^2: area over which wrong answers are spread. Origin: a disc of one trunk around the joint."""
    within: float = 0.25
    """trunks: distance up to which an answer is right. Origin: the definition of a confidence in closeint."""
    surest: float = 0.999
    """probability: more is not believed. Origin: chosen by hand."""


@dataclass(frozen=True)
class SideCosts:
    """Left and right of what the eyes saw, over time; costs in nats."""

    begins: float = 3.4
    """1: of the first look of a run whose sides are exchanged. Origin: chosen by hand, one run in 30 looks."""
    lasts: float = 0.7
    """1: of each further one. Origin: chosen by hand, two looks on average."""
    detected: float = 1.5
    """1: most that the tracked keypoints of one look can say: their own sides are wrong at times, for as long. Origin:
    chosen by hand."""
    step: float = 0.1
    """trunks: by which a joint may move between two looks (standard deviation). Origin: chosen by hand."""
    speed: float = 2.0
    """trunks/s: the same for every second between them. Origin: chosen by hand."""
    moved: float = 1.0
    """1: most that one joint's motion can say. Origin: chosen by hand."""


@dataclass(frozen=True)
class TouchCalibration:
    """Which of the touches that the eyes saw are named."""

    steady: float = 0.08
    """s: over which log-odds are averaged: a touch lasts longer than doubt in single frames. Origin: chosen by hand."""
    named: tuple[float, float] = (0.5, 0.35)
    """probability: from which on a touch is named, and down to which it lasts. Origin: even odds, and chosen by
    hand."""
    least_frames: float = 1e-3
    """frames: that are averaged over at least. Origin: a guard, no tuning."""
    shortest: float = 0.1
    """s: of a touch that the bodies are solved for. Origin: chosen by hand."""
    shared: float = 0.3
    """1: of the shorter of two spans, from which on both, of one part, are one touch told twice: a hand on a shoulder
    is told of the upper arm and of the back as well, with less certainty. Origin: chosen by hand."""


@dataclass(frozen=True)
class PerceptionCalibration:
    """All tuned numbers of perception."""

    seen: SeenCalibration = SeenCalibration()
    """What counts as seen."""
    appearance: AppearanceCalibration = AppearanceCalibration()
    """Clothes."""
    tracking: TrackingCalibration = TrackingCalibration()
    """Who is who."""
    pair: PairCalibration = PairCalibration()
    """Which two."""
    assignment: AssignmentWeights = AssignmentWeights()
    """Whose peak."""
    continuity: ContinuityCalibration = ContinuityCalibration()
    """Paths of peaks."""
    motion: MotionCalibration = MotionCalibration()
    """What is expected."""
    closeup: CloseupCalibration = CloseupCalibration()
    """Where is looked closely."""
    fusion: FusionCalibration = FusionCalibration()
    """All as one."""
    pair_look: PairLookCalibration = PairLookCalibration()
    """When and where the eyes look."""
    belief: BeliefCalibration = BeliefCalibration()
    """Detectors and eyes as one."""
    sides: SideCosts = SideCosts()
    """Left and right of the eyes."""
    touches: TouchCalibration = TouchCalibration()
    """Touches by name."""
    camera: CameraCalibration = CameraCalibration()
    """The camera."""


PERCEPTION = Calibrated("perception", PerceptionCalibration())
"""Perception's numbers; ``PERCEPTION.now`` are those in force."""
