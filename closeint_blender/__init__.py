# SPDX-License-Identifier: GPL-3.0-or-later
"""closeint for Blender: two people from a video as two rigged characters.

bpy is imported when the add-on registers, not here, so that the parts without bpy load in any Python.
"""

from __future__ import annotations

import importlib
from types import ModuleType

_PARTS = (
    "preferences",
    "properties",
    "session",
    "clip_paths",
    "operators.import_clip",
    "operators.export",
    "operators.jobs",
    "operators.reconstruct",
    "operators.people",
    "operators.results",
    "operators.setup",
    "operators.corrections",
    "operators.quality_check",
    "operators.smooth_and_ground",
    "operators.overlay",
    "operators.graph",
    "operators.refine",
    "panels.reconstruct",
    "panels.setup",
    "panels.look",
    "cli",
)
"""Modules with ``register`` and ``unregister``, in the order in which they register."""

_registered: list[ModuleType] = []


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for part in _PARTS:
        module = importlib.import_module(f".{part}", __package__)
        module.register()
        _registered.append(module)


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    while _registered:
        _registered.pop().unregister()
