# SPDX-License-Identifier: Apache-2.0
"""How near a benchmark's answer is to the truth. Millimetres; joints are the 14 LSP joints in the camera's frame."""

from __future__ import annotations

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip
from closeint_core.mesh.contact_probability import contact_probability, part_distances
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.metrics.accuracy import acceleration_error, interaction_error, mpjpe, pa_mpjpe

LSP_HIPS = (2, 3)
METRICS = {
    "mpjpe": "MPJPE",
    "pa_mpjpe": "PA-MPJPE",
    "interaction": "Interaction",
    "a_pd": "A-PD",
    "max_depth": "Deepest",
    "acceleration": "Accel",
    "contact_f1": "Contact F1",
}
"""Every metric's key and heading; all in mm but the acceleration (mm/frame^2) and the last (0 to 1)."""


def score(clip: InteractionClip, truth: InteractionClip, scored: np.ndarray, data: BodyData) -> dict[str, float | None]:
    """Means over the frames that count; None where a metric says nothing.

    Args:
        clip, truth: two people in the same frames, in the same order.
        scored: bool (2, T), the person-frames that count. The metrics of the pair (interaction, depths, contacts) are
            taken over the frames in which anybody counts.
    """
    frames = np.asarray(scored.any(axis=0))
    ours, true = _Posed(clip, data, frames), _Posed(truth, data, frames)
    accelerations = acceleration_error(ours.joints, true.joints, LSP_HIPS)
    # Second differences need three frames in a row that count.
    running = scored[:, :-2] & scored[:, 1:-1] & scored[:, 2:]
    counts = _contact_counts(ours.touching, true.touching)
    return {
        "mpjpe": _mean(mpjpe(ours.joints, true.joints, LSP_HIPS)[scored]),
        "pa_mpjpe": _mean(pa_mpjpe(ours.joints, true.joints)[scored]),
        "interaction": _mean(interaction_error(ours.joints, true.joints)[frames]),
        "a_pd": _mean(1000 * ours.mean_depth),
        "max_depth": 1000 * float(ours.max_depth.max()),
        "acceleration": _mean(accelerations[running]),
        "contact_f1": f1(*counts),
        "contact_true_positives": float(counts[0]),
        "contact_false_positives": float(counts[1]),
        "contact_false_negatives": float(counts[2]),
    }


def f1(true_positives: float, false_positives: float, false_negatives: float) -> float | None:
    """Harmonic mean of precision and recall; None where nothing touches and nothing was claimed to."""
    total = 2 * true_positives + false_positives + false_negatives
    return 2 * true_positives / total if total else None


class _Posed:
    """What the metrics need of a clip: joints of all frames; depths and contacts of the chosen ones."""

    def __init__(self, clip: InteractionClip, data: BodyData, chosen: np.ndarray) -> None:
        joints = np.zeros((2, clip.frames, 14, 3), np.float32)
        deep, mean, touching = [], [], []
        for part, vertices, _ in clip_vertices(clip, data):
            joints[:, part] = data.lsp_regressor @ vertices
            wanted = vertices[:, chosen[part]]
            if wanted.shape[1]:
                found = measure_penetration(wanted, data.faces)
                deep.append(found.max_depth)
                mean.append(found.mean_depth)
                touching.append(contact_probability(part_distances(wanted, data.parts)) > 0.5)
        self.joints = clip.world_to_camera(joints)
        self.max_depth, self.mean_depth = np.concatenate(deep), np.concatenate(mean)
        self.touching = np.concatenate(touching, 1)  # (2, t, 24) body parts that touch the partner


def _contact_counts(ours: np.ndarray, true: np.ndarray) -> tuple[int, int, int]:
    return int((ours & true).sum()), int((ours & ~true).sum()), int((~ours & true).sum())


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if values.size else None
