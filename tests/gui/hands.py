# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a window test have in common; runs inside Blender, with the driver's ``gui``."""

import os
import subprocess
import sys
import time

import bpy

MODULE = "bl_ext.user_default.closeint"


def preferences():
    return bpy.context.preferences.addons[MODULE].preferences


def session():
    return sys.modules[f"{MODULE}.session"]


def open_tab(gui):
    """Open the sidebar with N and click the tab, as a person does; a generator."""
    space = gui.area().spaces.active
    if not space.show_region_ui:
        gui.move(*gui.view3d_point(0.4, 0.4))
        yield 0.3
        gui.key("n")
        yield 1.0
    gui.redraw()
    region = gui.region("UI")
    x = region.x + region.width - 8
    for y in range(region.y + region.height - 40, region.y + 100, -24):
        if region.active_panel_category == "closeint":
            break
        gui.click(*gui.to_x11(x, y))
        yield 0.4
    assert region.active_panel_category == "closeint", "there is no tab closeint"
    yield 0.3


def find_button(gui, part, *, from_top=50, column=0.45):
    """Point of the button whose operator's Python command contains ``part``; a generator.

    The pointer goes down the sidebar, and Ctrl-C over a button copies its command, as in every Blender.
    """
    region = gui.region("UI")
    top = region.y + region.height
    # A pop-up goes away when the pointer leaves it.
    gui.move(*gui.view3d_point(0.2, 0.3))
    yield 0.5
    for y in range(top - from_top, region.y + 10, -9):
        point = gui.to_x11(region.x + column * region.width, y)
        bpy.context.window_manager.clipboard = ""
        gui.xdo("mousemove", point[0] - 1, point[1], "sleep", 0.03, "mousemove", *point)
        yield 0.25
        gui.key("ctrl+c")
        yield 0.25
        if part in bpy.context.window_manager.clipboard:
            return point
    raise AssertionError(f"no button for {part} is in the sidebar")


def press(gui, part, **where):
    """Find a button and click it; a generator."""
    point = yield from find_button(gui, part, **where)
    gui.xdo("mousemove", point[0] - 1, point[1], "sleep", 0.05, "mousemove", *point, "sleep", 0.1, "click", 1)
    yield 0.2


def drop_file(gui, path, point):
    """Drag a file with the mouse from a window beside Blender's and drop it at a point; a generator."""
    source = subprocess.Popen(
        ["python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "drag_file.py"), path, "8", "60"],
        stdout=subprocess.PIPE,
    )
    source.stdout.readline()
    yield 0.5
    # All of it in a process of its own: while something is dragged over it, Blender waits for the drop and for nothing
    # else. In steps, as a hand does.
    way = ["mousemove", 30, 84, "sleep", 0.3, "mousedown", 1]
    for part in (0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0):
        way += ["sleep", 0.25, "mousemove", int(30 + part * (point[0] - 30)), int(84 + part * (point[1] - 84))]
    way += ["sleep", 0.4, "mousemove", point[0] + 1, point[1], "sleep", 0.5, "mouseup", 1]
    hand = subprocess.Popen(["xdotool", *map(str, way)])
    yield from wait_for(gui, lambda: source.poll() is not None, 30, "the drop")
    hand.wait()
    assert source.returncode == 0, "Blender did not take the dropped file"


def wait_for(gui, condition, seconds, what):
    """Let Blender run until something is so; a generator."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        yield 0.1


def people():
    """Names of the imported characters."""
    return sorted(ob.name for ob in bpy.data.objects if ob.type == "ARMATURE" and "closeint_person" in ob)


class Redraws:
    """Times of the viewport's redraws while something moves in it."""

    def __init__(self):
        self.times = []
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._drawn, (), "WINDOW", "POST_PIXEL")
        bpy.app.timers.register(self._tick)
        self._on = True

    def _drawn(self):
        self.times.append(time.monotonic())

    def _tick(self):
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    next(r for r in area.regions if r.type == "WINDOW").tag_redraw()
        return 0.02 if self._on else None

    def stop(self):
        """(longest gap, mean gap) in seconds."""
        self._on = False
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        gaps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        return (max(gaps), sum(gaps) / len(gaps)) if gaps else (99.0, 99.0)


def shot(gui, name, redraw=True):
    """A picture in the folder that the test named."""
    gui.shot(os.path.join(gui.args[0], name), redraw=redraw)
