# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clip file to a scene.

``rig``, ``camera_model`` and ``footage`` are arithmetic without bpy; ``build.import_clip`` is the entry point.
Nothing is imported here, so that the arithmetic loads in any Python.
"""
