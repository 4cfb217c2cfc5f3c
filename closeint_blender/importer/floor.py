# SPDX-License-Identifier: GPL-3.0-or-later
"""A floor under the people."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

_MARGIN = 1.5
"""Metres between where the people go and the floor's edge."""


def make_floor(collection: Any, transl: np.ndarray, unit: float = 1.0) -> Any:
    """A plane at z = 0 under all the people, in a collection ``... Floor`` of its own so that it is hidden as one.

    It catches shadows over the footage in Cycles. Returns the object.

    Args:
        collection: where the floor's collection goes.
        transl: (P, T, 3) metres, where the people go.
        unit: Blender units a metre.
    """
    name = f"{collection.name} Floor"
    home = bpy.data.collections.new(name)
    collection.children.link(home)
    low = transl[..., :2].min((0, 1)) - _MARGIN
    high = transl[..., :2].max((0, 1)) + _MARGIN
    corners = [(low[0], low[1], 0.0), (high[0], low[1], 0.0), (high[0], high[1], 0.0), (low[0], high[1], 0.0)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(unit * float(x) for x in corner) for corner in corners], [], [(0, 1, 2, 3)])
    material = bpy.data.materials.new(name)
    material.diffuse_color = (0.35, 0.35, 0.35, 1.0)
    mesh.materials.append(material)
    ob = bpy.data.objects.new(name, mesh)
    ob.is_shadow_catcher = True
    home.objects.link(ob)
    return ob
