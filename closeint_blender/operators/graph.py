# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the graph in the 3D view on and off."""

from typing import Any

import bpy

from .. import graph


class CLOSEINT_OT_graph(bpy.types.Operator):
    """Draw confidence, contact and penetration of the people over time along the foot of the 3D view"""

    bl_idname = "closeint.graph"
    bl_label = "Graph in View"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> Any:
        if bpy.app.background:
            self.report({"ERROR"}, "There is no view to draw in without a window.")
            return {"CANCELLED"}
        graph.show(not graph.is_shown())
        for window in context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    area.tag_redraw()
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(CLOSEINT_OT_graph)


def unregister() -> None:
    graph.show(False)
    bpy.utils.unregister_class(CLOSEINT_OT_graph)
