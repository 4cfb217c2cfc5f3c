# SPDX-License-Identifier: GPL-3.0-or-later
"""Contacts and penetration shown on the skin, as a colour attribute that follows the current frame."""

# No postponed annotations here: Blender reads properties from them.
from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty

from closeint_core.body.data import JOINT_NAMES
from closeint_core.errors import CloseintError

from ..analysis.points import pose_skeleton
from ..dynamic import persistent
from ..importer.animated_properties import read_series
from ..importer.bones import find_bones
from ..importer.contact_colours import ATTRIBUTE, DEEP, set_colours, touch_colours
from ..importer.pair import PAIR, Pair, mesh_of, pair_of, pose_now, require_pair
from ..pair_edit import state_of

SHOWN = "closeint_overlay"
"""Property of a mesh object whose colours follow the frame; says what they show."""

_FULL_DEPTH = 0.02
"""Metres of depth at which the colour is full."""

_weights: dict[tuple[str, int], np.ndarray] = {}


def refresh(pair: Pair) -> None:
    """Colour the pair's meshes for the current frame."""
    meshes = pair.meshes()
    depths = _depths(pair) if any(ob and ob.get(SHOWN) == "BOTH" for ob in meshes) else None
    for person, (armature, ob) in enumerate(zip(pair.objects(), meshes, strict=True)):
        if ob is None or SHOWN not in ob:
            continue
        weights = part_weights(ob)
        contacts = np.array(armature.data.get("closeint_contacts", [0.0] * len(JOINT_NAMES)), np.float32)
        colours = touch_colours(weights, contacts)
        if depths is not None and len(depths[person]) == len(weights):
            deep = np.clip(depths[person] / _FULL_DEPTH, 0, 1)[:, None]
            colours[:, :3] += np.where(deep > 0, 0.35 + 0.65 * deep, 0) * (DEEP - colours[:, :3])
        set_colours(ob.data, colours)


def show_whole_clip(pair: Pair) -> None:
    """Colour the pair's meshes as an import does: by the most that each part touches in the clip."""
    for armature, ob in zip(pair.objects(), pair.meshes(), strict=True):
        contacts = read_series(armature, pair.frames(), ("closeint_contacts",)).get("closeint_contacts")
        if ob is not None and contacts is not None:
            set_colours(ob.data, touch_colours(part_weights(ob), contacts.max(0)))


def part_weights(ob: Any) -> np.ndarray:
    """(V, J) weights of a mesh's vertices by bone; read once a mesh."""
    key = (ob.data.name_full, len(ob.data.vertices))
    if key not in _weights:
        names = (find_bones(ob.parent) if ob.parent is not None else None) or JOINT_NAMES
        place = {group.index: names.index(group.name) for group in ob.vertex_groups if group.name in names}
        weights = np.zeros((len(ob.data.vertices), len(JOINT_NAMES)), np.float32)
        for vertex in ob.data.vertices:
            for group in vertex.groups:
                if group.group in place:
                    weights[vertex.index, place[group.group]] += group.weight
        if len(_weights) > 16:
            _weights.clear()
        _weights[key] = weights
    return _weights[key]


def _depths(pair: Pair) -> list[np.ndarray] | None:
    """(V,) metres of each person's vertices in the other's spheres as they stand; None if there are not two meshes."""
    meshes = pair.meshes()
    if len(meshes) != 2 or None in meshes:
        return None
    motion = pose_now(pair)
    state = state_of(motion)
    body = state.body
    places = []
    for person in (0, 1):
        skeleton = pose_skeleton(body, motion.poses[person], motion.betas[person], motion.transl[person])
        rest = body.template + body.shapedirs[:, :, : motion.betas.shape[1]] @ motion.betas[person]
        turned = (body.dense_weights @ skeleton.rotations[0].reshape(-1, 9)).reshape(-1, 3, 3)
        places.append((turned @ rest[..., None])[..., 0] + body.dense_weights @ skeleton.offsets[0])
    return [depth_in_spheres(places[p], state.centres[1 - p][0], state.spheres[1 - p].radii) for p in (0, 1)]


def depth_in_spheres(points: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(N,) metres that points (N, 3) are inside spheres; 0 outside."""
    depth = np.zeros(len(points), np.float32)
    low, high = points.min(0), points.max(0)
    near = ((centres + radii[:, None] > low) & (centres - radii[:, None] < high)).all(1)
    if not near.any():
        return depth
    centres, radii = centres[near], radii[near]
    box = ((points > (centres - radii[:, None]).min(0)) & (points < (centres + radii[:, None]).max(0))).all(1)
    some = points[box]
    if len(some):
        square = (some**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * some @ centres.T
        depth[box] = np.maximum(0, radii - np.sqrt(np.maximum(square, 0))).max(1)
    return depth


@persistent
def _follow(scene: Any, *_: Any) -> None:
    """After a change of frame: colour what is shown."""
    app: Any = bpy.app  # fake-bpy's has no result
    if app.is_job_running("RENDER"):
        return  # a render works on the same data in another thread
    seen = set()
    for ob in scene.objects:
        if ob.type == "MESH" and SHOWN in ob and ob.parent is not None:
            identity = ob.parent.get(PAIR)
            if identity and identity not in seen:
                seen.add(identity)
                pair = pair_of(scene, identity, ob.parent)
                if pair is not None:
                    refresh(pair)


class CLOSEINT_OT_overlay(bpy.types.Operator):
    """Show on the skin where the people touch and where they are inside each other. Again: back to the materials"""

    bl_idname = "closeint.overlay"
    bl_label = "Contact Overlay"
    bl_options = {"REGISTER", "UNDO"}

    show: EnumProperty(  # type: ignore[valid-type]
        name="Show",
        description="What the colours show",
        items=(
            ("TOGGLE", "On or Off", "Contacts and penetration, or nothing if they show already"),
            ("BOTH", "Contact and Penetration", "Touching skin orange, skin inside the other red"),
            ("CONTACT", "Contact", "Touching skin orange; quicker"),
            ("NONE", "Nothing", "The materials' own colours"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        cls.poll_message_set("No characters with meshes in the scene")
        return any(ob.type == "ARMATURE" and PAIR in ob and mesh_of(ob) for ob in context.scene.objects)

    def execute(self, context: Any) -> Any:
        try:
            pair = require_pair(context)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        meshes = [ob for ob in pair.meshes() if ob is not None]
        wanted = self.show
        if wanted == "TOGGLE":
            wanted = "NONE" if any(SHOWN in ob for ob in meshes) else "BOTH"
        for ob in meshes:
            if wanted == "NONE":
                if SHOWN in ob:
                    del ob[SHOWN]
                continue
            attributes = ob.data.color_attributes
            attribute = attributes.get(ATTRIBUTE) or attributes.new(ATTRIBUTE, "FLOAT_COLOR", "POINT")
            attributes.active_color = attribute  # what the solid view shows
            ob[SHOWN] = wanted
        context.view_layer.update()
        if wanted == "NONE":
            show_whole_clip(pair)
        else:
            refresh(pair)
        set_shading(context, wanted != "NONE")
        return {"FINISHED"}


def set_shading(context: Any, attribute: Any) -> None:
    """Let the window's solid views show the colour attribute, or what they showed before."""
    if context.window_manager is None:
        return
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                shading = area.spaces.active.shading
                if attribute and shading.color_type != "VERTEX":
                    context.scene["closeint_shading"] = shading.color_type
                    shading.color_type = "VERTEX"
                elif not attribute and shading.color_type == "VERTEX":
                    shading.color_type = context.scene.get("closeint_shading", "MATERIAL")


def register() -> None:
    bpy.utils.register_class(CLOSEINT_OT_overlay)
    bpy.app.handlers.frame_change_post.append(_follow)


def unregister() -> None:
    bpy.app.handlers.frame_change_post.remove(_follow)
    _weights.clear()
    bpy.utils.unregister_class(CLOSEINT_OT_overlay)
