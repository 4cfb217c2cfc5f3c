# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender goes away in the middle of a reconstruction: by its own quit, or at once."""

import os
import signal
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def after(session):
    """What happens once another file is open."""
    state = {"turn": 0}

    def tick():
        state["turn"] += 1
        if state["turn"] == 1:
            print("GOES-ON", len(session.jobs()), session.jobs()[0].state, flush=True)
            session.cancel(session.jobs()[0])
        elif not session.jobs():
            print("CANCELLED-WITHOUT-OPERATOR", flush=True)
            os._exit(0)
        elif state["turn"] > 40:
            os._exit(1)
        return 0.1

    return tick


def steps(gui):
    _, python, how = gui.args
    yield from hands.open_tab(gui)
    hands.preferences().python = python
    bpy.context.scene.closeint.video = str(hands.session().sample_video())
    gui.redraw()
    yield from hands.press(gui, "closeint.reconstruct(", from_top=100)
    session = hands.session()
    yield from hands.wait_for(
        gui, lambda: session.jobs() and session.jobs()[0].stage == "finding people", 60, "the first stage"
    )
    print("WORKER", session.state.worker.pid, flush=True)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "file":
        # Another file is opened; the job goes on. Loading ends the driver's timer, so this goes on in one that stays.
        bpy.app.timers.register(after(session), first_interval=1.5, persistent=True)
        with gui.override():
            bpy.ops.wm.read_homefile(use_factory_startup=False)
        yield 30
    bpy.ops.wm.quit_blender()
    yield 20
