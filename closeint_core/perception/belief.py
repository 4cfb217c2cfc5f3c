# SPDX-License-Identifier: Apache-2.0
"""Keypoints of the detectors and joints of the eyes for pairs become one, whose confidence is a probability.

Each of the two says a place and how likely it is right. Either, both or neither may be. A wrong answer may lie anywhere
within reach of the body, so answers that agree support each other (Bayes' rule over the four cases).
"""

from __future__ import annotations

import numpy as np

from closeint_core.body.parts import JOINTS_IN_HALPE
from closeint_core.eyes.calibration import Line
from closeint_core.halpe import HALPE_INDEX as K
from closeint_core.perception.calibration import PERCEPTION, BeliefCalibration
from closeint_core.perception.observations import PairSeen

FACE = tuple(K[name] for name in ("left_eye", "right_eye", "left_ear", "right_ear"))


def believed(keypoints: np.ndarray, seen: PairSeen, calibration: BeliefCalibration | None = None) -> np.ndarray:
    """Keypoints with what the eyes saw taken in.

    Args:
        keypoints: (2, T, 17, 3) of the detectors: pixels and their confidence, NaN where they found nothing.

    Returns:
        (2, T, 17, 3) pixels and the probability of being right, of the joints that the eyes know; the face stands and
        falls with the nose. Where the eyes did not look, everything is as it was.
    """
    calibration = calibration or PERCEPTION.now.belief
    joints = list(JOINTS_IN_HALPE)
    found = np.asarray(keypoints, np.float64)[:, :, joints]
    told = np.asarray(seen.joints, np.float64)
    length = np.fmax(np.asarray(seen.trunks, np.float64), 1.0)[..., None]
    in_sight, confidence = np.nan_to_num(seen.visible), np.nan_to_num(found[..., 2])
    chance = in_sight * Line(*calibration.detected_seen)(confidence)
    chance = chance + (1 - in_sight) * Line(*calibration.detected_hidden)(confidence)
    chance = np.where(np.isfinite(found[..., 0]), chance, 0.0)
    place, probability = merged(
        found[..., :2], chance, told[..., :2], np.nan_to_num(told[..., 2]), length, seen.slack / length, calibration
    )
    result = np.array(keypoints, np.float64)
    looked = np.isfinite(told[..., 0])
    result[:, :, joints] = np.where(looked[..., None], np.concatenate([place, probability[..., None]], axis=-1), found)
    nose = joints.index(K["nose"])
    apart = np.linalg.norm(place[:, :, nose] - found[:, :, nose, :2], axis=-1) / length[..., 0]
    with np.errstate(invalid="ignore"):
        astray = (apart > calibration.within) & looked[:, :, nose]
    factor = np.where(astray, 1 - probability[:, :, nose], 1.0)
    result[:, :, FACE, 2] *= factor[..., None]
    return result


def merged(
    first: np.ndarray,
    first_chance: np.ndarray,
    second: np.ndarray,
    second_chance: np.ndarray,
    length: np.ndarray,
    slack: np.ndarray,
    calibration: BeliefCalibration | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """One place and its probability of two answers for each joint.

    Args:
        first, second: (..., 2) places, the detectors' and the eyes', NaN for none. first_chance, second_chance: (...)
            probability that each is right, 0 for none. length: of a trunk, in the places' unit; slack: (...) trunks by
            which the second may be further off; both broadcast.

    Returns:
        Places (..., 2), NaN where there is none, and probabilities (...).
    """
    calibration = calibration or PERCEPTION.now.belief
    has_first, has_second = np.isfinite(first[..., 0]), np.isfinite(second[..., 0])
    p = np.where(has_first, np.clip(first_chance, 0.0, calibration.surest), 0.0)
    q = np.where(has_second, np.clip(second_chance, 0.0, calibration.surest), 0.0)
    spread = np.sqrt(calibration.seen_spread**2 + np.nan_to_num(slack) ** 2)
    a, b = np.nan_to_num(first), np.nan_to_num(second)
    both_there = has_first & has_second
    apart = np.where(both_there, np.linalg.norm(a - b, axis=-1) / length, np.inf)
    variance = calibration.detected_spread**2 + spread**2
    agreement = calibration.elsewhere * np.exp(-0.5 * apart**2 / variance) / (2 * np.pi * variance)
    cases = np.stack([p * q * agreement, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)])
    both, only_first, only_second, _ = cases / cases.sum(axis=0)
    # the mean of both, each counted by how exact it is and how likely right
    precise = (both + only_first) / calibration.detected_spread**2, (both + only_second) / spread**2
    share = precise[0] / np.maximum(precise[0] + precise[1], 1e-12)
    middle = share[..., None] * a + (1 - share[..., None]) * b
    near = apart < calibration.within
    of_middle = np.where(near, both + only_first + only_second, -1.0)
    of_first = np.where(has_first, both * near + only_first, -1.0)
    of_second = np.where(has_second, both * near + only_second, -1.0)
    best = np.stack([of_middle, of_first, of_second]).argmax(axis=0)[..., None]
    place = np.where(best == 0, middle, np.where(best == 1, a, b))
    probability = np.maximum(np.maximum(of_middle, of_first), of_second)
    nothing = ~(has_first | has_second)
    return np.where(nothing[..., None], np.nan, place), np.where(nothing, np.nan, probability)
