# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions written whole: one pass over the curves, none over the frames.

Blender 4.4 put layers, strips and slots between an action and its curves, and 5.0 removed the short way; only
this module knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np


@dataclass(frozen=True)
class Channels:
    """The curves of one property.

    Attributes:
        data_path: RNA path from the animated data-block.
        values: (T, N), a curve per column; its index is the property's array index.
        group: the name of the group the curves are shown in.
        is_array: False for a single number (N = 1).
    """

    data_path: str
    values: np.ndarray
    group: str
    is_array: bool = True


def write_action(target: Any, name: str, channels: Iterable[Channels], frames: np.ndarray) -> Any:
    """Make a new action with linear keys on every frame and assign it.

    Args:
        target: the data-block to animate (an object, a camera).
        name: the action's name.
        channels: the curves.
        frames: (T,) scene frames.

    Returns:
        The action.
    """
    action = bpy.data.actions.new(name)
    animation = target.animation_data or target.animation_data_create()
    container, slot = _curve_container(action, target)
    linear = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
    interpolation = np.full(len(frames), linear, np.uint8)
    points = np.empty((len(frames), 2), np.float32)
    points[:, 0] = frames
    groups: dict[str, Any] = {}
    for channel in channels:
        group = groups.get(channel.group)
        if group is None:
            group = groups[channel.group] = container.groups.new(channel.group)
        for index in range(channel.values.shape[1]):
            curve = container.fcurves.new(channel.data_path, index=index if channel.is_array else 0)
            curve.group = group
            curve.keyframe_points.add(len(frames))
            points[:, 1] = channel.values[:, index]
            curve.keyframe_points.foreach_set("co", points.reshape(-1))
            curve.keyframe_points.foreach_set("interpolation", interpolation)
            curve.update()
    animation.action = action
    # Assigning a slot that is assigned already crashes 4.5 to 5.2 when the object was never evaluated.
    if slot is not None and animation.action_slot != slot:
        bpy.context.view_layer.update()
        animation.action_slot = slot
    return action


def _curve_container(action: Any, target: Any) -> tuple[Any, Any]:
    """What owns ``fcurves`` and ``groups`` in this Blender, and the slot if there are slots."""
    if not hasattr(action, "slots"):
        return action, None
    slot = action.slots.new(target.id_type, target.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True), slot


def curves_of(target: Any) -> list[Any]:
    """The F-curves that animate a data-block, in any supported Blender."""
    animation = target.animation_data
    if animation is None or animation.action is None:
        return []
    action = animation.action
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    bags = [
        strip.channelbag(animation.action_slot)
        for layer in action.layers
        for strip in layer.strips
        if animation.action_slot is not None
    ]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]
