# SPDX-License-Identifier: Apache-2.0
"""From solved poses to a film: dress the bodies, have Blender render them, encode the frames."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from blender_runtimes import BlenderRuntime

from closeint_core.body.load import load_body
from closeint_core.clip import InteractionClip
from closeint_core.video.writer import VideoWriter
from sample.dress import SKIN, face_box, face_picture, folds, head_mask, near_region, wardrobe, weave, worn
from sample.keys import Look, Motion
from sample.rig import Rig

SAMPLES = 6
"""Light paths a pixel; the denoiser does the rest."""
BLEND = 32
"""Pixels over which the rendered part passes into the empty room."""


@dataclass(frozen=True)
class Stage:
    """What a film shows beside the motion: two people's bodies and colours, and the room's (linear RGB)."""

    rigs: Sequence[Rig]
    looks: Sequence[Look]
    wall: tuple[float, float, float]
    floor: tuple[float, float, float]
    samples: int = SAMPLES


def write_scene(path: Path, stage: Stage, clip: InteractionClip, vertices: Sequence[np.ndarray]) -> None:
    """Everything that ``render.py`` needs, with ``vertices`` (T, V, 3) a person in the clip's world."""
    halpe = load_body("default").halpe_regressor
    arrays: dict[str, np.ndarray] = {
        "image_size": clip.image_size,
        "camera_K": clip.camera_K[0].astype(np.float64),
        "camera_R": clip.camera_R[0].astype(np.float64),
        "camera_t": clip.camera_t[0].astype(np.float64),
        "wall": np.asarray(stage.wall),
        "floor": np.asarray(stage.floor),
        "samples": np.asarray(stage.samples),
    }
    for index, (rig, look, moving) in enumerate(zip(stage.rigs, stage.looks, vertices, strict=True)):
        key = f"person{index}_"
        layers = wardrobe(rig)
        rest, faces = rig.rest.numpy(), rig.faces
        skin, hair = np.asarray(look.skin), np.asarray(look.hair)
        centre, side = face_box(rig, halpe)
        dressed = [worn(layers, frame, faces) for frame in moving]
        # Skin deep under cloth cannot poke through it when it is not there; at cuffs and collars one sees in.
        bare = near_region(rig, SKIN, 4)[faces].any(1)
        arrays |= {
            f"{key}skin_faces": faces[bare],
            f"{key}skin_rest": rest,
            f"{key}skin_vertices": moving,
            f"{key}skin_colour": skin,
            f"{key}face": face_picture(rig, halpe, skin, hair),
            f"{key}face_uv": (rest[:, :2] - centre) / side + 0.5,
            f"{key}front": head_mask(rig),
            f"{key}pattern": np.asarray(look.pattern),
        }
        rest_worn = worn(layers, rest, faces)
        for number, item in enumerate(layers):
            arrays |= {
                f"{key}{item.name}_faces": item.faces,
                f"{key}{item.name}_rest": rest_worn[number],
                f"{key}{item.name}_weave": weave(rig, rest_worn[number]),
                f"{key}{item.name}_tone": folds(rest_worn[number]),
                f"{key}{item.name}_vertices": np.stack([frame[number] for frame in dressed]),
                f"{key}{item.name}_colour": np.asarray(getattr(look, item.name)),
            }
    np.savez(path, **arrays)  # type: ignore[arg-type]


def render(
    runtime: BlenderRuntime, scene_file: Path, folder: Path, frames: str, report: Callable[[str], None]
) -> list[Path]:
    """Run Blender over a scene file; returns the pictures in order. The still room is rendered once.

    ``frames`` is a slice such as ``::10``.

    Raises:
        RuntimeError: Blender ended with an error; its last lines are in the message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("render.py")
    command = runtime.python_command(script, [str(scene_file), str(folder), *([frames] if frames else [])])
    tail: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-30:], line.rstrip()]
            if line.startswith("RENDERED"):
                _, frame, total, seconds = line.split()
                report(f"frame {int(frame) + 1} of {total}: {seconds} s")
    if process.returncode != 0:
        raise RuntimeError("Blender failed:\n" + "\n".join(tail))
    return [paste(folder, part) for part in sorted(folder.glob("part_*.png"))]


def paste(folder: Path, part: Path) -> Path:
    """Put a rendered part into the picture of the empty room, its edges blended; returns the frame's path."""
    frame = int(part.stem.split("_")[1])
    left, top, right, bottom = (int(v) for v in np.load(folder / "boxes.npy")[frame])
    plate, crop = cv2.imread(str(folder / "plate.png")), cv2.imread(str(part))
    if plate is None or crop is None or crop.shape[:2] != (bottom - top, right - left):
        raise RuntimeError(f"{part} does not fit its place in the picture")
    height, width = crop.shape[:2]
    cover = np.ones((height, width), np.float32)
    ramp = np.linspace(0, 1, BLEND + 2, dtype=np.float32)[1:-1]
    if left > 0:
        cover[:, :BLEND] *= ramp
    if right < plate.shape[1]:
        cover[:, -BLEND:] *= ramp[::-1]
    if top > 0:
        cover[:BLEND] *= ramp[:, None]
    if bottom < plate.shape[0]:
        cover[-BLEND:] *= ramp[::-1, None]
    under = plate[top:bottom, left:right].astype(np.float32)
    mixed = under + (crop.astype(np.float32) - under) * cover[..., None]
    plate[top:bottom, left:right] = np.rint(mixed).astype(np.uint8)
    out = folder / f"frame_{frame:04d}.png"
    cv2.imwrite(str(out), plate)
    return out


def encode(pictures: Sequence[Path], path: Path, fps: float) -> None:
    """An H.264 film of the pictures."""
    with VideoWriter(path, fps, crf=19) as writer:
        for picture in pictures:
            image = cv2.imread(str(picture))
            if image is None:
                raise RuntimeError(f"{picture} is not a picture")
            writer.write(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def overlay(picture: Path, keypoints: np.ndarray, out: Path) -> None:
    """Draw the true keypoints (P, 26, 3) on a rendered frame, to look whether they lie on the people."""
    from closeint_core.halpe import HALPE_BONES

    image = cv2.imread(str(picture))
    if image is None:
        raise RuntimeError(f"{picture} is not a picture")
    for person, colour in zip(keypoints, ((255, 200, 0), (0, 255, 255)), strict=False):
        # OpenCV draws with pixel centres at whole numbers.
        spots = [tuple(round(float(v)) for v in point[:2] - 0.5) for point in person]
        for a, b in HALPE_BONES:
            cv2.line(image, spots[a], spots[b], colour, 1, cv2.LINE_AA)
        for spot in spots:
            cv2.circle(image, spot, 3, colour, -1, cv2.LINE_AA)
    cv2.imwrite(str(out), image)


def varied(motion: Motion, seed: int) -> Motion:
    """The same motion by other people before another camera; seed 0 is the motion as written."""
    if seed == 0:
        return motion
    random = np.random.default_rng(seed)
    roles = tuple(
        replace(
            role,
            build=replace(
                role.build,
                stature=role.build.stature + random.uniform(-0.06, 0.06),
                bmi=role.build.bmi + random.uniform(-3, 4),
                taper=role.build.taper + random.uniform(-0.1, 0.1),
            ),
        )
        for role in motion.roles
    )
    angle, rise, far = random.uniform(-0.5, 0.5), random.uniform(-0.2, 0.35), random.uniform(0.95, 1.15)
    x, y, z = motion.camera.position
    cos, sin = np.cos(angle), np.sin(angle)
    position = (far * (cos * x - sin * y), far * (sin * x + cos * y), z + rise)
    return replace(motion, roles=(roles[0], roles[1]), camera=replace(motion.camera, position=position))
