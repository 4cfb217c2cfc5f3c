# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidebar > closeint > Reconstruct."""

import bpy

from . import CATEGORY


class CLOSEINT_PT_reconstruct(bpy.types.Panel):
    """From a video to two characters"""

    bl_idname = "CLOSEINT_PT_reconstruct"
    bl_label = "Reconstruct"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_order = 0

    def draw(self, context):  # type: ignore[no-untyped-def]
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(context.scene.closeint, "video", text="")


def register() -> None:
    bpy.utils.register_class(CLOSEINT_PT_reconstruct)


def unregister() -> None:
    bpy.utils.unregister_class(CLOSEINT_PT_reconstruct)
