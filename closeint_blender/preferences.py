# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's preferences: which Python the worker runs in, and where licensed models are."""

# No postponed annotations here: Blender reads properties from them.
from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from .dynamic import app_context

drawn_below: list[Callable[[bpy.types.UILayout], None]] = []
"""Draws what other modules put under the preferences: the buttons of the set-up."""
PACKAGE = __package__
"""The extension's own package: what Blender files its preferences and its user folder under."""


class CLOSEINT_AP_preferences(bpy.types.AddonPreferences):
    """Preferences of closeint."""

    bl_idname = PACKAGE

    python: StringProperty(  # type: ignore[valid-type]
        name="Existing Python",
        description="A Python in which closeint-core[inference] is installed; the worker runs in it instead of in the "
        "environment that Install makes",
        subtype="FILE_PATH",
    )
    base_python: StringProperty(  # type: ignore[valid-type]
        name="Install With",
        description="Python 3.10 or later from which Install makes the worker's environment; empty: uv's or Blender's",
        subtype="FILE_PATH",
    )
    data: StringProperty(  # type: ignore[valid-type]
        name="Models Folder",
        description="Folder of licensed models; it has a folder smpl with SMPL_NEUTRAL.pkl and so on",
        subtype="DIR_PATH",
    )
    device: EnumProperty(  # type: ignore[valid-type]
        name="Device",
        description="Where the networks run",
        items=(
            ("auto", "Automatic", "The GPU if there is one that fits"),
            ("cpu", "CPU", "The processor, even if there is a GPU"),
            ("cuda", "CUDA", "An NVIDIA GPU"),
        ),
    )

    def draw(self, _context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.prop(self, "python")
        layout.prop(self, "base_python")
        layout.prop(self, "data")
        layout.prop(self, "device")
        for part in drawn_below:
            part(layout)


class Defaults:
    """Stands in for the preferences where the package is not an enabled extension (in tests, say)."""

    def __init__(self) -> None:
        self.python, self.base_python, self.data, self.device = "", "", "", "auto"


_defaults = Defaults()


def preferences() -> Any:
    """The extension's preferences, or what stands in for them."""
    addon = app_context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon is not None and addon.preferences is not None else _defaults


def register() -> None:
    bpy.utils.register_class(CLOSEINT_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(CLOSEINT_AP_preferences)
