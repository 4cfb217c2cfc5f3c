# SPDX-License-Identifier: Apache-2.0
"""The preview of a clip: a video and a sheet of footage, overlay and side view."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.inputs import input_path
from closeint_core.preview.evidence import draw_evidence
from closeint_core.preview.rasterizer import Camera, render
from closeint_core.progress import Progress
from closeint_core.provenance import put_mark
from closeint_core.video.source import open_source
from closeint_core.video.writer import VideoWriter

# Skin, shirt, trousers, shoes, hair of each person.
PALETTES = np.array(
    [
        [[0.87, 0.67, 0.55], [0.93, 0.55, 0.25], [0.35, 0.33, 0.36], [0.20, 0.18, 0.18], [0.25, 0.17, 0.12]],
        [[0.74, 0.54, 0.42], [0.27, 0.60, 0.85], [0.80, 0.76, 0.66], [0.90, 0.90, 0.90], [0.12, 0.10, 0.10]],
    ],
    np.float32,
)
_PANEL_HEIGHT = 480


def person_colours(body: BodyData, person: int) -> np.ndarray:
    """(V, 3) colours in 0..1: clothes by region, or one colour where the body has no regions."""
    palette = PALETTES[person % 2]
    regions = body.regions if body.regions is not None else np.ones(len(body.template), np.int8)
    result: np.ndarray = palette[regions]
    return result


def side_camera(clip: InteractionClip, joints: np.ndarray, size: tuple[int, int]) -> Camera:
    """A level camera at right angles to the real one that keeps everybody in view.

    Args:
        joints: (P, T, 24, 3) of the whole clip. size: width, height of the picture.
    """
    points = joints.reshape(-1, 3)
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    centre = (low + high) / 2
    centre[2] = max(high[2], 1.0) / 2
    right = clip.camera_R[0][0].astype(np.float64) * [1, 1, 0]
    right /= max(float(np.linalg.norm(right)), 1e-9)
    forward = -right  # from the real camera's right-hand side
    down = np.array([0.0, 0.0, -1.0])
    rotation = np.stack([np.cross(down, forward), down, forward])
    spread = np.abs((points - centre) @ rotation.T)
    focal = 1.6 * size[1]
    need = max(
        np.percentile(spread[:, 0], 99.5) * focal / (size[0] / 2),
        np.percentile(spread[:, 1], 99.5) * focal / (size[1] / 2),
    )
    distance = 1.25 * need + float(np.percentile(spread[:, 2], 99))
    k = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    return Camera(k, rotation, -rotation @ (centre - distance * forward))


def draw_floor(camera: Camera, size: tuple[int, int], middle: np.ndarray) -> np.ndarray:
    """A light backdrop with a one-metre grid on z = 0 around ``middle``."""
    image = np.full((size[1], size[0], 3), 0.93, np.float32)
    ticks = np.arange(-6, 7)
    for value in ticks:
        for line in (
            np.array([[value, -6, 0], [value, 6, 0]], float),
            np.array([[-6, value, 0], [6, value, 0]], float),
        ):
            points = np.linspace(line[0], line[1], 49) + np.round(middle * [1, 1, 0])
            view = camera.to_view(points)
            pixels = camera.project(points)
            for a, b in zip(range(48), range(1, 49), strict=True):
                if view[a, 2] > 0.1 and view[b, 2] > 0.1:
                    start, end = (tuple(int(v) for v in pixels[i].clip(-4000, 8000)) for i in (a, b))
                    cv2.line(image, start, end, (0.78, 0.78, 0.8), 1, cv2.LINE_AA)
    return image


def panels(
    clip: InteractionClip,
    body: BodyData,
    footage: str | Path | None,
    height: int = _PANEL_HEIGHT,
    evidence: bool = False,
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Frame number and its three pictures (footage, overlay, side view; RGB uint8) for every frame.

    ``footage`` None draws on grey. ``evidence`` draws what was seen over the footage.
    """
    width = round(int(clip.image_size[0]) * height / int(clip.image_size[1]))
    size = (width, height)
    scale = height / float(clip.image_size[1])
    colours = np.concatenate([person_colours(body, p) for p in range(clip.people)])
    count = len(body.template)
    faces = np.concatenate([body.faces.astype(np.int64) + p * count for p in range(clip.people)])
    side_size = (round(height * 0.9), height)
    joints = np.concatenate([joints for _, _, joints in clip_vertices(clip, body)], 1)
    side = side_camera(clip, joints, side_size)
    backdrop = draw_floor(side, side_size, joints.reshape(-1, 3).mean(0))
    images = None
    if footage is not None:
        images = iter(open_source(footage, (clip.frame_start, clip.frame_start + clip.frames)))
    for part, vertices, _ in clip_vertices(clip, body):
        for offset in range(vertices.shape[1]):
            frame = part.start + offset
            found = next(images, None) if images is not None else None
            picture = (
                np.full((height, width, 3), 128, np.uint8)
                if found is None
                else np.asarray(cv2.resize(found[1], size, interpolation=cv2.INTER_AREA), np.uint8)
            )
            c = frame if len(clip.camera_K) > 1 else 0
            camera = Camera(
                clip.camera_K[c].astype(float), clip.camera_R[c].astype(float), clip.camera_t[c].astype(float)
            )
            mesh = vertices[:, offset].reshape(-1, 3).astype(np.float64)
            drawn, depth = render(mesh, faces, colours, camera.scaled(scale), size)
            mask = np.isfinite(depth)[..., None] * 0.8
            overlay = picture * (1 - mask) + 255 * drawn * mask
            if evidence:
                picture = draw_evidence(picture, clip, frame)
            drawn, depth = render(mesh, faces, colours, side, side_size)
            from_side = np.where(np.isfinite(depth)[..., None], drawn, backdrop)
            yield frame, picture, overlay.astype(np.uint8), (255 * from_side).astype(np.uint8)


def write_preview(
    clip: InteractionClip,
    video_path: str | Path | None,
    sheet_path: str | Path | None,
    footage: str | Path | None,
    progress: Progress | None = None,
    body: BodyData | None = None,
    *,
    evidence: bool = False,
) -> None:
    """Write the preview video and the sheet of four frames; either may be None.

    Args:
        footage: None draws on grey.
        body: the clip's body; None looks for it in the usual places.
        evidence: draw joints with how sure they are, and what was seen to touch, over the footage.

    Raises:
        CloseintError: the footage or an output cannot be used. A missing footage only warns.
    """
    progress = progress or Progress()
    body = body or load_body(clip.body)
    footage = input_path(footage) if footage is not None else None
    if footage is not None and not footage.exists():
        progress.warn(f"The footage {footage} is not there any more; the preview is drawn on grey.")
        footage = None
    # Four frames inside the clip: the very first and last rarely show the contact.
    spread = np.linspace(0, clip.frames - 1, 6)[1:-1] if clip.frames > 6 else np.arange(clip.frames)
    chosen = set(spread.round().astype(int).tolist())
    rows: list[np.ndarray] = []
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(video_path, clip.fps)) if video_path is not None else None
        for frame, picture, overlay, side in panels(clip, body, footage, evidence=evidence):
            strip = np.concatenate([picture, overlay, side], 1)
            if frame in chosen:
                rows.append(strip)
            if writer is not None:
                writer.write(strip)
            progress.update("drawing the preview", frame + 1, clip.frames)
    if sheet_path is not None:
        sheet = np.concatenate(rows[:4], 0)
        with atomic_path(sheet_path) as temporary:
            if not cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
                raise CloseintError(
                    f"Cannot write the picture {sheet_path}.", "Free some space or choose another folder."
                )
            put_mark(temporary, "picture")
