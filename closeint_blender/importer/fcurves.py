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

from ..dynamic import app_context, types


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


def write_action(
    target: Any, name: str, channels: Iterable[Channels], frames: np.ndarray, interpolation: str = "LINEAR"
) -> Any:
    """Make a new action with keys on every frame and assign it.

    Args:
        target: the data-block to animate (an object, a camera).
        name: the action's name.
        channels: the curves.
        frames: (T,) scene frames.
        interpolation: of the keys.

    Returns:
        The action.
    """
    action = bpy.data.actions.new(name)
    animation = target.animation_data or target.animation_data_create()
    container, slot = _curve_container(action, target)
    _fill(container, channels, frames, interpolation)
    animation.action = action
    # Assigning a slot that is assigned already crashes 4.5 to 5.2 when the object was never evaluated.
    if slot is not None and animation.action_slot != slot:
        app_context.view_layer.update()
        animation.action_slot = slot
    return action


def extend_action(
    target: Any, name: str, channels: Iterable[Channels], frames: np.ndarray, interpolation: str = "LINEAR"
) -> Any:
    """Like ``write_action``, but into the action the data-block has, if it has one; curves of the same path go."""
    animation = target.animation_data
    action = animation.action if animation is not None else None
    if action is None:
        return write_action(target, name, channels, frames, interpolation)
    channels = list(channels)
    if hasattr(action, "slots"):
        container = action.layers[0].strips[0].channelbag(animation.action_slot, ensure=True)
    else:
        container = action
    paths = {channel.data_path for channel in channels}
    for curve in [curve for curve in container.fcurves if curve.data_path in paths]:
        container.fcurves.remove(curve)
    _fill(container, channels, frames, interpolation)
    return action


def _fill(container: Any, channels: Iterable[Channels], frames: np.ndarray, interpolation: str) -> None:
    kind = types.Keyframe.bl_rna.properties["interpolation"].enum_items[interpolation].value
    kinds = np.full(len(frames), kind, np.uint8)
    points = np.empty((len(frames), 2), np.float32)
    points[:, 0] = frames
    groups: dict[str, Any] = {group.name: group for group in container.groups}
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
            curve.keyframe_points.foreach_set("interpolation", kinds)
            curve.update()


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
    return [] if animation is None else curves_of_action(target, animation.action)


def curves_of_action(target: Any, action: Any) -> list[Any]:
    """The F-curves of an action that are meant for a data-block; the action may be in an NLA strip."""
    if action is None:
        return []
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    animation = target.animation_data
    slot = animation.action_slot if animation is not None and animation.action == action else None
    if slot is None:
        slot = next((s for s in action.slots if s.target_id_type in (target.id_type, "UNSPECIFIED")), None)
    if slot is None:
        return []
    bags = [strip.channelbag(slot) for layer in action.layers for strip in layer.strips]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]
