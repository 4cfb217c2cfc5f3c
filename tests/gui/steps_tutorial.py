# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of Look and Fix for the tutorial; see scripts/take_screenshots.py. steps_tutorial.py PICTURES PYTHON CLIP"""

import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hands

FRAME = 76
"""A frame of the sample in which the two hug."""


def steps(gui):
    _, python, clip = gui.args
    hands.preferences().python = python
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    bpy.ops.closeint.import_clip(filepath=clip)
    gui.area().spaces.active.region_3d.view_perspective = "CAMERA"
    yield from hands.open_tab(gui)
    # The Reconstruct panel folded, so that everything of Look and Fix shows.
    region = gui.region("UI")
    gui.click(*gui.to_x11(region.x + 0.3 * region.width, region.y + region.height - 16))
    yield 0.6
    first, second = (bpy.data.objects[name] for name in hands.people()[:2])
    bpy.context.scene.frame_set(FRAME)
    with gui.override():
        bpy.context.view_layer.objects.active = first
        bpy.ops.closeint.overlay(show="BOTH")
        bpy.ops.closeint.graph()
    yield 1.0
    gui.redraw()
    hands.shot(gui, "look.png")

    with gui.override():
        bpy.ops.closeint.overlay(show="NONE")
        bpy.ops.closeint.graph()
        second.select_set(True)
        first.select_set(True)
        bpy.ops.object.mode_set(mode="POSE")
        bpy.ops.pose.select_all(action="DESELECT")
    bone = first.pose.bones["right_elbow"]
    bone.bone.select = True
    first.data.bones.active = bone.bone
    bone.keyframe_insert("rotation_quaternion", frame=FRAME)
    with gui.override():
        bpy.ops.closeint.pin()
        bpy.ops.pose.select_all(action="DESELECT")
    for armature, name in ((first, "right_hand"), (second, "spine2")):
        armature.pose.bones[name].bone.select = True
    first.data.bones.active = first.data.bones["right_hand"]
    with gui.override():
        bpy.ops.closeint.mark_contact(touch=True)
    yield 1.0
    gui.redraw()
    hands.shot(gui, "correct.png")
