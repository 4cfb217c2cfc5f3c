# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothing and grounding of both people together; what happened to their contacts is said."""

# No postponed annotations here: Blender reads properties from them.
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty
from mathutils import Matrix

from ..analysis.bodies import body_of
from ..analysis.contacts import PairState, Touches, contact_error, find_touches
from ..analysis.ground import foot_points, plan_ground
from ..analysis.smoothing import range_weight, smooth_motion, smooth_pair
from ..dynamic import utils
from ..importer.bones import units_per_metre
from ..importer.fcurves import Channels, curves_of, extend_action
from ..importer.motion import sample
from ..importer.pair import PAIR, Pair, PairMotion, move, read_pair, require_pair, write_pair
from ..pair_edit import measure, planted_of, state_of
from ..rotations import continuous, matrix_to_quaternion, multiply
from .for_pairs import EditKeepingState


class CLOSEINT_OT_smooth(EditKeepingState, bpy.types.Operator):
    """Smooth both people's motion together. What touches stays together, and planted feet stay planted"""

    bl_idname = "closeint.smooth"
    bl_label = "Smooth Pair"

    seconds: FloatProperty(  # type: ignore[valid-type]
        name="Width", description="Seconds over which the motion is averaged", default=0.08, min=0.01, soft_max=0.5,
        precision=2, subtype="TIME_ABSOLUTE",
    )  # fmt: skip
    strength: FloatProperty(  # type: ignore[valid-type]
        name="Strength", description="Share of the smoothed motion", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )
    frames: EnumProperty(  # type: ignore[valid-type]
        name="Frames",
        description="Which frames are smoothed",
        items=(
            ("ALL", "All", "The whole motion"),
            ("PREVIEW", "Preview Range", "The scene's preview range, or its frame range where there is none"),
        ),
    )
    hold_contacts: BoolProperty(  # type: ignore[valid-type]
        name="Hold Contacts", description="Keep the distances between body parts that touch", default=True
    )
    hold_feet: BoolProperty(  # type: ignore[valid-type]
        name="Hold Feet", description="Keep feet where they are while the clip says that they are planted", default=True
    )

    def run(self, context: Any) -> Any:
        """Smooths."""
        pair = require_pair(context)
        motion = read_pair(pair)
        sigma = self.seconds * pair.fps
        first, last, fade = 0, pair.count - 1, round(0.25 * pair.fps)
        if self.frames == "PREVIEW":
            scene = context.scene
            ends = (scene.frame_preview_start, scene.frame_preview_end)
            if not scene.use_preview_range:
                ends = (scene.frame_start, scene.frame_end)
            first, last = (pair.index_at(frame) for frame in ends)
        weight = self.strength * range_weight(pair.count, first, last, fade)
        if motion.people != 2:
            smoothed = [
                smooth_motion(pose, place, sigma, weight)
                for pose, place in zip(motion.poses, motion.transl, strict=True)
            ]
            poses, transl = (np.stack([part[i] for part in smoothed]) for i in (0, 1))
            write_pair(pair, PairMotion(poses, transl, motion.betas, motion.body))
            self.report({"INFO"}, "Smoothed")
            return {"FINISHED"}
        state = state_of(motion)
        touches = find_touches(state, fade=max(6, round(3 * sigma)))
        feet = planted_of(pair) if self.hold_feet else None
        held_touches = touches if self.hold_contacts else find_touches(state, reach=-np.inf)
        plain, held = smooth_pair(state, sigma, weight, held_touches, feet)
        write_pair(pair, PairMotion(held.poses, held.transl, motion.betas, motion.body))
        measure(pair)
        report_contacts(self, "Smoothed", touches, plain, held)
        return {"FINISHED"}


class CLOSEINT_OT_to_floor(EditKeepingState, bpy.types.Operator):
    """Put both people on the floor by one movement, so that nothing between them changes. Their camera goes along"""

    bl_idname = "closeint.to_floor"
    bl_label = "Put on Floor"

    level: BoolProperty(  # type: ignore[valid-type]
        name="Level", description="Turn a slanting floor level, judged by where feet stand", default=True
    )
    follow: BoolProperty(  # type: ignore[valid-type]
        name="Follow Drift",
        description="Let the height follow slow drift instead of being one for all frames; the camera stays",
        default=False,
    )
    offset: FloatProperty(  # type: ignore[valid-type]
        name="Offset",
        description="Height to add, for soles or a floor that is not at 0",
        default=0.0,
        subtype="DISTANCE",
    )
    camera: BoolProperty(  # type: ignore[valid-type]
        name="Camera", description="Move the people's camera too, so that they stay over the footage", default=True
    )

    def run(self, context: Any) -> Any:
        """Moves."""
        pair = require_pair(context)
        motion = read_pair(pair)
        body = body_of(motion.body)
        feet: Any = planted_of(pair)
        points = foot_points(body, motion.poses, motion.transl, motion.betas)
        lowest = points[..., 2].min((0, 2))
        plan = plan_ground(points, None if feet is None else (feet > 0.5).any(-1), pair.fps, self.level, self.follow)
        offset = plan.offset + np.array([0.0, 0.0, self.offset])
        poses, transl = [], []
        for person, ob in enumerate(pair.objects()):
            root = np.array(ob["closeint_root_joint"], np.float64)
            pose, place = move(motion.poses[person], motion.transl[person], root, plan.rotation, offset)
            place = place + plan.lift[:, None] * np.array([0.0, 0.0, 1.0], np.float32)
            poses.append(pose)
            transl.append(place)
        after = PairMotion(np.stack(poses), np.stack(transl).astype(np.float32), motion.betas, motion.body)
        write_pair(pair, after)
        if self.camera:
            move_cameras(context, pair, plan.rotation, offset)
        # Where the motion's own height was taken up, what was measured against the floor has changed.
        measure(pair)
        moved = foot_points(body, after.poses, after.transl, motion.betas)[..., 2].min((0, 2))
        angle = np.degrees(np.arccos(np.clip((np.trace(plan.rotation) - 1) / 2, -1, 1)))
        text = (
            f"On the floor: lowest point {1000 * np.median(lowest):.0f} mm before, {1000 * np.median(moved):.0f} mm now"
            f" (median), turned by {angle:.1f} degrees"
        )
        if motion.people == 2:
            before = state_of(motion)
            touches = find_touches(before)
            error = contact_error(touches, before.moved(after.poses, after.transl))
            text += f"; contact error 0.0 mm before, {1000 * error:.1f} mm after"
        self.report({"INFO"}, text)
        return {"FINISHED"}


def report_contacts(operator: Any, what: str, touches: Touches, plain: PairState, held: PairState) -> None:
    """Say how the distances of touching parts changed: done one by one, and as it was done."""
    count = int(touches.touching.any(1).sum())
    if not count:
        operator.report({"INFO"}, f"{what}; nothing touches")
        return
    before, after = (1000 * contact_error(touches, state) for state in (plain, held))
    text = f"{what}; contact error over {count} frames: {after:.1f} mm ({before:.1f} mm had contacts not been held)"
    operator.report({"INFO"}, text)


def move_cameras(context: Any, pair: Pair, rotation: np.ndarray, offset: np.ndarray) -> None:
    """Move the pair's cameras as the people were, in the first character's frame."""
    change = np.eye(4)
    first = bpy.data.objects[pair.armatures[0]]
    change[:3, :3], change[:3, 3] = rotation, units_per_metre(first) * np.asarray(offset)
    frame = np.array(first.matrix_world)
    whole = frame @ change @ np.linalg.inv(frame)
    for ob in context.scene.objects:
        if ob.type == "CAMERA" and ob.get(PAIR) == pair.identity:
            if curves_of(ob):
                move_curves(ob, whole, pair.frames())
            else:
                ob.matrix_world = Matrix(whole.tolist()) @ ob.matrix_world


def move_curves(ob: Any, whole: np.ndarray, frames: np.ndarray) -> None:
    """Move an animated object by moving its keys; whole (4, 4) is rigid."""
    location = np.tile(np.array(ob.location, np.float64), (len(frames), 1))
    rotation = np.tile(np.array(ob.rotation_quaternion, np.float64), (len(frames), 1))
    for curve in curves_of(ob):
        if curve.data_path == "location":
            location[:, curve.array_index] = sample(curve, frames)
        elif curve.data_path == "rotation_quaternion":
            rotation[:, curve.array_index] = sample(curve, frames)
    location = location @ whole[:3, :3].T + whole[:3, 3]
    rotation = continuous(multiply(matrix_to_quaternion(whole[:3, :3])[None], rotation))
    moved = [
        Channels("location", location, "Transform"),
        Channels("rotation_quaternion", rotation, "Transform"),
    ]
    extend_action(ob, ob.name, moved, frames)


_CLASSES = (CLOSEINT_OT_smooth, CLOSEINT_OT_to_floor)

register, unregister = utils.register_classes_factory(_CLASSES)
