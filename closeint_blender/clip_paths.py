# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a character's clip file is: kept relative to the .blend, so that a project's folder may be moved.

Blender keeps its own paths (the footage) right when a file is saved elsewhere; properties of add-ons it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from .dynamic import app_context, persistent

PROPERTY = "closeint_clip"
"""Of armatures and collections: the clip file, ``//...`` or absolute."""


def stored_path(path: Path, blend: str | None = None) -> str:
    """A path as it is kept: relative to a .blend, if there is one on the same drive and the user wants that.

    Args:
        path: absolute. blend: the .blend; None: the open one.
    """
    blend = bpy.data.filepath if blend is None else blend
    if not blend or not app_context.preferences.filepaths.use_relative_paths:
        return str(path)
    try:
        return str(bpy.path.relpath(str(path), start=str(Path(blend).parent)))
    except ValueError:  # another drive
        return str(path)


def find_clip(stored: str, owner: Any = None) -> Path:
    """The clip file of a kept path: where it says, else beside the .blend, by its name; where it says if nowhere.

    Args:
        stored: the property. owner: the data-block that has it; one of a library is relative to that.
    """
    library = getattr(owner, "library", None)
    said = _absolute(stored, library=library)
    blend = bpy.path.abspath(library.filepath) if library is not None else bpy.data.filepath
    if said.is_file() or not blend:
        return said
    # Windows' separators too, in a file that comes from there.
    name, folder = stored.replace("\\", "/").rpartition("/")[2], Path(blend).parent
    return next((path for path in (folder / name, folder / "closeint" / name) if path.is_file()), said)


def _absolute(stored: str, start: str | None = None, library: Any = None) -> Path:
    return Path(os.path.normpath(bpy.path.abspath(stored, start=start, library=library)))


def anchor_clips(blend: str) -> None:
    """Keep all clips' paths relative to a .blend that is about to be written."""
    for block in _owners():
        path = find_clip(str(block[PROPERTY]), block)
        stored = stored_path(path, blend)
        if stored != block[PROPERTY]:
            block[PROPERTY] = stored


def _owners() -> Iterator[Any]:
    every: tuple[Any, ...] = (bpy.data.objects, bpy.data.collections)
    for blocks in every:
        yield from (block for block in blocks if PROPERTY in block and block.library is None)


@persistent
def _before_saving(path: Any, *_: Any) -> None:
    if isinstance(path, str) and path:
        anchor_clips(path)


@persistent
def _after_saving(path: Any, *_: Any) -> None:
    """After a copy was saved elsewhere, or saving failed: this file goes on where it is."""
    if isinstance(path, str) and path and path != bpy.data.filepath:
        for block in _owners():
            stored = str(block[PROPERTY])
            if stored.startswith("//"):
                block[PROPERTY] = stored_path(_absolute(stored, str(Path(path).parent)))


_HANDLERS = (("save_pre", _before_saving), ("save_post", _after_saving), ("save_post_fail", _after_saving))


def register() -> None:
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    for name, handler in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
