# SPDX-License-Identifier: GPL-3.0-or-later
"""A video and a clip file dragged into the viewport with the mouse: steps_drop.py PICTURES PYTHON VIDEO CLIP."""

import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def steps(gui):
    _, python, video, clip = gui.args
    hands.preferences().python = python
    assert not gui.area().spaces.active.show_region_ui
    point = gui.view3d_point(0.4, 0.5)
    yield from hands.drop_file(gui, video, point)
    yield 1.0
    hands.shot(gui, "1-choice.png", redraw=False)
    gui.click(*point)  # Blender takes videos too, so it asks; ours is under the pointer
    yield from hands.wait_for(gui, lambda: bpy.context.scene.closeint.video == video, 5, "the video")
    yield 1.0
    gui.redraw()
    assert gui.area().spaces.active.show_region_ui
    yield from hands.wait_for(gui, lambda: gui.region("UI").active_panel_category == "closeint", 5, "the tab")
    hands.shot(gui, "2-video.png", redraw=False)
    yield from hands.drop_file(gui, clip, gui.view3d_point(0.3, 0.5))
    yield 1.5
    hands.shot(gui, "3-clip.png", redraw=False)
    # A dialog with the options, not a file browser: the file is known.
    assert not any(area.type == "FILE_BROWSER" for area in gui.window.screen.areas)
    assert hands.people() == []
    gui.key("Return")
    yield from hands.wait_for(gui, lambda: len(hands.people()) == 2, 15, "the import")
    gui.redraw()
    hands.shot(gui, "4-imported.png")
