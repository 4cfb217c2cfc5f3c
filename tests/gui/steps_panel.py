# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel before anything is installed, with online access off."""

import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def steps(gui):
    yield from hands.open_tab(gui)
    hands.shot(gui, "1-nothing-installed.png")
    assert not bpy.app.online_access
    point = yield from hands.find_button(gui, "userpref_allow_online")
    # Install is above, greyed; a click on it does nothing.
    gui.click(point[0], point[1] - 66)
    yield 1.0
    session = hands.session()
    assert session.jobs() == []
    assert not session.environment().folder.exists()
    yield from hands.press(gui, "userpref_allow_online")
    yield from hands.wait_for(gui, lambda: bpy.app.online_access, 5, "online access")
    yield from hands.find_button(gui, "closeint.install")
    hands.preferences().python = gui.args[1]
    gui.redraw()
    yield 0.3
    # The header of the last panel, below the closed ones of a worker that is ready and no video.
    region = gui.region("UI")
    gui.click(*gui.to_x11(region.x + 0.2 * region.width, region.y + region.height - 291))
    yield 0.7
    gui.redraw()
    yield from hands.press(gui, "closeint.doctor", from_top=300, column=0.8)
    yield from hands.wait_for(gui, lambda: session.report() is not None, 90, "the doctor's report")
    gui.redraw()
    yield 0.5
    hands.shot(gui, "2-checked.png")
    assert session.report()["ok"]
    assert session.state.said["setup"].level == "INFO"
