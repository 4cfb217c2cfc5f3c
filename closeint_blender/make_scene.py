# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clip to a .blend without a window.

    python -m closeint_blender.make_scene CLIP --blend OUT.blend       (a Python with bpy)
    blender --background --python closeint_blender/make_scene.py -- CLIP --blend OUT.blend

Exit codes: 0 done; 2 bad usage or input, 3 a needed model is missing, each with one sentence on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file, by Blender
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    import bpy
except ImportError:
    sys.exit("make_scene: this Python has no bpy. Use a Python with bpy, or blender --background --python.")

from closeint_blender.importer.options import ImportOptions, ImportResult
from closeint_blender.scene_file import fill_scene, save_scene
from closeint_core.errors import CloseintError
from closeint_core.files import check_output
from closeint_core.streams import guard_output


def make_scene(clip: Path, blend: Path, footage: str = "", start_frame: int = 1) -> ImportResult:
    """Replace the open file by a new one with the clip and a light, and save it.

    Args:
        clip: ``*.closeint.npz``.
        blend: the file to write; the footage is named relative to it.
        footage: a video or image folder to use instead of the one the clip names.
        start_frame: scene frame of the clip's first frame.

    Raises:
        CloseintError: the clip or its body cannot be used, or the file cannot be written.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    result = fill_scene(clip, footage, ImportOptions(start_frame=start_frame))
    save_scene(blend)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="make_scene", description="Make a .blend from a closeint clip.")
    parser.add_argument("clip", type=Path, help="*.closeint.npz")
    parser.add_argument("--blend", type=Path, required=True, help="the file to write")
    parser.add_argument("--footage", default="", help="video or image folder, instead of the one the clip names")
    parser.add_argument("--start-frame", type=int, default=1, help="scene frame of the first frame (default 1)")
    options = parser.parse_args(arguments)
    guard_output()
    try:
        check_output(options.blend, "blend", [options.clip, options.footage or None])
        result = make_scene(options.clip, options.blend, options.footage, options.start_frame)
    except CloseintError as error:
        print(f"make_scene: {error}", file=sys.stderr)
        return error.exit_code
    for warning in result.warnings:
        print(f"make_scene: warning: {warning}", file=sys.stderr)
    print(options.blend)
    return 0


if __name__ == "__main__":
    # Blender keeps its own arguments in front of "--".
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    sys.exit(main(own))
