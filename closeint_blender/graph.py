# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the people over time, drawn along the foot of the 3D view.

A strip a person: the height of the filled part is how sure the keypoints are, grey where the person was not seen;
orange on top where something touches, red where the bodies are inside each other; a line at the current frame.
"""

from __future__ import annotations

from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .dynamic import app_context
from .importer.animated_properties import read_series
from .importer.pair import find_pair

_HEIGHT, _GAP, _LEFT, _BOTTOM = 30, 6, 100, 46
_COLOURS = ((0.35, 0.62, 0.95), (0.95, 0.80, 0.45), (0.45, 0.85, 0.50), (0.90, 0.45, 0.50))
_BACK, _UNSEEN = (0.05, 0.05, 0.06, 0.75), (0.45, 0.45, 0.45, 0.85)
_TOUCH, _DEEP, _LINE = (1.0, 0.5, 0.1, 1.0), (0.95, 0.05, 0.2, 1.0), (1.0, 1.0, 1.0, 0.9)
_DEEPEST = 20.0  # millimetres at which the red is full height
_MOST_COLUMNS = 600

_SHOWN = ("closeint_visible", "closeint_confidence", "closeint_contact", "closeint_penetration")

_handle: Any = None


def is_shown() -> bool:
    """Whether the graph is on."""
    return _handle is not None


def show(on: bool) -> None:
    """Turn the graph on or off, in all 3D views."""
    global _handle
    if on and _handle is None:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
    elif not on and _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None


def _covered(area: Any) -> float:
    """Pixels on the right of a 3D view over which the sidebar lies."""
    if not app_context.preferences.system.use_region_overlap:
        return 0.0
    return float(sum(region.width for region in area.regions if region.type == "UI" and region.width > 1))


def columns_of(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) the highest value of each of ``count`` equal stretches of a series (T,)."""
    edges = np.linspace(0, len(values), count + 1).astype(int)
    return np.maximum.reduceat(values, np.minimum(edges[:-1], len(values) - 1))


def bars(left: float, bottom: float, width: float, heights: np.ndarray) -> np.ndarray:
    """Corners (N * 6, 2) of bars side by side over ``width``, those of no height left out."""
    x = left + width * np.arange(len(heights) + 1) / len(heights)
    some = heights > 0
    a, b = x[:-1][some], x[1:][some]
    low, high = np.full(some.sum(), bottom), bottom + heights[some]
    corners = [(a, low), (b, low), (b, high), (a, low), (b, high), (a, high)]
    return np.stack([np.stack(corner, -1) for corner in corners], 1).reshape(-1, 2)


def _draw() -> None:
    context = app_context
    region = context.region
    pair = find_pair(context)
    if pair is None or region is None or not context.space_data.overlay.show_overlays:
        return
    scale = context.preferences.system.ui_scale
    left, height, gap = _LEFT * scale, _HEIGHT * scale, _GAP * scale
    width = region.width - left - _covered(context.area) - 12 * scale
    if width < 100:
        return
    shaders: Any = gpu.shader  # fake-bpy's has no result
    shader = shaders.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    count = min(pair.count, _MOST_COLUMNS)
    people = pair.objects()
    for person, ob in enumerate(people):
        bottom = _BOTTOM * scale + (len(people) - 1 - person) * (height + gap)
        series = {name: columns_of(v, count) for name, v in read_series(ob, pair.frames(), _SHOWN).items()}
        nothing = np.zeros(count)
        seen = series.get("closeint_visible", nothing + 1) > 0.5
        sure = np.clip(series.get("closeint_confidence", nothing), 0, 1)
        touch = (series.get("closeint_contact", nothing) > 0.5).astype(float)
        deep = np.clip(series.get("closeint_penetration", nothing) / _DEEPEST, 0, 1)
        colour = _COLOURS[person % len(_COLOURS)]
        _fill(shader, bars(left, bottom, width, np.array([height])), _BACK)
        _fill(shader, bars(left, bottom, width, np.where(seen, 0, height)), _UNSEEN)
        _fill(shader, bars(left, bottom, width, np.where(seen, sure * height, 0)), (*colour, 0.8))
        _fill(shader, bars(left, bottom + height - 5 * scale, width, touch * 5 * scale), _TOUCH)
        _fill(shader, bars(left, bottom, width, np.where(deep > 0.05, deep * height, 0)), _DEEP)
        _write(ob.name if len(ob.name) <= 13 else f"...{ob.name[-10:]}", 10 * scale, bottom + 0.35 * height, 11 * scale)
    now = (context.scene.frame_current - pair.start) / max(pair.step * pair.count, 1e-6)
    if 0 <= now <= 1:
        x = left + width * min(now + 0.5 / pair.count, 1.0)
        total = len(people) * (height + gap) - gap
        _fill(shader, np.array([[x - 1, 0], [x + 1, 0], [x + 1, 1], [x - 1, 0], [x + 1, 1], [x - 1, 1]])
              * [1, total] + [0, _BOTTOM * scale], _LINE)  # fmt: skip
    gpu.state.blend_set("NONE")


def _fill(shader: Any, corners: np.ndarray, colour: tuple[float, ...]) -> None:
    if len(corners):
        batch = batch_for_shader(shader, "TRIS", {"pos": corners.astype(np.float32)})
        shader.uniform_float("color", colour)
        batch.draw(shader)


def _write(text: str, x: float, y: float, size: float) -> None:
    blf.size(0, size)
    blf.color(0, 1, 1, 1, 0.9)
    blf.position(0, x, y, 0)
    blf.draw(0, text)
