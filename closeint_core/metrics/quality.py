# SPDX-License-Identifier: Apache-2.0
"""How good a clip is, judged without the truth: what an animator would see wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from closeint_core.body.data import JOINT_NAMES, BodyData
from closeint_core.body.skinning import clip_vertices
from closeint_core.body.spheres import FOOT_PARTS, sole_vertices
from closeint_core.clip import InteractionClip
from closeint_core.mesh.inside import find_inside
from closeint_core.mesh.part_contact import part_gaps, steady_contacts
from closeint_core.mesh.penetration import PenetrationSummary, summarise
from closeint_core.mesh.self_penetration import solids_of
from closeint_core.mesh.shared_volume import shared_volume
from closeint_core.physics.ground import LEVEL, FootMeasures, Ground, feet_down, find_ground, measure_feet

_CONFIDENT = 0.5
_SELF = 0.005  # metres inside itself that count


@dataclass
class ClipMeasures:
    """What is measured in every frame of a clip of P people and T frames, metres.

    Attributes:
        penetration: of a pair; zero otherwise. Its volume is None unless asked for.
        self_depth: (P, T) deepest vertex inside another part of its own body; None unless asked for.
        touching: (T, 24, 24) bool, part of person 0 touches part of person 1, measured on the skins; None unless asked
            for, or if there are not two people.
        joints: (P, T, 24, 3). keypoints: (P, T, 26, 3) Halpe-26. lowest: (P, T) height of the lowest vertex.
        down: (P, T, 2) bool, feet that stand: low and slow (``ground.feet_down``), or because the clip says so.
        feet, ground: measured of those; a clip is not asked whether it is right.
    """

    penetration: PenetrationSummary
    self_depth: np.ndarray | None
    touching: np.ndarray | None
    joints: np.ndarray
    keypoints: np.ndarray
    lowest: np.ndarray
    feet: FootMeasures
    ground: Ground | None
    down: np.ndarray


def measure_clip(clip: InteractionClip, body: BodyData, detailed: bool = True) -> ClipMeasures:
    """Measure every frame of a clip.

    Args:
        detailed: also volumes, the bodies inside themselves and which parts touch, which take several times as long.

    Raises:
        CloseintError: the clip's poses give vertices that are no numbers.
    """
    keypoints = np.zeros((clip.people, clip.frames, 26, 3), np.float32)
    joints = np.zeros((clip.people, clip.frames, 24, 3), np.float32)
    lowest = np.zeros((clip.people, clip.frames), np.float32)
    self_depth = np.zeros((clip.people, clip.frames), np.float32)
    faces = torch.as_tensor(body.faces, dtype=torch.int64)
    parts = torch.as_tensor(body.parts, dtype=torch.int64)
    solids = solids_of(body) if detailed else None
    chosen = sole_vertices(body)
    soles = np.zeros((clip.people, clip.frames, *chosen.shape, 3), np.float32)
    feet_low = np.zeros((clip.people, clip.frames, 2), np.float32)
    own_feet = [np.flatnonzero(np.isin(body.parts, foot)) for foot in FOOT_PARTS]
    summaries, gaps = [], []
    for part, vertices, posed in clip_vertices(clip, body):
        keypoints[:, part] = body.halpe_regressor @ vertices
        joints[:, part] = posed
        lowest[:, part] = vertices[..., 2].min(-1)
        soles[:, part] = vertices[:, :, chosen]
        feet_low[:, part] = np.stack([vertices[:, :, foot, 2].min(-1) for foot in own_feet], -1)
        frames = vertices.shape[1]
        at = torch.as_tensor(vertices)
        if clip.people == 2:
            inside = find_inside(at, faces)
            summaries.append(summarise(inside, frames, vertices.shape[2]))
            if detailed:
                summaries[-1].volume = shared_volume(at, faces, inside).numpy()
                gaps.append(part_gaps(at, faces, parts, inside=inside))
        else:
            zero = np.zeros(frames)
            summaries.append(PenetrationSummary(zero, zero, zero if detailed else None))
        if solids is not None:
            self_depth[:, part] = solids.depths(at).numpy()
    down = feet_down(soles, LEVEL.normal, clip.fps) | (clip.foot_contacts > 0.5)
    return ClipMeasures(
        penetration=PenetrationSummary.join(summaries),
        self_depth=self_depth if detailed else None,
        touching=steady_contacts(torch.cat(gaps)).numpy() if gaps else None,
        joints=joints,
        keypoints=keypoints,
        lowest=lowest,
        feet=measure_feet(soles, down, lowest=feet_low),
        ground=find_ground(soles, down.astype(np.float32), LEVEL.normal, clip.fps),
        down=down,
    )


def clip_quality(clip: InteractionClip, body: BodyData, measures: ClipMeasures | None = None) -> dict[str, Any]:
    """Quality figures of a clip: JSON types, millimetres, pixels and cubic centimetres.

    ``reprojection_px`` is the median over keypoints observed with confidence of at least 0.5.
    ``penetration_mm`` has a value for every frame: how deep the two are in each other (zeros without a pair).
    ``mean_penetration_mm`` is the depth averaged over all vertices and frames (A-PD).
    ``foot_skate_mm`` is the mean movement per frame, ``foot_skate_max_mm`` the largest, of the part that is down of
    feet that stand: that are low and slow, or of which the clip says so. ``foot_down_share`` is the share of all feet
    and frames that this rests on, ``foot_planted_share`` that of which the clip says that they stand.
    ``foot_drift_mm`` is how far such a foot gets at most from its place within a stance, ``foot_float_mm`` how high its
    lowest point is over the floor on average, ``foot_sink_mm`` how deep any foot is under it at most.
    ``floor_height_mm`` and ``floor_tilt_deg`` say where the stances of all people have the floor, which should be at 0.
    Detailed ``measures``, if given, add the volume inside both bodies, each person's deepest vertex in itself and the
    number of frames in which it is beyond 5 mm, and which parts touch in how many frames.
    """
    measures = measure_clip(clip, body, detailed=False) if measures is None else measures
    error = np.linalg.norm(clip.project(measures.keypoints) - clip.keypoints2d[..., :2], axis=-1)
    confident = np.nan_to_num(clip.keypoints2d[..., 2]) >= _CONFIDENT
    error = error[confident & np.isfinite(error)]
    feet, ground = measures.feet, measures.ground
    skate, floating = (values[np.isfinite(values)] for values in (feet.skate, feet.floating))
    acceleration = np.diff(measures.joints, n=2, axis=1)
    result: dict[str, Any] = {
        "people": clip.people,
        "frames": clip.frames,
        "seconds": round(clip.frames / clip.fps, 3),
        "visible_frames": clip.visible.sum(1).astype(int).tolist(),
        "reprojection_px": _rounded(np.median(error)) if len(error) else None,
        **measures.penetration.figures(),
        "penetration_mm": [_rounded(1000 * depth) for depth in measures.penetration.max_depth],
        "frames_in_contact": int((clip.contacts > 0.5).any((0, 2)).sum()),
        "lowest_point_mm": _rounded(1000 * measures.lowest.min()),
        "foot_skate_mm": _rounded(1000 * skate.mean()) if len(skate) else None,
        "foot_skate_max_mm": _rounded(1000 * skate.max()) if len(skate) else None,
        "foot_down_share": _rounded(measures.down.mean(), 3),
        "foot_planted_share": _rounded((clip.foot_contacts > 0.5).mean(), 3),
        "foot_drift_mm": _rounded(1000 * np.nanmax(feet.drift)) if len(floating) else None,
        "foot_float_mm": _rounded(1000 * floating.mean()) if len(floating) else None,
        "floor_height_mm": _rounded(-1000 * ground.offset / ground.normal[2]) if ground else None,
        "floor_tilt_deg": _rounded(np.degrees(ground.tilt)) if ground else None,
        "foot_sink_mm": _rounded(1000 * feet.sinking.max()),
        "acceleration_mm": _rounded(1000 * np.linalg.norm(acceleration, axis=-1).mean()) if clip.frames > 2 else None,
        "stature_cm": [_rounded(100 * stature(body, betas)) for betas in clip.betas],
    }
    if measures.self_depth is not None:
        result["max_self_penetration_mm"] = [_rounded(1000 * depth) for depth in measures.self_depth.max(1)]
        result["self_penetration_frames"] = (measures.self_depth > _SELF).sum(1).tolist()
    if measures.touching is not None:
        result["frames_touching"] = int(measures.touching.any((1, 2)).sum())
        result["touching_parts"] = {name: frames for name, _, frames in touching_parts(measures.touching)}
    return result


def touching_parts(touching: np.ndarray) -> list[tuple[str, tuple[int, int], int]]:
    """Pairs of parts that touch at all, longest first: "part of person 0 - part of person 1", the pair, frames."""
    frames = touching.sum(0)
    pairs = [(int(a), int(b)) for a, b in np.argwhere(frames)]
    pairs.sort(key=lambda pair: (-frames[pair], pair))
    return [(f"{JOINT_NAMES[a]} - {JOINT_NAMES[b]}", (a, b), int(frames[a, b])) for a, b in pairs]


def stature(body: BodyData, betas: np.ndarray) -> float:
    """Height in metres of the rest body."""
    vertices, _ = body.rest(betas)
    return float(np.ptp(vertices[:, 1]))


def _rounded(value: Any, digits: int = 2) -> float:
    return round(float(value), digits)
