# SPDX-License-Identifier: GPL-3.0-or-later
"""From the zip to the first imported result, as the README counts it: four clicks and one file choice.

steps_first_result.py PICTURES ZIP VIDEO_FOLDER BASE_PYTHON

The zip is dragged in with the mouse, out of a small window that stands for a file manager. Blender's Python from
Debian cannot make environments, hence BASE_PYTHON; Blender from its makers needs none.
"""

import os
import sys
import time

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands

clicks = []


def count(what):
    clicks.append(what)
    print(f"CLICK {len(clicks)}: {what}", flush=True)


def steps(gui):
    _, archive, videos, base = gui.args
    bpy.context.preferences.system.use_online_access = True  # what Blender asks at its first start
    started = time.monotonic()
    yield from hands.drop_file(gui, archive, gui.view3d_point(0.4, 0.5))
    yield 1.5
    hands.shot(gui, "1-dropped.png", redraw=False)
    # The dialog opens round the pointer, its button a little below.
    count("OK in the dialog of the dropped zip")
    x, y = gui.view3d_point(0.4, 0.5)
    gui.click(x - 62, y + 93)
    yield from hands.wait_for(gui, lambda: hands.MODULE in bpy.context.preferences.addons, 30, "the extension")
    yield 0.5
    if base:
        hands.preferences().base_python = base

    count("the tab closeint of the sidebar (N)")
    yield from hands.open_tab(gui)
    hands.shot(gui, "2-panel.png")

    count("Install")
    yield from hands.press(gui, "closeint.install")
    session = hands.session()
    yield from hands.wait_for(gui, lambda: bool(session.jobs()), 10, "the installation")
    yield 8
    hands.shot(gui, "3-installing.png", redraw=False)
    # Live redraws go on while it installs.
    redraws = hands.Redraws()
    yield from hands.wait_for(gui, lambda: not session.jobs(), 1200, "the end of the installation")
    print("REDRAW-INSTALLING", *redraws.stop(), flush=True)
    yield from hands.wait_for(gui, lambda: session.worker_state()[0] == "ready", 5, session.state.said)
    yield from hands.wait_for(gui, lambda: session.report() is not None and not session.jobs(), 120, "the check")
    gui.redraw()
    yield 0.5
    hands.shot(gui, "4-installed.png")
    print(f"INSTALLED {time.monotonic() - started:.0f}", flush=True)

    count("Reconstruct Video...")
    yield from hands.press(gui, "start=True")
    yield from hands.wait_for(gui, lambda: browser() is not None, 10, "the file browser")
    yield 1.0
    area = browser()
    area.spaces.active.params.directory = videos.encode()
    yield 2.0
    hands.shot(gui, "5-file.png", redraw=False)
    print("FILE CHOICE", flush=True)
    region = next(r for r in area.regions if r.type == "WINDOW")
    point = gui.to_x11(region.x + 60, region.y + region.height - 34)
    gui.click(*point)
    yield 0.5
    gui.xdo("mousemove", *point, "click", "--repeat", 2, "--delay", 60, 1)
    yield from hands.wait_for(gui, lambda: bool(session.jobs()), 20, "the reconstruction")
    yield from hands.wait_for(gui, lambda: not session.jobs(), 900, "its end")
    yield 1.0
    assert len(hands.people()) == 2, session.state.said
    hands.shot(gui, "6-result.png")
    print(f"FIRST-RESULT {time.monotonic() - started:.0f} s, {len(clicks)} clicks, 1 file choice", flush=True)


def browser():
    """The open file browser."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "FILE_BROWSER":
                return area
    return None
