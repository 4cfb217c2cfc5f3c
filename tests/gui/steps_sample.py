# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled sample: cancelled by ESC and by its button, killed, finished, imported, undone."""

import os
import signal
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def steps(gui):
    yield from hands.open_tab(gui)
    hands.preferences().python = gui.args[1]
    gui.redraw()
    yield 0.3
    yield from hands.press(gui, "sample=True", column=0.83, from_top=36)
    settings = bpy.context.scene.closeint
    assert settings.video.endswith("greeting.mp4")
    settings.frames, settings.first_frame, settings.last_frame, settings.quality = "RANGE", 31, 90, "draft"
    objects = sorted(bpy.data.objects.keys())
    session = hands.session()

    def running(stage=None):
        return any(stage in (None, job.stage) and job.state == "running" for job in session.jobs())

    def idle():
        return not session.jobs()

    # Escape.
    yield from hands.press(gui, "closeint.reconstruct(", from_top=150)
    yield from hands.wait_for(gui, lambda: running("finding people"), 60, "the first stage")
    hands.shot(gui, "1-running.png", redraw=False)
    gui.move(*gui.view3d_point(0.3, 0.5))
    yield 0.2
    gui.key("Escape")
    yield from hands.wait_for(gui, idle, 3, "an answer to Escape")
    yield 0.3
    assert "Cancelled" in session.state.said["reconstruct"].text
    hands.shot(gui, "2-cancelled.png")

    # The button, with a second job in the queue.
    yield from hands.press(gui, "closeint.reconstruct(", from_top=150)
    yield from hands.wait_for(gui, running, 60, "progress")
    yield from hands.press(gui, "closeint.reconstruct(", from_top=150)
    yield from hands.wait_for(gui, lambda: len(session.jobs()) == 2, 5, "the queue")
    gui.redraw()
    hands.shot(gui, "3-queue.png")
    while session.jobs():
        before = len(session.jobs())
        yield from hands.press(gui, "closeint.cancel(", from_top=200, column=0.83)
        yield from hands.wait_for(gui, lambda n=before: len(session.jobs()) < n, 4, "the button's effect")

    # Killed in the middle.
    yield from hands.press(gui, "closeint.reconstruct(", from_top=150)
    yield from hands.wait_for(gui, lambda: running("following the pair"), 60, "the second stage")
    os.kill(session.state.worker.pid, signal.SIGKILL)
    yield from hands.wait_for(gui, idle, 3, "the end")
    yield 0.5
    said = session.state.said["reconstruct"]
    assert said.level == "ERROR", said
    assert "SIGKILL" in said.text, said
    assert ".log" in said.text, said
    hands.shot(gui, "4-killed.png")
    assert sorted(bpy.data.objects.keys()) == objects, "a failed job changed the scene"

    # Finished; what is to be finished may be short.
    settings.last_frame = 38
    yield from hands.press(gui, "closeint.reconstruct(", from_top=150)
    yield from hands.wait_for(gui, running, 60, "progress after the crash")
    seen = set()
    while not idle():
        seen.add(round(session.jobs()[0].fraction, 2))
        yield 0.1
    yield 1.0
    print("FRACTIONS", sorted(seen))
    assert len(seen) > 4, "the progress did not move"
    assert len(hands.people()) == 2
    hands.shot(gui, "5-imported.png")
    yield from hands.press(gui, "view_camera", from_top=200)
    yield 0.5
    hands.shot(gui, "6-camera.png")
    gui.move(*gui.view3d_point(0.3, 0.5))
    yield 0.2
    gui.key("ctrl+z")
    yield 1.0
    assert hands.people() == [], "the import is more than one undo step"
    assert bpy.context.scene.closeint.video, "the undo took more than the import"
    gui.key("ctrl+shift+z")
    yield 1.0
    assert len(hands.people()) == 2
