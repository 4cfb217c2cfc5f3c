# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's place in the scene, kept while an operator works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import bpy


@contextlib.contextmanager
def preserve_user_state(context: Any) -> Iterator[None]:
    """Object mode inside the block; afterwards the selection, active object, mode and frame are as before.

    Objects are remembered by name: what the block does may free the references.
    """
    view_layer = context.view_layer
    scene = context.scene
    active = view_layer.objects.active
    active_name = active.name if active else None
    mode = active.mode if active else "OBJECT"
    selected = [ob.name for ob in view_layer.objects if ob.select_get(view_layer=view_layer)]
    frame = scene.frame_current, scene.frame_subframe
    to_object_mode(context)
    try:
        yield
    finally:
        to_object_mode(context)
        for ob in view_layer.objects:
            wanted = ob.name in selected
            if ob.select_get(view_layer=view_layer) != wanted:
                ob.select_set(wanted, view_layer=view_layer)
        view_layer.objects.active = view_layer.objects.get(active_name) if active_name else None
        if mode != "OBJECT" and view_layer.objects.active:
            bpy.ops.object.mode_set(mode=mode)
        if (scene.frame_current, scene.frame_subframe) != frame:
            scene.frame_set(frame[0], subframe=frame[1])


def to_object_mode(context: Any) -> None:
    """Leave the active object's mode, whatever it is."""
    active = context.view_layer.objects.active
    if active and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
