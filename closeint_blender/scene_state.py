# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's place in the scene, kept while an operator works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import bpy
from mathutils import Vector

_FACTORY = {"fps": 24, "fps_base": 1.0, "resolution_x": 1920, "resolution_y": 1080, "resolution_percentage": 100}
"""Render settings of a new file."""
_FACTORY_RANGE = (1, 250)
_FACTORY_CAMERA = Vector((7.358891, -6.925791, 4.958309))
"""Where the camera of a new file stands."""


@contextlib.contextmanager
def preserve_user_state(context: Any) -> Iterator[None]:
    """Object mode inside the block; afterwards the selection, active object, mode and frame are as before.

    Objects are remembered by name: what the block does may free the references.
    """
    view_layer = context.view_layer
    scene = context.scene
    active = view_layer.objects.active
    active_name = active.name if active else None
    mode: Any = active.mode if active else "OBJECT"
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
            with revealed(context, view_layer.objects.active):
                bpy.ops.object.mode_set(mode=mode)
        if (scene.frame_current, scene.frame_subframe) != frame:
            scene.frame_set(frame[0], subframe=frame[1])


def to_object_mode(context: Any) -> None:
    """Leave the active object's mode, whatever it is."""
    active = context.view_layer.objects.active
    if active and active.mode != "OBJECT":
        with revealed(context, active):
            bpy.ops.object.mode_set(mode="OBJECT")


@contextlib.contextmanager
def edit_mode(context: Any, ob: Any) -> Iterator[None]:
    """An object in edit mode inside the block, whatever hides it; it is the active one then. Expects object mode."""
    with revealed(context, ob):
        context.view_layer.objects.active = ob
        bpy.ops.object.mode_set(mode="EDIT")
        try:
            yield
        finally:
            bpy.ops.object.mode_set(mode="OBJECT")


@contextlib.contextmanager
def revealed(context: Any, ob: Any) -> Iterator[None]:
    """An object visible inside the block: operators refuse hidden ones, or fail half way.

    It may be hidden by itself, by a collection, or by being in none of the view layer.
    """
    view_layer, home = context.view_layer, context.scene.collection
    linked = ob.name not in home.objects
    if linked:
        home.objects.link(ob)
    view_layer.update()
    hidden, disabled = ob.hide_get(view_layer=view_layer), ob.hide_viewport
    ob.hide_viewport = False
    if hidden:
        ob.hide_set(False, view_layer=view_layer)
    if disabled:
        view_layer.update()
    try:
        yield
    finally:
        if hidden:
            ob.hide_set(True, view_layer=view_layer)
        if disabled:
            ob.hide_viewport = True
        if linked:
            active = view_layer.objects.active
            home.objects.unlink(ob)
            view_layer.update()
            if active is not None and view_layer.objects.active != active and active.name in view_layer.objects:
                view_layer.objects.active = active


def is_untouched(scene: Any) -> bool:
    """Whether a scene is as Blender starts with, as far as an import would change it.

    Frame rate, range, size and camera are a new file's (or there is no camera), and nothing in it is animated.
    """
    render = scene.render
    if any(abs(getattr(render, name) - value) > 1e-6 for name, value in _FACTORY.items()):
        return False
    if (scene.frame_start, scene.frame_end) != _FACTORY_RANGE or scene.timeline_markers:
        return False
    camera = scene.camera
    if camera is not None and (camera.location - _FACTORY_CAMERA).length > 1e-3:
        return False
    return not any(_is_animated(block) for ob in scene.objects for block in (ob, ob.data))


def _is_animated(block: Any) -> bool:
    animation = getattr(block, "animation_data", None)
    return animation is not None and (animation.action is not None or len(animation.nla_tracks) > 0)


_MADE = ("objects", "meshes", "armatures", "cameras", "actions", "materials", "images", "collections")
_SET = ("fps", "fps_base", "resolution_x", "resolution_y", "resolution_percentage", "pixel_aspect_x", "pixel_aspect_y")


@contextlib.contextmanager
def nothing_half_made(scene: Any) -> Iterator[None]:
    """After an error in the block, what it made is gone and the scene's settings are as before."""
    before = {kind: {block.session_uid for block in getattr(bpy.data, kind)} for kind in _MADE}
    settings = {name: getattr(scene.render, name) for name in _SET}
    ends, camera = (scene.frame_start, scene.frame_end), scene.camera
    try:
        yield
    except BaseException:
        new = [block for kind in _MADE for block in getattr(bpy.data, kind) if block.session_uid not in before[kind]]
        bpy.data.batch_remove(new)
        for name, value in settings.items():
            setattr(scene.render, name, value)
        scene.frame_start, scene.frame_end = ends
        scene.camera = camera
        raise
