# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of a video as a user of Blender gives it."""

from __future__ import annotations

from pathlib import Path

import bpy

from closeint_core.inputs import input_path


def video_path(given: str) -> Path:
    """The path that the words for a video mean: ``//`` is the .blend's folder, the rest is as in the command.

    An empty text gives the empty path.

    Raises:
        CloseintError: it is not on this computer.
    """
    return input_path(bpy.path.abspath(given)) if given else Path()
