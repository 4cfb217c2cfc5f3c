# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the README; see scripts/take_screenshots.py. steps_screenshots.py PICTURES PYTHON"""

import os
import shutil
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def sidebar(gui, name, height):
    """Note where the sidebar is in a picture just taken."""
    region = gui.region("UI")
    x, y = gui.to_x11(region.x, region.y + region.height)
    print(f"CROP {name} {region.width} {height} {x} {y}", flush=True)


def steps(gui):
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    bpy.context.preferences.system.use_online_access = True
    yield from hands.open_tab(gui)
    gui.move(*gui.view3d_point(0.2, 0.2))
    yield 0.5
    hands.shot(gui, "install.png")
    sidebar(gui, "install.png", 180)

    hands.preferences().python = gui.args[1]
    session = hands.session()
    bpy.ops.closeint.doctor("INVOKE_DEFAULT")
    yield from hands.wait_for(gui, lambda: session.report() is not None and not session.jobs(), 90, "the check")
    region = gui.region("UI")
    yield 1.5
    gui.redraw()
    gui.click(*gui.to_x11(region.x + 0.2 * region.width, region.y + region.height - 291))
    yield 1.0
    gui.move(*gui.view3d_point(0.2, 0.2))
    yield 0.5
    hands.shot(gui, "setup.png")
    sidebar(gui, "setup.png", 524)  # below are paths of this machine
    gui.click(*gui.to_x11(region.x + 0.2 * region.width, region.y + region.height - 291))
    yield 0.5

    settings = bpy.context.scene.closeint
    # A path without the machine's own folders.
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(gui.args[0], "scene.blend"))
    shutil.copy(session.sample_video(), os.path.join(gui.args[0], "greeting.mp4"))
    settings.video = "//greeting.mp4"
    settings.people = "PICK"
    bpy.ops.closeint.find_people("INVOKE_DEFAULT")
    yield from hands.wait_for(gui, lambda: session.state.detection is not None and not session.jobs(), 60, "people")
    yield 1.5
    gui.redraw()
    # The header of the panel People.
    gui.click(*gui.to_x11(region.x + 0.2 * region.width, region.y + region.height - 212))
    yield 1.0
    gui.move(*gui.view3d_point(0.2, 0.2))
    yield 1.0
    hands.shot(gui, "people.png")
    sidebar(gui, "people.png", 583)
    settings.frames, settings.first_frame, settings.last_frame = "RANGE", 31, 54
    bpy.ops.closeint.reconstruct("INVOKE_DEFAULT")
    yield from hands.wait_for(gui, lambda: session.jobs() and session.jobs()[0].stage == "fitting", 200, "the fit")
    yield 1.0
    gui.redraw()
    hands.shot(gui, "running.png")
    sidebar(gui, "running.png", 583)
    yield from hands.wait_for(gui, lambda: not session.jobs(), 400, "the end")
    yield 1.0
    with gui.override():
        bpy.ops.view3d.view_camera()
    bpy.context.scene.frame_set(12)
    gui.redraw()
    yield 1.0
    hands.shot(gui, "result.png")
    print("CROP result.png 1280 800 0 0", flush=True)
