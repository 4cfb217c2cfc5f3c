# SPDX-License-Identifier: GPL-3.0-or-later
"""One person: the armature and the skinned mesh, at rest."""

from __future__ import annotations

from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector

from closeint_core.body.data import JOINT_NAMES, BodyData

from ..scene_state import edit_mode
from .bones import UNIT, bone_names, metres_per_unit, number_bones, units_per_metre
from .materials import face_regions, make_materials
from .rig import BoneLayout, stand_up

SHAPE_KEY_LIMIT = 10.0
"""Blender clamps the value of a shape key to this."""

_BONE_COLOURS = ("THEME04", "THEME01", "THEME03", "THEME09")


def make_armature(
    context: Any,
    collection: Any,
    name: str,
    layout: BoneLayout,
    parents: np.ndarray,
    person: int,
) -> Any:
    """An armature object whose bones are ``layout``'s; expects object mode and leaves it so.

    The only way to make bones is edit mode, which is entered once. Lengths are those of the scene's unit.
    """
    unit = 1.0 / metres_per_unit(context.scene)
    data = bpy.data.armatures.new(name)
    ob = bpy.data.objects.new(name, data)
    collection.objects.link(ob)
    ob.show_in_front = True
    ob[UNIT] = unit
    data.display_type = "STICK"
    with edit_mode(context, ob):
        bones: list[Any] = []
        for i, bone_name in enumerate(JOINT_NAMES):
            bone = data.edit_bones.new(bone_name)
            bone.head = unit * layout.heads[i]
            bone.tail = unit * layout.tails[i]
            bone.align_roll(Vector(layout.z_axes[i]))
            if i > 0:
                bone.parent = bones[parents[i]]
            bones.append(bone)
    number_bones(ob)
    pose: Any = ob.pose
    for posed in pose.bones:
        posed.rotation_mode = "QUATERNION"
        posed.bone.color.palette = _BONE_COLOURS[person % len(_BONE_COLOURS)]
        # Joints turn; only the root travels.
        posed.lock_location = (posed.parent is not None,) * 3
    return ob


def rest_matrices(armature: Any) -> np.ndarray:
    """The joints' rest matrices (J, 4, 4) as Blender keeps them, rounding included, in metres."""
    rest = np.array([armature.data.bones[name].matrix_local for name in bone_names(armature)], np.float64)
    rest[:, :3, 3] /= units_per_metre(armature)
    return rest


def make_mesh(
    collection: Any,
    name: str,
    body: BodyData,
    betas: np.ndarray,
    armature: Any,
    lift: float,
    person: int,
) -> Any:
    """The mesh object in its rest pose, bound to the armature, shaped by shape keys.

    The keys' values are the betas, and the armature's joints are those of the same betas: a changed key changes
    the skin but not the bones.

    Args:
        collection: where to put the object.
        name: of the object.
        body: the body; the vertex groups carry its joints' names.
        betas: (B,) shape coefficients.
        armature: the armature object.
        lift: metres the rest pose is raised by, as the bones are.
        person: index that chooses the look.
    """
    mesh = bpy.data.meshes.new(name)
    # What lies beyond the keys' limits goes into the basis, so that the shape is right all the same.
    keyed = np.clip(betas, -SHAPE_KEY_LIMIT, SHAPE_KEY_LIMIT)
    shapedirs = np.asarray(body.shapedirs[:, :, : len(betas)], np.float64)
    basis = stand_up(body.template + shapedirs @ (betas - keyed)) + np.array([0.0, 0.0, lift])
    _fill_geometry(mesh, basis, np.asarray(body.faces, np.int32), body.uv)

    for material in make_materials(person, armature.name):
        mesh.materials.append(material)
    regions = face_regions(body.regions, np.asarray(body.parts), body.faces, JOINT_NAMES)
    mesh.polygons.foreach_set("material_index", regions)

    _set_weights(mesh, body.skin_joints, body.skin_weights)
    ob = bpy.data.objects.new(name, mesh)
    collection.objects.link(ob)
    for bone_name in JOINT_NAMES:
        ob.vertex_groups.new(name=bone_name)
    _add_shape_keys(ob, basis, stand_up(np.moveaxis(shapedirs, 2, 0)), keyed)

    if units_per_metre(armature) != 1.0:
        mesh.transform(Matrix.Scale(units_per_metre(armature), 4), shape_keys=True)

    ob.parent = armature
    modifier: Any = ob.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    modifier.use_bone_envelopes = False
    modifier.use_vertex_groups = True
    return ob


def _fill_geometry(mesh: Any, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray | None) -> None:
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.astype(np.float32).reshape(-1))
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.reshape(-1))
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    if uv is not None:
        layer = mesh.uv_layers.new(name="UVMap")
        layer.uv.foreach_set("vector", np.asarray(uv, np.float32).reshape(-1))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()


def _set_weights(mesh: Any, joints: np.ndarray, weights: np.ndarray) -> None:
    """Vertex weights by group index; the groups themselves are made on the object.

    Through bmesh, which takes them several times faster than ``VertexGroup.add`` a vertex.
    """
    scratch = bmesh.new()
    scratch.from_mesh(mesh)
    layer = scratch.verts.layers.deform.verify()
    for vertex, groups, values in zip(scratch.verts, joints.tolist(), weights.tolist(), strict=True):
        deform = vertex[layer]
        for group, value in zip(groups, values, strict=True):
            if value > 0.0:
                deform[group] = deform.get(group, 0.0) + value
    scratch.to_mesh(mesh)
    scratch.free()


def _add_shape_keys(ob: Any, basis: np.ndarray, directions: np.ndarray, values: np.ndarray) -> None:
    """Shape000, Shape001, ... over the basis; directions (B, V, 3)."""
    ob.shape_key_add(name="Basis", from_mix=False)
    for i, (direction, value) in enumerate(zip(directions, values, strict=True)):
        key = ob.shape_key_add(name=f"Shape{i:03d}", from_mix=False)
        key.slider_min, key.slider_max = -SHAPE_KEY_LIMIT, SHAPE_KEY_LIMIT
        key.points.foreach_set("co", (basis + direction).astype(np.float32).reshape(-1))
        key.value = float(value)
