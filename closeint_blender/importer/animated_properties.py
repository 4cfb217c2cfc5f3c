# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a motion frame by frame, as animated properties of the armature's data.

They have an action of their own, on the armature's data and not on the object, so that the motion's action holds bones
only and may be exchanged. They show in the graph editor like any curve.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import bpy
import numpy as np

from .fcurves import Channels, curves_of, write_action

DESCRIPTIONS = {
    "closeint_visible": "1 where the person was seen in the footage",
    "closeint_confidence": "Mean confidence of the keypoints seen, 0 to 1",
    "closeint_contact": "Highest probability that a body part touches the other person",
    "closeint_contacts": "Probability of each body part, in the order of the bones, to touch the other person",
    "closeint_reprojection": "Median distance of the keypoints from the footage's, pixels",
    "closeint_penetration": "Depth of the two bodies in each other, millimetres",
    "closeint_jitter": "Largest acceleration of a joint, metres per second squared",
    "closeint_unseen": "Length of the gap that the frame lies in, seconds; 0 where the person was seen",
}
"""The properties, all 0 where nothing is known."""


def write_series(armature: Any, series: Mapping[str, np.ndarray], frames: np.ndarray) -> None:
    """Set the animated properties; those that are not in ``series`` stay as far as they are of the same length.

    Args:
        armature: the object. series: property -> (T,) or (T, N). frames: (T,) scene frames.
    """
    data = armature.data
    kept = {name: values for name, values in read_series(armature, frames).items() if _keys(data, name) == len(frames)}
    everything = {**kept, **series}
    channels = []
    for name, values in everything.items():
        values = np.nan_to_num(np.asarray(values, np.float32))
        first = values[0].tolist()
        data[name] = first
        data.id_properties_ui(name).update(description=DESCRIPTIONS[name])
        columns = values if values.ndim == 2 else values[:, None]
        channels.append(Channels(f'["{name}"]', columns, "closeint", is_array=values.ndim == 2))
    old = data.animation_data.action if data.animation_data else None
    action = write_action(data, f"{armature.name} Observed", channels, frames)
    if old is not None and old.users == 0:
        old_name = old.name
        bpy.data.actions.remove(old)
        action.name = old_name


def _keys(data: Any, name: str) -> int:
    return next((len(c.keyframe_points) for c in curves_of(data) if c.data_path == f'["{name}"]'), 0)


def read_series(armature: Any, frames: np.ndarray, names: Container[str] = DESCRIPTIONS) -> dict[str, np.ndarray]:
    """The animated properties ``names``, (T,) or (T, N) each, at scene frames (T,)."""
    from .motion import sample

    columns: dict[str, dict[int, np.ndarray]] = {}
    for curve in curves_of(armature.data):
        name = curve.data_path[2:-2]
        if name in DESCRIPTIONS and name in names:
            columns.setdefault(name, {})[curve.array_index] = sample(curve, frames)
    result = {}
    for name, found in columns.items():
        single = name != "closeint_contacts"
        result[name] = found[0] if single else np.stack([found[i] for i in sorted(found)], axis=1)
    return result
