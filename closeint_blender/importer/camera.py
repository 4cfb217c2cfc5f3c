# SPDX-License-Identifier: GPL-3.0-or-later
"""The clip's camera, with the footage behind it."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .camera_model import SENSOR_WIDTH, BlenderCamera
from .fcurves import Channels, extend_action, write_action
from .footage import Footage

_FAR = 1000.0
"""Metres; Blender's own 100 m cuts off scenes seen through long lenses."""


def make_camera(collection: Any, name: str, values: BlenderCamera, frames: np.ndarray, unit: float = 1.0) -> Any:
    """A camera object; it is animated when there is more than one view.

    Args:
        collection: where to put it.
        name: of the object and its data.
        values: C views.
        frames: (T,) scene frames; C is 1 or T.
        unit: Blender units a metre.
    """
    data = bpy.data.cameras.new(name)
    ob = bpy.data.objects.new(name, data)
    collection.objects.link(ob)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH
    data.clip_start, data.clip_end = 0.01 * unit, _FAR * unit
    data.display_size *= unit
    ob.rotation_mode = "QUATERNION"
    animate_camera(ob, values, frames, unit)
    return ob


def animate_camera(ob: Any, values: BlenderCamera, frames: np.ndarray, unit: float = 1.0) -> None:
    """Put a camera object where C views say, at scene frames (T,); C is 1 or T. ``unit``: Blender units a metre."""
    data, name = ob.data, ob.name
    data.lens = values.lens[0]
    data.shift_x, data.shift_y = values.shift[0]
    ob.location = unit * values.location[0]
    ob.rotation_quaternion = values.rotation[0]
    if len(values.location) > 1:
        moving = [
            Channels("location", unit * values.location, "Transform"),
            Channels("rotation_quaternion", values.rotation, "Transform"),
        ]
        write_action(ob, name, moving, frames)
        lens = [
            Channels("lens", values.lens[:, None], "Lens", is_array=False),
            Channels("shift_x", values.shift[:, :1], "Lens", is_array=False),
            Channels("shift_y", values.shift[:, 1:], "Lens", is_array=False),
        ]
        if any(np.ptp(channel.values) > 0 for channel in lens):
            write_action(data, f"{name} Lens", lens, frames)


def add_background(
    camera: Any,
    footage: Footage,
    start_frame: int,
    length: int,
    image_size: np.ndarray,
    step: float = 1.0,
    pixel_aspect: float = 1.0,
) -> str | None:
    """Show the footage behind the camera, in step with the clip; returns a warning or None.

    Args:
        camera: the object. footage: what to show. start_frame: scene frame of the clip's first frame.
        length: frames of the clip. image_size: (2,) of the clip. step: scene frames per clip frame.
        pixel_aspect: width over height of the stored pixels of the video that the clip was made from.
    """
    unreadable = f"Blender cannot read the footage {footage.path}, so the camera has no background."
    try:
        # A sequence gets an image of its own: its first frame may be in use as a still.
        image = bpy.data.images.load(str(footage.path), check_existing=not footage.is_sequence)
    except RuntimeError:
        return unreadable
    size = tuple(image.size)
    if 0 in size:
        if image.users == 0:
            bpy.data.images.remove(image)
        return unreadable
    if footage.is_sequence:
        image.source = "SEQUENCE"  # from here on its size is unknown until a frame is drawn
    background = camera.data.background_images.new()
    background.image = image
    background.frame_method = "FIT"
    background.display_depth = "BACK"
    background.alpha = 1.0
    user = background.image_user
    user.frame_start = start_frame
    last = int(np.ceil(step * (length - 1)))
    user.frame_duration = last + 1
    user.frame_offset = footage.offset
    user.use_auto_refresh = True
    camera.data.show_background_images = True
    if step != 1.0:
        # Blender shows a frame of footage a scene frame; an animated offset makes up for the difference of the rates.
        frames = start_frame + np.arange(last + 1)
        offsets = footage.offset + np.floor(np.arange(last + 1) / step + 1e-6) - np.arange(last + 1)
        number = len(camera.data.background_images) - 1
        path = f"background_images[{number}].image_user.frame_offset"
        offset_curve = Channels(path, offsets[:, None], "Footage", is_array=False)
        extend_action(camera.data, f"{camera.name} Footage", [offset_curve], frames, "CONSTANT")
    expected = (int(image_size[0]), int(image_size[1]))
    displayed = (round(size[0] * pixel_aspect), size[1])
    if not _same_shape(size, expected) and _same_shape(displayed, expected):
        # Blender does not read the aspect from a video; a copy with square pixels needs none.
        image.display_aspect = (pixel_aspect, 1.0)
        size = displayed
    return _size_warning(size, expected, footage)


def _size_warning(size: tuple[int, ...], expected: tuple[int, int], footage: Footage) -> str | None:
    width, height = size
    if (width, height) == (expected[1], expected[0]) and width != height:
        return f"This Blender shows {footage.path.name} without its rotation; turn the background image by 90 degrees."
    if not _same_shape(size, expected):
        return (
            f"The footage is {width} x {height} pixels, but the clip was made from {expected[0]} x {expected[1]}; "
            "the background does not match the camera."
        )
    return None


def _same_shape(size: tuple[int, ...], expected: tuple[int, int]) -> bool:
    """Whether pictures differ in scale only: a smaller copy of the same picture is fine."""
    width, height = size
    return abs(width * expected[1] - height * expected[0]) <= 0.02 * width * expected[1]
