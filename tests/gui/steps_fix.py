# SPDX-License-Identifier: GPL-3.0-or-later
"""Look and Fix with real clicks: overlay, graph, worst frame, a keyed correction, refined around, undone."""

import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands


def steps(gui):
    _, python, clip = gui.args
    hands.preferences().python = python
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    bpy.ops.closeint.import_clip(filepath=clip)
    gui.area().spaces.active.region_3d.view_perspective = "CAMERA"
    yield from hands.open_tab(gui)
    # The Reconstruct panel folded (Ctrl on a header folds the others), so that everything shows.
    region = gui.region("UI")
    gui.click(*gui.to_x11(region.x + 0.3 * region.width, region.y + region.height - 16))
    yield 0.6
    hands.shot(gui, "1-panel.png")
    first = bpy.data.objects[hands.people()[0]]

    yield from hands.press(gui, "closeint.jump_to_worst(kind='REPROJECTION'", column=0.3)
    yield from hands.wait_for(gui, lambda: "closeint_reprojection" in first.data, 20, "the measuring")
    worst = bpy.context.scene.frame_current
    yield from hands.press(gui, "closeint.overlay(", column=0.75)
    yield from hands.wait_for(gui, lambda: "closeint_overlay" in first["closeint_mesh"], 20, "the overlay")
    yield from hands.press(gui, "closeint.graph(", column=0.25)
    yield 0.5
    hands.shot(gui, "2-overlay-and-graph.png")
    assert bpy.context.scene.frame_current == worst
    assert gui.area().spaces.active.shading.color_type == "VERTEX"

    # A bone keyed otherwise, as a user does; then the button.
    bpy.context.scene.frame_set(10)
    with gui.override():
        bpy.context.view_layer.objects.active = first
        bpy.ops.object.mode_set(mode="POSE")
        bpy.ops.pose.select_all(action="DESELECT")
    bone = first.pose.bones["right_elbow"]
    bone.bone.select = True
    first.data.bones.active = bone.bone
    bone.rotation_quaternion = (0.8, 0.0, 0.0, 0.6)
    bone.keyframe_insert("rotation_quaternion", frame=10)
    bpy.ops.ed.undo_push(message="keyed")
    yield from hands.press(gui, "closeint.pin(")
    assert [mark.part for mark in first.closeint_marks] == ["right_elbow"]
    hands.shot(gui, "3-kept.png")
    old = first["closeint_clip"]
    yield from hands.press(gui, "closeint.refine(")
    session = hands.session()
    yield from hands.wait_for(gui, lambda: any(job.stage == "refining" for job in session.jobs()), 90, "refining")
    hands.shot(gui, "4-refining.png", redraw=False)
    assert first["closeint_clip"] == old
    yield from hands.wait_for(gui, lambda: not session.jobs(), 150, "the end")
    yield 1.0
    first = bpy.data.objects[hands.people()[0]]
    assert first["closeint_clip"].endswith("-refined.closeint.npz"), first["closeint_clip"]
    assert first.mode == "POSE"
    assert len(first.closeint_marks) == 0
    hands.shot(gui, "5-refined.png")
    gui.move(*gui.view3d_point(0.3, 0.5))
    yield 0.3
    gui.key("ctrl+z")
    yield 1.0
    first = bpy.data.objects[hands.people()[0]]
    assert first["closeint_clip"] == old
    assert [mark.part for mark in first.closeint_marks] == ["right_elbow"]
    hands.shot(gui, "6-undone.png")
