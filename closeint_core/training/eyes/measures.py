# SPDX-License-Identifier: Apache-2.0
"""How good answers about renders are: shares of right joints, touch, depth order, masks, and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from closeint_core.body.parts import ARM_JOINTS, GROUPS, OTHER_LIMBS, PARTS, group_matrix
from closeint_core.eyes.calibration import (
    Calibration,
    area_under_curve,
    calibration_error,
    fit_line,
    reliability,
)
from closeint_core.eyes.decoding import WITHIN
from closeint_core.training.eyes.answers import Answers

FALSE_SHARE = 0.01
"""Of part pairs of couples who stand close and do not touch, that may be called touching."""
CLOSE = (0.05, 0.35)
"""Metres between the skins of such couples."""
_HAND_GROUPS = ("left_hand", "right_hand")


def calibrate(answers: Answers) -> Calibration:
    """Lines fitted on answers about renders whose interactions nobody trained on."""
    right = answers.error < WITHIN
    seen = answers.said_seen > 0.5
    inside, touched = answers.inside, answers.touched >= 0
    before, nearer = answers.was_before >= 0, answers.was_nearer >= 0
    return Calibration(
        fit_line(answers.sure[inside & seen], right[inside & seen]),
        fit_line(answers.sure[inside & ~seen], right[inside & ~seen]),
        fit_line(answers.said_seen, answers.seen),
        fit_line(answers.touch[touched], answers.touched[touched]),
        fit_line(answers.before[before], answers.was_before[before]),
        fit_line(answers.nearer[nearer], answers.was_nearer[nearer]),
    )


def calibrated_joints(answers: Answers, calibration: Calibration) -> np.ndarray:
    """(B, 2, 13) probability of being within a quarter of the trunk."""
    seen = answers.said_seen > 0.5
    return np.where(seen, calibration.seen_joints(answers.sure), calibration.hidden_joints(answers.sure))


def measure(answers: Answers, calibration: Calibration, threshold: float | None = None) -> dict[str, float]:
    """Shares in 0..1 and calibration errors; NaN where there is nothing to count.

    Args:
        threshold: of a touch, see ``false_threshold``; by default that of these answers.
    """
    return {
        **measure_joints(answers, calibration),
        **measure_touch(answers, calibration, false_threshold(answers) if threshold is None else threshold),
        **_order(answers, calibration),
        **_masks(answers),
    }


def measure_joints(answers: Answers, calibration: Calibration) -> dict[str, float]:
    """Joints within a quarter of the trunk, by kind and by whether they are seen, and how sure the network was."""
    right = answers.error < WITHIN
    sure = calibrated_joints(answers, calibration)
    result = {}
    for name, joints in (("arms", ARM_JOINTS), ("limbs", OTHER_LIMBS), ("all", tuple(range(right.shape[-1])))):
        of = np.zeros(right.shape[-1], bool)
        of[list(joints)] = True
        for state, chosen in (("visible", answers.seen), ("hidden", ~answers.seen)):
            result[f"{name}_{state}"] = _share(right[answers.inside & chosen & of])
    arms = np.zeros(right.shape[-1], bool)
    arms[list(ARM_JOINTS)] = True
    seen = answers.inside & answers.seen & arms
    result["arms_right_and_believed"] = _share((right & (sure > 0.5))[seen])
    result["joints_ece"] = calibration_error(sure[answers.inside], right[answers.inside])
    result["visible_accuracy"] = _share(((answers.said_seen > 0.5) == answers.seen)[answers.inside])
    return result


def measure_touch(answers: Answers, calibration: Calibration, threshold: float) -> dict[str, float]:
    """Touch by part, and by group of parts at a threshold."""
    counted = answers.touched >= 0
    said, true = answers.touch[counted], answers.touched[counted] > 0.5
    result = {
        "touch_auc": area_under_curve(said[true], said[~true]),
        "touch_ece": calibration_error(calibration.touch(said), true),
        "touch_recall_half": _share(calibration.touch(said)[true] > 0.5),
        "touch_precision_half": _share(true[calibration.touch(said) > 0.5]),
    }
    groups, truth = grouped(answers.touch), grouped_truth(answers.touched)
    result["touch_groups_recall_at_1"] = _share(groups[truth > 0.5] > threshold)
    names = list(GROUPS)
    hands = np.array([names.index(name) for name in _HAND_GROUPS])
    of_hands = np.ix_(np.arange(len(groups)), hands, hands)
    result["hand_in_hand_recall_at_1"] = _share(groups[of_hands][truth[of_hands] > 0.5] > threshold)
    return result


def close_and_apart(answers: Answers) -> np.ndarray:
    """(B,) bool, couples who stand close and do not touch."""
    return (answers.gap > CLOSE[0]) & (answers.gap < CLOSE[1])


def false_threshold(answers: Answers) -> float:
    """The probability (not calibrated) above which lies one in a hundred pairs of groups of parts of couples who stand
    close and do not touch; NaN without such couples."""
    close = close_and_apart(answers)
    return float(np.quantile(grouped(answers.touch[close]), 1 - FALSE_SHARE)) if close.any() else float("nan")


def grouped(touch: np.ndarray) -> np.ndarray:
    """(B, 13, 13) greatest probability among the parts of two groups, of (B, 30, 30)."""
    table = group_matrix()
    rows = np.stack([touch[:, of].max(1) for of in table], 1)
    return np.stack([rows[:, :, of].max(2) for of in table], 2)


def grouped_truth(touched: np.ndarray) -> np.ndarray:
    """(B, 13, 13): 1 where any parts of two groups touch, 0 where none do, -1 where that is not clear."""
    most = grouped(touched)
    unclear = grouped(-touched) > 0.5
    return np.where(most > 0.5, 1.0, np.where(unclear, -1.0, 0.0))


def _order(answers: Answers, calibration: Calibration) -> dict[str, float]:
    result = {}
    for name, said, true, line in (
        ("before", answers.before, answers.was_before, calibration.before),
        ("nearer", answers.nearer, answers.was_nearer, calibration.nearer),
    ):
        counted = true >= 0
        p, y = line(said[counted]), true[counted] > 0.5
        result[f"{name}_right"] = _share((p > 0.5) == y)
        result[f"{name}_ece"] = calibration_error(p, y)
    return result


def _masks(answers: Answers) -> dict[str, float]:
    share = answers.overlap[1:] / np.maximum(answers.union[1:], 1)
    people = answers.union[1:] > 0
    own, count = slice(0, len(PARTS)), len(PARTS)
    return {"mask_iou": _share(share[people]), "mask_iou_own": _share(share[own][people[:count]])}


def diagrams(answers: Answers, calibration: Calibration) -> dict[str, Any]:
    """Reliability diagrams of joints, visibility, touch and depth order, for JSON."""
    inside, touched = answers.inside, answers.touched >= 0
    before, nearer = answers.was_before >= 0, answers.was_nearer >= 0
    return {
        "joints": reliability(calibrated_joints(answers, calibration)[inside], (answers.error < WITHIN)[inside]),
        "visible": reliability(calibration.visible(answers.said_seen[inside]), answers.seen[inside]),
        "touch": reliability(calibration.touch(answers.touch[touched]), answers.touched[touched]),
        "before": reliability(calibration.before(answers.before[before]), answers.was_before[before]),
        "nearer": reliability(calibration.nearer(answers.nearer[nearer]), answers.was_nearer[nearer]),
    }


def _share(values: np.ndarray) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")
