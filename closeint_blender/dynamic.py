# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of Blender that types do not describe: properties and operators that are made at run time, and what fake-bpy
declares as without a result. As ``Any`` they are in one place; everything else of bpy is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import bpy

_Function = TypeVar("_Function", bound=Callable[..., Any])

app_context: Any = bpy.context
"""Blender's context where none is handed over; what is there depends on where it is asked."""
ops: Any = bpy.ops
"""Operators, those of this add-on among them."""
types: Any = bpy.types
"""Classes to which an add-on adds properties."""
props: Any = bpy.props
"""Makers of properties, where their result is used."""
utils: Any = bpy.utils
"""``register_classes_factory`` and ``register_cli_command``."""


def persistent(handler: _Function) -> _Function:
    """Mark a handler that stays when another file is opened."""
    marked: _Function = bpy.app.handlers.persistent(handler)
    return marked
