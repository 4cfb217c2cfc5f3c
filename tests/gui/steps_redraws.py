# SPDX-License-Identifier: GPL-3.0-or-later
"""How smoothly the viewport redraws while a reconstruction runs, against the same without one."""

import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def steps(gui):
    yield from hands.open_tab(gui)
    hands.preferences().python = gui.args[1]
    settings = bpy.context.scene.closeint
    settings.video = str(hands.session().sample_video())
    settings.frames, settings.first_frame, settings.last_frame, settings.quality = "RANGE", 31, 40, "draft"
    settings.import_result = False  # it takes its moment by itself
    session = hands.session()
    alone = hands.Redraws()
    yield 4.0
    print("REDRAW-ALONE", *alone.stop(), flush=True)
    gui.redraw()
    yield from hands.press(gui, "closeint.reconstruct(", from_top=150)
    stages = set()
    busy = hands.Redraws()
    while session.jobs():
        stages.add((session.jobs()[0].stage, session.jobs()[0].completed))
        yield 0.05
    print("REDRAW-BUSY", *busy.stop(), flush=True)
    print("STAGES", len({stage for stage, _ in stages}), len(stages), flush=True)
    yield 0.5
    assert session.state.said["reconstruct"].text.startswith("Saved")
