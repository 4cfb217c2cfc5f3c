# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain clothed-looking materials by which two characters are told apart."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

REGIONS = ("Skin", "Shirt", "Trousers", "Shoes", "Hair")
"""Names of the values of ``BodyData.regions``."""

_ROUGHNESS = (0.55, 0.85, 0.85, 0.6, 0.5)

# Linear RGB, muted, of different lightness so that the two differ in grey too.
LOOKS: tuple[tuple[tuple[float, float, float], ...], ...] = (
    ((0.53, 0.30, 0.21), (0.09, 0.20, 0.35), (0.05, 0.055, 0.065), (0.025, 0.02, 0.02), (0.035, 0.02, 0.012)),
    ((0.42, 0.22, 0.14), (0.70, 0.68, 0.62), (0.17, 0.025, 0.035), (0.25, 0.24, 0.23), (0.012, 0.010, 0.010)),
    ((0.58, 0.36, 0.26), (0.14, 0.30, 0.15), (0.04, 0.06, 0.12), (0.08, 0.04, 0.02), (0.20, 0.11, 0.04)),
    ((0.25, 0.13, 0.08), (0.45, 0.10, 0.12), (0.12, 0.12, 0.13), (0.02, 0.02, 0.03), (0.01, 0.01, 0.01)),
)

# What a body part wears on a body that brings no regions (SMPL's files do not), by joint name.
_WEARS = {
    "pelvis": 2,
    "hip": 2,
    "knee": 2,
    "ankle": 3,
    "foot": 3,
    "spine1": 1,
    "spine2": 1,
    "spine3": 1,
    "collar": 1,
    "shoulder": 1,
}


def face_regions(
    regions: np.ndarray | None, parts: np.ndarray, faces: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """The region (F,) of each triangle: the highest of its vertices'.

    So a seam follows the edges of the mesh; going by most of the vertices, the two triangles of a quad part and
    every seam is a zigzag. Clothes and hair reach over skin by a triangle.

    Args:
        regions: (V,) 0 skin, 1 shirt, 2 trousers, 3 shoes, 4 hair; None to dress by body part.
        parts: (V,) joint index.
        faces: (F, 3).
        names: joint names.
    """
    if regions is None:
        worn = np.array([_WEARS.get(name.removeprefix("left_").removeprefix("right_"), 0) for name in names])
        regions = worn[parts]
    result: np.ndarray = regions[faces].max(axis=1).astype(np.int32)
    return result


def make_materials(person: int, prefix: str) -> list[Any]:
    """One material a region in the person's look; people beyond the looks share them in turn."""
    materials = []
    for name, colour, roughness in zip(REGIONS, LOOKS[person % len(LOOKS)], _ROUGHNESS, strict=True):
        material = bpy.data.materials.new(f"{prefix} {name}")
        material.diffuse_color = (*colour, 1.0)  # what the solid view shows
        material.roughness = roughness
        if material.node_tree is None:
            material.use_nodes = True
        tree: Any = material.node_tree
        shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
        shader.inputs["Base Color"].default_value = (*colour, 1.0)
        shader.inputs["Roughness"].default_value = roughness
        materials.append(material)
    return materials
