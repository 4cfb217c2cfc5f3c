# SPDX-License-Identifier: Apache-2.0
"""Renders a scene file of ``film.py``, in a Python with bpy or in Blender: ``render.py SCENE.npz FOLDER [A:B:C]``.

The meshes come skinned and dressed, frame by frame, so nothing here deforms anything: what is rendered is the truth.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

Scene = dict[str, np.ndarray]
CONTEXT: Any = bpy.context
"""Blender's context; what is there depends on where it is asked, which its types do not know."""


def material(name: str, roughness: float) -> tuple[Any, Any, Any]:
    """A new material, its nodes' tree and its principled shader."""
    made: Any = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = 0.25
    return made, made.node_tree, shader


def node(tree: Any, kind: str, **inputs: Any) -> Any:
    """A new node; keyword arguments set inputs by name."""
    made = tree.nodes.new(kind)
    for name, value in inputs.items():
        made.inputs[name].default_value = value
    return made


def mixed(tree: Any, factor: Any, first: Any, second: Any) -> Any:
    """The colour socket of a mix; a socket is linked, a tuple is a constant."""
    made = tree.nodes.new("ShaderNodeMix")
    made.data_type = "RGBA"
    # A mix node has one pair of sockets a data type; 0 is the factor, 6 and 7 the colours, 2 the colour result.
    for index, value in ((0, factor), (6, first), (7, second)):
        if hasattr(value, "is_output"):
            tree.links.new(value, made.inputs[index])
        else:
            made.inputs[index].default_value = value if index == 0 else (*value, 1.0)
    return made.outputs[2]


def attribute(tree: Any, name: str) -> Any:
    """A node that reads an attribute of the mesh."""
    made = tree.nodes.new("ShaderNodeAttribute")
    made.attribute_name = name
    return made


def noise(tree: Any, vector: Any, scale: float, detail: float) -> Any:
    """The value of a noise over ``vector``, as a socket."""
    made = node(tree, "ShaderNodeTexNoise", Scale=scale, Detail=detail)
    tree.links.new(vector, made.inputs["Vector"])
    return made.outputs[0]


def bump(tree: Any, shader: Any, height: Any, strength: float, distance: float) -> None:
    """Let a height (a socket, in metres) bend the shader's normals."""
    made = node(tree, "ShaderNodeBump", Strength=strength, Distance=distance)
    tree.links.new(height, made.inputs["Height"])
    tree.links.new(made.outputs[0], shader.inputs["Normal"])


def scaled(colour: np.ndarray, factor: float) -> tuple[float, ...]:
    """A colour times a factor, within 0 and 1."""
    return tuple(float(c) for c in np.clip(colour * factor, 0, 1))


def skin_material(name: str, colour: np.ndarray, picture: np.ndarray) -> Any:
    """Skin with the painted face."""
    made, tree, shader = material(name, 0.5)
    plain = scaled(colour, 1.0)
    image: Any = bpy.data.images.new(name, picture.shape[1], picture.shape[0], alpha=True, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    image.alpha_mode = "CHANNEL_PACKED"
    image.pixels.foreach_set(np.ascontiguousarray(picture[::-1]).ravel())
    image.pack()
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image, texture.extension = image, "CLIP"
    uv = tree.nodes.new("ShaderNodeUVMap")
    uv.uv_map = "face"
    tree.links.new(uv.outputs[0], texture.inputs["Vector"])
    cover = tree.nodes.new("ShaderNodeMath")
    cover.operation = "MULTIPLY"
    tree.links.new(texture.outputs["Alpha"], cover.inputs[0])
    tree.links.new(attribute(tree, "front").outputs["Fac"], cover.inputs[1])
    tree.links.new(mixed(tree, cover.outputs[0], plain, texture.outputs["Color"]), shader.inputs["Base Color"])
    return made


def cloth_material(name: str, colour: np.ndarray, pattern: str) -> Any:
    """Cloth, darker in its folds; optionally striped or checked."""
    made, tree, shader = material(name, 0.9)
    base: Any = scaled(colour, 1.0)
    directions = {"stripes": ("Y",), "checks": ("Y", "X")}.get(pattern, ())
    for direction in directions:
        wave = node(tree, "ShaderNodeTexWave", Scale=9.0)
        wave.bands_direction = direction
        tree.links.new(attribute(tree, "weave").outputs["Vector"], wave.inputs["Vector"])
        ramp = tree.nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.74, 0.78
        tree.links.new(wave.outputs["Fac"], ramp.inputs[0])
        base = mixed(tree, ramp.outputs[0], base, scaled(colour * 0.25 + 0.45, 1.0))
    dark = mixed(tree, 0.45, base, (0.0, 0.0, 0.0))
    tree.links.new(mixed(tree, attribute(tree, "tone").outputs["Fac"], dark, base), shader.inputs["Base Color"])
    return made


def hair_material(name: str, colour: np.ndarray) -> Any:
    """A material whose colour runs in strands."""
    made, tree, shader = material(name, 0.45)
    stretch = node(tree, "ShaderNodeMapping", Scale=(160.0, 18.0, 60.0))
    tree.links.new(attribute(tree, "rest").outputs["Vector"], stretch.inputs["Vector"])
    strands = noise(tree, stretch.outputs[0], 1.0, 3.0)
    tree.links.new(mixed(tree, strands, scaled(colour, 0.5), scaled(colour, 1.6)), shader.inputs["Base Color"])
    bump(tree, shader, strands, 0.7, 0.01)
    return made


def add_mesh(name: str, faces: np.ndarray, rest: np.ndarray, made: Any) -> Any:
    """A smooth mesh object in its rest shape, which it keeps as the point attribute ``rest``."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(rest))
    mesh.vertices.foreach_set("co", rest.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel().astype(np.int32))
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    at_rest: Any = mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT")
    at_rest.data.foreach_set("vector", rest.ravel())
    mesh.materials.append(made)
    mesh.update(calc_edges=True)
    mesh.validate()
    thing = bpy.data.objects.new(name, mesh)
    CONTEXT.scene.collection.objects.link(thing)
    return thing


def add_person(scene: Scene, index: int) -> list[tuple[Any, np.ndarray]]:
    """Objects of one person with their vertices (T, N, 3)."""
    key = f"person{index}_"
    skin = add_mesh(
        f"{key}skin", scene[f"{key}skin_faces"], scene[f"{key}skin_rest"],
        skin_material(f"{key}skin", scene[f"{key}skin_colour"], scene[f"{key}face"]),
    )  # fmt: skip
    uv = skin.data.uv_layers.new(name="face")
    uv.uv.foreach_set("vector", scene[f"{key}face_uv"][scene[f"{key}skin_faces"].ravel()].astype(np.float32).ravel())
    front = skin.data.attributes.new("front", "FLOAT", "POINT")
    front.data.foreach_set("value", scene[f"{key}front"])
    moving = [(skin, scene[f"{key}skin_vertices"])]
    for name in ("trousers", "shirt", "shoes", "hair"):
        colour = scene[f"{key}{name}_colour"]
        pattern = str(scene[f"{key}pattern"]) if name == "shirt" else "plain"
        made = hair_material(key + name, colour) if name == "hair" else cloth_material(key + name, colour, pattern)
        thing = add_mesh(key + name, scene[f"{key}{name}_faces"], scene[f"{key}{name}_rest"], made)
        weave = thing.data.attributes.new("weave", "FLOAT_VECTOR", "POINT")
        weave.data.foreach_set("vector", scene[f"{key}{name}_weave"].ravel())
        tone = thing.data.attributes.new("tone", "FLOAT", "POINT")
        tone.data.foreach_set("value", scene[f"{key}{name}_tone"])
        moving.append((thing, scene[f"{key}{name}_vertices"]))
    return moving


def add_box(name: str, low: tuple[float, ...], high: tuple[float, ...], colour: tuple[float, ...]) -> Any:
    """A box between two corners (metres), in one colour."""
    made, _, shader = material(name, 0.7)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    thing: Any = CONTEXT.object
    thing.name = name
    thing.location = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    thing.scale = [b - a for a, b in zip(low, high, strict=True)]
    thing.data.materials.append(made)
    return thing


def add_room(turn: float, wall: np.ndarray, floor: np.ndarray) -> None:
    """A room round the pair, turned so that its back wall faces the camera."""
    parent = bpy.data.objects.new("room", None)
    CONTEXT.scene.collection.objects.link(parent)
    things = [
        add_box("floor", (-6, -6, -0.1), (6, 3.4, 0), (0, 0, 0)),
        add_box("back wall", (-6, 2.6, 0), (6, 2.75, 3.2), scaled(wall, 1)),
        add_box("left wall", (-3.7, -6, 0), (-3.55, 2.6, 3.2), scaled(wall, 0.85)),
        add_box("skirting", (-6, 2.57, 0), (6, 2.6, 0.11), (0.75, 0.74, 0.7)),
        add_box("skirting left", (-3.55, -6, 0), (-3.52, 2.6, 0.11), (0.75, 0.74, 0.7)),
        add_box("picture frame", (0.75, 2.56, 1.45), (1.75, 2.6, 2.15), (0.10, 0.06, 0.04)),
        add_box("picture", (0.80, 2.555, 1.50), (1.70, 2.56, 2.10), (0.32, 0.40, 0.38)),
        add_box("picture land", (0.80, 2.550, 1.50), (1.70, 2.555, 1.74), (0.30, 0.22, 0.10)),
        add_box("door", (-2.5, 2.565, 0), (-1.6, 2.6, 2.08), (0.46, 0.30, 0.17)),
        add_box("door frame left", (-2.58, 2.555, 0), (-2.5, 2.6, 2.16), (0.72, 0.70, 0.66)),
        add_box("door frame right", (-1.6, 2.555, 0), (-1.52, 2.6, 2.16), (0.72, 0.70, 0.66)),
        add_box("door frame top", (-2.58, 2.555, 2.08), (-1.52, 2.6, 2.16), (0.72, 0.70, 0.66)),
        add_box("sideboard", (1.95, 2.15, 0.12), (3.4, 2.57, 0.82), (0.30, 0.19, 0.11)),
        add_box("vase", (2.25, 2.28, 0.82), (2.40, 2.43, 1.12), (0.10, 0.22, 0.26)),
    ]
    tree = things[0].data.materials[0].node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 0.45
    place = tree.nodes.new("ShaderNodeNewGeometry").outputs["Position"]
    planks = node(
        tree, "ShaderNodeTexBrick", Scale=1.0, **{"Brick Width": 1.3, "Row Height": 0.13, "Mortar Size": 0.003}
    )
    for name, factor in (("Color1", 0.8), ("Color2", 1.15), ("Mortar", 0.35)):
        planks.inputs[name].default_value = (*scaled(floor, factor), 1.0)
    tree.links.new(place, planks.inputs["Vector"])
    grain = node(tree, "ShaderNodeMapping", Scale=(2.5, 45.0, 1.0))
    tree.links.new(place, grain.inputs["Vector"])
    lines = noise(tree, grain.outputs[0], 1.0, 3.0)
    darker = mixed(tree, 0.25, planks.outputs["Color"], (0.0, 0.0, 0.0))
    tree.links.new(mixed(tree, lines, darker, planks.outputs["Color"]), shader.inputs["Base Color"])
    for thing in things:
        thing.parent = parent
    parent.rotation_euler[2] = turn


def add_lights(turn: float) -> None:
    """A large soft window from the camera's left, a fill from the right, light from all around."""
    world: Any = bpy.data.worlds.new("world")
    CONTEXT.scene.world = world
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.86, 0.92, 1.0, 1.0)
    background.inputs["Strength"].default_value = 0.55
    parent = bpy.data.objects.new("lights", None)
    CONTEXT.scene.collection.objects.link(parent)
    for name, energy, size, place, tilt in (
        ("window", 190.0, 2.6, (-3.0, -3.2, 3.0), (0.85, 0.0, -0.75)),
        ("lamp", 80.0, 1.6, (2.6, -1.2, 3.1), (0.42, 0.5, 0.0)),
    ):
        light: Any = bpy.data.lights.new(name, "AREA")
        light.energy, light.size = energy, size
        light.color = (1.0, 0.95, 0.88) if name == "lamp" else (1.0, 0.98, 0.95)
        thing = bpy.data.objects.new(name, light)
        thing.location, thing.rotation_euler = place, tilt
        thing.parent = parent
        CONTEXT.scene.collection.objects.link(thing)
    parent.rotation_euler[2] = turn


def add_camera(scene: Scene) -> None:
    """The pinhole camera of the truth: square pixels, principal point in the middle of the picture."""
    width, height = (int(v) for v in scene["image_size"])
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit, camera.sensor_width = "HORIZONTAL", 36.0
    camera.lens = float(scene["camera_K"][0, 0]) * 36.0 / width
    thing = bpy.data.objects.new("camera", camera)
    pose = np.eye(4)
    # Blender's camera looks along -Z with Y up; OpenCV's along +Z with Y down.
    pose[:3, :3] = scene["camera_R"].T @ np.diag([1.0, -1.0, -1.0])
    pose[:3, 3] = -scene["camera_R"].T @ scene["camera_t"]
    thing.matrix_world = Matrix(pose.tolist())
    CONTEXT.scene.collection.objects.link(thing)
    CONTEXT.scene.camera = thing
    render = CONTEXT.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100


def set_renderer(samples: int) -> None:
    """Path tracing with few samples and a denoiser: a few seconds a frame on two cores."""
    scene = CONTEXT.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", samples, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes, cycles.denoising_prefilter = "RGB_ALBEDO_NORMAL", "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 2, 2, 1
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.seed = 0
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.compression = 30
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.view_settings.exposure = 0.35


def people_box(scene: Scene, moving: list[tuple[Any, np.ndarray]], frame: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom pixels round the people of a frame and their shadows."""
    width, height = (int(v) for v in scene["image_size"])
    points = np.concatenate([vertices[frame] for _, vertices in moving])
    ground = points * np.array([1.0, 1.0, 0.0], np.float32)
    seen = np.concatenate((points, ground)) @ scene["camera_R"].T + scene["camera_t"]
    image = (seen @ scene["camera_K"].T)[:, :2] / seen[:, 2:]
    low, high = image.min(0) - np.array((70, 50)), image.max(0) + np.array((70, 60))
    left, top = np.maximum(np.floor(low), 0).astype(int)
    right, bottom = np.minimum(np.ceil(high), (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def shoot(path: Path, box: tuple[int, int, int, int] | None) -> None:
    """Render the picture, or the part of it in ``box``."""
    render = CONTEXT.scene.render
    render.use_border = render.use_crop_to_border = box is not None
    if box is not None:
        width, height = render.resolution_x, render.resolution_y
        # Blender cuts the fractions of pixels off; the half keeps rounding out of it.
        render.border_min_x, render.border_max_x = (box[0] + 0.5) / width, (box[2] + 0.5) / width
        render.border_min_y, render.border_max_y = (height - box[3] + 0.5) / height, (height - box[1] + 0.5) / height
    render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def main(arguments: list[str]) -> None:
    """Write plate.png, the empty room, and part_0000.png ..., the people, with their boxes in boxes.npy (T, 4)."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    with np.load(path, allow_pickle=False) as archive:
        scene = {name: archive[name] for name in archive.files}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    add_camera(scene)
    turn = float(np.arctan2(scene["camera_R"][2, 0], -scene["camera_R"][2, 1]) + np.pi)
    add_room(turn, scene["wall"], scene["floor"])
    add_lights(turn)
    samples = int(scene["samples"])
    set_renderer(4 * samples)
    shoot(folder / "plate.png", None)
    set_renderer(samples)
    moving = [pair for index in (0, 1) for pair in add_person(scene, index)]
    total = len(moving[0][1])
    boxes = [people_box(scene, moving, frame) for frame in range(total)]
    np.save(folder / "boxes.npy", np.array(boxes))
    picked = slice(*(int(v) if v else None for v in arguments[2].split(":"))) if len(arguments) > 2 else slice(None)
    for frame in range(total)[picked]:
        start = time.perf_counter()
        for thing, vertices in moving:
            thing.data.vertices.foreach_set("co", np.ascontiguousarray(vertices[frame]).ravel())
            thing.data.update()
        shoot(folder / f"part_{frame:04d}.png", boxes[frame])
        print(f"RENDERED {frame} {total} {time.perf_counter() - start:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
