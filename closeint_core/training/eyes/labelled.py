# SPDX-License-Identifier: Apache-2.0
"""The eyes judged on labelled footage: joints, touch, hands that are surely apart, who is in front; with intervals.

The labels are JSON files in ``labels``, one for each clip in ``clips``: for each frame and person (A, B) joints in
pixels (``occluded``: hidden ones), ``contacts`` [person, part, other, part], and who is in ``front``. They choose
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from closeint_core.body.parts import ARM_JOINTS, JOINTS, OTHER_LIMBS, PARTS
from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import bootstrap_interval, calibration_error
from closeint_core.eyes.decoding import WITHIN
from closeint_core.eyes.look import PairEvidence, PairEyes
from closeint_core.eyes.prompts import prompt_points
from closeint_core.video.source import open_source

_AROUND = 2
"""Frames on each side of a labelled one that are looked at as well."""
_STRIDE = 2  # frames between them
_SURELY_APART = 0.45  # trunks between a wrist and all that is labelled of the other person
_ALARM = 0.5
_TRUNK_NAMES = ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")
_SEGMENTS = (
    (1, 2), (1, 3), (3, 5), (2, 4), (4, 6), (1, 7), (2, 8), (7, 8), (7, 9), (9, 11), (8, 10), (10, 12),
)  # fmt: skip


@dataclass(frozen=True)
class LabelledFrame:
    """One frame and its labels; pixels.

    Attributes:
        clip: its name. pictures: 2 * ``_AROUND`` + 1 frames (H, W, 3) RGB, the labelled one in the middle.
        joints: (2, 13, 2), NaN where unknown. hidden: (2, 13) bool. trunk: (2,) length of each person's.
        touches: pairs of a part of A and a part of B, as names of labels. hands_apart: (person, side) of hands that
            touch nobody. front: 0 or 1, or -1 where neither.
    """

    clip: str
    pictures: list[np.ndarray]
    joints: np.ndarray
    hidden: np.ndarray
    trunk: np.ndarray
    touches: list[tuple[str, str]]
    hands_apart: list[tuple[int, str]]
    front: int


def read_labelled(folder: Path) -> list[LabelledFrame]:
    """All labelled frames of a folder.

    Raises:
        CloseintError: a file is missing or is no such label.
    """
    paths = sorted((folder / "labels").glob("*.json"))
    if not paths:
        raise CloseintError(f"There are no labels in {folder / 'labels'}.", "Check the folder.")
    frames: list[LabelledFrame] = []
    for path in paths:
        try:
            labels = json.loads(path.read_text(encoding="utf-8"))
            clips = [clip for clip in (folder / "clips").glob(f"{labels['clip']}.*") if clip.is_file()]
            if not clips:
                raise CloseintError(
                    f"The clip {labels['clip']} of {path} is missing.", f"Put it into {folder / 'clips'}."
                )
            frames += _frames_of(labels, clips[0])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CloseintError(f"The labels {path} cannot be read ({error!r}).", "Correct the file.") from None
    return frames


def _frames_of(labels: dict[str, Any], clip: Path) -> list[LabelledFrame]:
    wanted = sorted(int(number) for number in labels["frames"])
    around = {n + _STRIDE * k for n in wanted for k in range(-_AROUND, _AROUND + 1)}
    source = open_source(clip)
    pictures = {index: picture for index, picture in source if index in around}
    joints = {n: _joints(labels["frames"][str(n)]) for n in wanted}
    trunk = _trunks([place for place, _ in joints.values()])
    found = []
    for n in wanted:
        label = labels["frames"][str(n)]
        shown = [pictures.get(n + _STRIDE * k, pictures[n]) for k in range(-_AROUND, _AROUND + 1)]
        touches = []
        for who, part, _, other in label.get("contacts", []):
            touches.append((part, other) if who == "A" else (other, part))
        found.append(
            LabelledFrame(
                clip.stem, shown, *joints[n], trunk, touches, _hands_apart(label, joints[n][0], joints[n][1], trunk),
                "AB".find(label.get("front", "-")),
            )
        )  # fmt: skip
    return found


def _joints(label: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    joints, hidden = np.full((2, len(JOINTS), 2), np.nan, np.float32), np.zeros((2, len(JOINTS)), bool)
    for person, name in enumerate("AB"):
        for index, joint in enumerate(JOINTS):
            short = joint.replace("left_", "L_").replace("right_", "R_")
            for values, is_hidden in ((label[name], False), (label.get("occluded", {}).get(name, {}), True)):
                if short in values:
                    joints[person, index], hidden[person, index] = values[short], is_hidden
    return joints, hidden


def _trunks(joints: list[np.ndarray]) -> np.ndarray:
    """(2,) the longest trunk of each person in all labelled frames."""
    lengths = []
    for each in joints:
        middle = [(each[:, a] + each[:, a + 1]) / 2 for a in (1, 7)]
        lengths.append(np.linalg.norm(middle[0] - middle[1], axis=-1))
    longest = np.nanmax(np.where(np.isfinite(lengths), lengths, 0.0), 0)
    result: np.ndarray = np.where(longest > 0, longest, longest.max())
    return result


def _hands_apart(
    label: dict[str, Any], joints: np.ndarray, hidden: np.ndarray, trunk: np.ndarray
) -> list[tuple[int, str]]:
    """Seen hands far from all that is labelled of the other person."""
    apart = []
    touched = {(who, part) for a, p, b, q in label.get("contacts", []) for who, part in ((a, p), (b, q))}
    for person in (0, 1):
        other = joints[1 - person]
        if np.isfinite(other[:, 0]).sum() < 8:
            continue
        for side, index in (("left", 5), ("right", 6)):
            wrist = joints[person, index]
            if hidden[person, index] or not np.isfinite(wrist).all() or ("AB"[person], f"{side}_hand") in touched:
                continue
            gaps = list(np.linalg.norm(other - wrist, axis=-1))
            for a, b in _SEGMENTS:
                along = other[b] - other[a]
                share = np.clip((wrist - other[a]) @ along / max(float(along @ along), 1e-6), 0, 1)
                gaps.append(np.linalg.norm(other[a] + share * along - wrist))
            if np.nanmin(gaps) > _SURELY_APART * trunk.mean():
                apart.append((person, side))
    return apart


def parts_of_label(name: str) -> list[int]:
    """Which of ``PARTS`` a labelled part is, with its neighbours on the same side of the body.

    Raises:
        CloseintError: no such part.
    """
    front, back = [f"{n}_front" for n in _TRUNK_NAMES], [f"{n}_back" for n in _TRUNK_NAMES]
    whole = {
        "chest": front, "belly": front, "upper_back": back, "lower_back": back, "head": ["head", "neck"],
        "neck": ["neck", "head", *front[-2:], *back[-2:]],
    }  # fmt: skip
    side, _, rest = name.partition("_")
    sided = {
        "hand": [f"{side}_wrist", f"{side}_hand"], "forearm": [f"{side}_elbow"], "upper_arm": [f"{side}_shoulder"],
        "shoulder": [f"{side}_shoulder", f"{side}_collar_front", f"{side}_collar_back"], "thigh": [f"{side}_hip"],
        "hip": [f"{side}_hip", "pelvis_front", "pelvis_back"], "shin": [f"{side}_knee"],
        "foot": [f"{side}_ankle", f"{side}_foot"],
    }  # fmt: skip
    names = whole.get(name) or (sided.get(rest) if side in ("left", "right") else None)
    if names is None:
        raise CloseintError(f"There is no labelled part {name!r}.", "Correct the labels.")
    return [PARTS.index(part) for part in names]


@dataclass(frozen=True)
class Prompting:
    """How the eyes are told: from labelled shoulders and hips, off by ``jitter`` trunks."""

    jitter: float = 0.0
    seed: int = 0

    def __call__(self, frame: LabelledFrame) -> np.ndarray:
        """(2, 2, 2) pixels, NaN where unknown."""
        known = torch.from_numpy(np.isfinite(frame.joints).all(-1))
        points, given = prompt_points(torch.from_numpy(np.nan_to_num(frame.joints)), known)
        told = np.where(given[..., None].numpy(), points.numpy(), np.nan)
        draw = np.random.default_rng([self.seed, int(abs(np.nansum(frame.joints)) * 10) % (1 << 31)])
        return told + self.jitter * frame.trunk[:, None, None] * draw.standard_normal(told.shape)


def evidence_of(
    eyes: PairEyes, frames: list[LabelledFrame], prompting: Prompting, neighbours: bool = True
) -> list[PairEvidence]:
    """What the eyes say of each labelled frame (T = 1), with the frames around it where ``neighbours``."""
    found = []
    for frame in frames:
        pictures = frame.pictures if neighbours else [frame.pictures[_AROUND]]
        told = np.repeat(prompting(frame)[None], len(pictures), 0)  # so near in time, the same place will do
        seen = eyes.look(pictures, told, neighbours=neighbours)
        middle = len(pictures) // 2
        found.append(
            PairEvidence(
                **{name: getattr(seen, name)[middle : middle + 1] for name in PairEvidence.__dataclass_fields__}
            )
        )
    return found


def measure_labelled(
    frames: list[LabelledFrame], found: list[PairEvidence], touch_threshold: float, intervals: bool = True
) -> dict[str, dict[str, Any]]:
    """Measures with their 95 % intervals (bootstrap over frames) and counts.

    Args:
        touch_threshold: the calibrated probability that counts as a touch; from renders.
    """
    joints = _joint_rows(frames, found)
    touch = _touch_rows(frames, found, touch_threshold)
    result: dict[str, dict[str, Any]] = {}

    def add(name: str, rows: list[np.ndarray], measure: Callable[[np.ndarray], float] = _mean) -> None:
        def of(index: np.ndarray) -> float:
            return measure(np.concatenate([rows[i] for i in index]))

        whole = np.concatenate(rows)
        entry: dict[str, Any] = {"value": measure(whole), "count": len(whole)}
        if intervals and len(whole):
            entry["interval"] = bootstrap_interval(len(rows), of)
        result[name] = entry

    for name, rows in joints.items():
        add(name, rows, _ece if name.endswith("_ece") else _mean)
    for name, rows in touch.items():
        add(name, rows)
    front = [_front(frame, seen) for frame, seen in zip(frames, found, strict=True)]
    add("in_front", front)
    return result


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ece(rows: np.ndarray) -> float:
    return calibration_error(rows[:, 0], rows[:, 1]) if len(rows) else float("nan")


def _joint_rows(frames: list[LabelledFrame], found: list[PairEvidence]) -> dict[str, list[np.ndarray]]:
    """For each measure the joints of each frame: right (0 or 1), or probability and right."""
    rows: dict[str, list[np.ndarray]] = {}
    for frame, seen in zip(frames, found, strict=True):
        error = np.linalg.norm(seen.keypoints[0] - frame.joints, axis=-1) / frame.trunk[:, None]
        known, right, sure = np.isfinite(frame.joints).all(-1), error < WITHIN, seen.probability[0]
        for name, chosen in (("arms", ARM_JOINTS), ("limbs", OTHER_LIMBS), ("all", range(len(JOINTS)))):
            of = np.isin(np.arange(len(JOINTS)), list(chosen))
            for state, hidden in (("visible", False), ("hidden", True)):
                rows.setdefault(f"{name}_{state}", []).append(
                    right[known & of & (frame.hidden == hidden)].astype(float)
                )
            both = np.stack([sure, right], -1)[known & of].astype(float)
            rows.setdefault(f"{name}_ece", []).append(both)
        arms = known & ~frame.hidden & np.isin(np.arange(len(JOINTS)), ARM_JOINTS)
        rows.setdefault("arms_right_and_believed", []).append((right & (sure > 0.5))[arms].astype(float))
    return rows


def _touch_rows(
    frames: list[LabelledFrame], found: list[PairEvidence], threshold: float
) -> dict[str, list[np.ndarray]]:
    rows: dict[str, list[np.ndarray]] = {"touch": [], "touch_probability": [], "hand_in_hand": [], "apart_alarms": []}
    for frame, seen in zip(frames, found, strict=True):
        said = [float(seen.touch[0][np.ix_(parts_of_label(a), parts_of_label(b))].max()) for a, b in frame.touches]
        hands = [p for p, pair in zip(said, frame.touches, strict=True) if all(n.endswith("_hand") for n in pair)]
        alarms = []
        for person, side in frame.hands_apart:
            matrix = seen.touch[0] if person == 0 else seen.touch[0].T
            alarms.append(float(matrix[parts_of_label(f"{side}_hand")].max() > _ALARM))
        rows["touch"].append(np.array(said, float) > threshold)
        rows["touch_probability"].append(np.array(said, float))
        rows["hand_in_hand"].append(np.array(hands, float) > threshold)
        rows["apart_alarms"].append(np.array(alarms, float))
    return rows


def _front(frame: LabelledFrame, seen: PairEvidence) -> np.ndarray:
    if frame.front < 0:
        return np.zeros(0)
    return np.array([float((seen.nearer[0] > 0.5) == (frame.front == 0))])
