# SPDX-License-Identifier: Apache-2.0
"""Makes a clip of other tools' files: AMASS-style npz files and the reference's per-frame pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.body import restricted_pickle
from closeint_core.body.data import DEFAULT_BODY_NAME, BodyData
from closeint_core.body.load import load_body
from closeint_core.body.skinning import lbs
from closeint_core.camera import intrinsics
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.exchange.parameters import (
    body_poses,
    finite_numbers,
    first_betas,
    frame_rate,
    gender_of,
    text_of,
)
from closeint_core.exchange.rotation import compose
from closeint_core.foreign_files import read_arrays, read_bytes, read_text

_BODIES = {"male": "smpl-male", "female": "smpl-female", "neutral": "smpl-neutral"}
_AMASS = ("poses", "trans", "betas", "gender", "mocap_framerate", "mocap_frame_rate", "fps", "body")
_LARGEST_RESULT = 50_000_000  # bytes of one frame; the published ones have a few kilobytes


def import_files(
    paths: list[str | Path], *, body: str | BodyData | None = None, fps: float = 30.0, data: Path | None = None
) -> InteractionClip:
    """A clip of AMASS-style npz files (one a person) or of one folder of the reference's results.

    Args:
        paths: npz files, all of one length and rate, or one folder holding ``params/*/0000.pkl``.
        body: the body that the parameters belong to, or its name; None takes what the files say, else ``smpl-neutral``.
        fps: rate of a folder of pickles, which do not say it.
        data: folder of licensed models, besides the usual places.

    Raises:
        CloseintError: a file is missing, damaged or of another shape; the files do not belong together.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise CloseintError(f"The frame rate {fps} is not a positive number.", "Give --fps above 0.")
    body = DEFAULT_BODY_NAME if body == "default" else body
    if len(paths) == 1 and Path(paths[0]).is_dir():
        return _from_pickles(Path(paths[0]), body, fps, data)
    return _from_amass([Path(path) for path in paths], body)


def _from_amass(paths: list[Path], body: str | BodyData | None) -> InteractionClip:
    people = [_read_amass(path) for path in paths]
    lengths = {len(person["poses"]) for person in people}
    rates = {person["fps"] for person in people}
    if len(lengths) > 1 or len(rates) > 1:
        raise CloseintError(
            f"The files have {sorted(lengths)} frames at {sorted(rates)} fps, so they are not one scene.",
            "Give files of the same length and frame rate.",
        )
    name = body.name if isinstance(body, BodyData) else body or people[0]["body"]
    return still_clip(
        np.stack([person["poses"] for person in people]),
        np.stack([person["trans"] for person in people]),
        np.stack([person["betas"] for person in people]),
        name,
        rates.pop(),
    )


def _read_amass(path: Path) -> dict[str, Any]:
    fix = "Give an AMASS-style npz with poses, trans and betas."
    data = read_arrays(path, "an AMASS-style npz", _AMASS)
    missing = [key for key in ("poses", "trans", "betas") if key not in data]
    if missing:
        raise CloseintError(f"{path} lacks {', '.join(missing)}.", fix)
    poses, trans, betas = (finite_numbers(data[key], f"{path}: {key}", fix) for key in ("poses", "trans", "betas"))
    if poses.ndim < 2 or len(poses) == 0 or trans.shape != (len(poses), 3):
        raise CloseintError(
            f"{path} has poses {poses.shape} and trans {trans.shape}, not (T, numbers) and (T, 3).",
            "Give an AMASS-style npz of the SMPL family.",
        )
    full = body_poses(poses.reshape(len(poses), -1), str(path))
    rate = next((data[key] for key in ("mocap_framerate", "mocap_frame_rate", "fps") if key in data), None)
    fps = 30.0 if rate is None else frame_rate(rate, str(path))
    name = text_of(data["body"]) if "body" in data else _BODIES.get(gender_of(data.get("gender")), "smpl-neutral")
    return {"poses": full, "trans": trans, "betas": first_betas(betas), "fps": fps, "body": name}


def _from_pickles(folder: Path, body: str | BodyData | None, fps: float, models: Path | None) -> InteractionClip:
    files = sorted((folder / "params").glob("*/0000.pkl")) or sorted(folder.glob("*/0000.pkl"))
    if not files:
        raise CloseintError(f"{folder} holds no params/<frame>/0000.pkl.", "Give the folder of one result.")
    records = [_read_result(file) for file in files]
    people = min(len(pose) for pose, _, _ in records)
    poses = np.stack([pose[:people].reshape(people, 24, 3) for pose, _, _ in records], 1)
    transl = np.stack([trans[:people] for _, _, trans in records], 1)
    shapes = np.mean([betas[:people] for _, betas, _ in records], 0).astype(np.float32)
    data = body if isinstance(body, BodyData) else load_body(body or "smpl-neutral", models)
    k = _read_camera(folder, files[0].parent.name)
    size = (round(2 * float(k[0, 2])), round(2 * float(k[1, 2]))) if k is not None else (1280, 720)
    if k is None:
        k = intrinsics(size)
    # Without a floor in the file, the camera is taken as level and the lowest foot stands on the ground.
    world = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    rest = data.rest(shapes)[1][:, None, 0]
    roots = (rest + transl) @ world.T
    poses[:, :, 0] = compose(world, poses[:, :, 0])
    lowest = lbs(data, poses, shapes[:, None], roots - rest)[0][..., 2].min()
    shift = np.array([*roots[:, 0, :2].mean(0), lowest], np.float32)
    clip = still_clip(poses, roots - rest - shift, shapes, data.name, fps, data)
    clip.camera_K, clip.image_size = k.astype(np.float32)[None], np.asarray(size)
    clip.camera_R = world.T[None].astype(np.float32)
    clip.camera_t = (world.T @ shift)[None].astype(np.float32)
    first = files[0].parent.name
    clip.frame_start = int(first) if first.isdigit() else 0
    return clip.validate()


def _read_result(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses (P, 72), betas (P, 10) and translations (P, 3) of one frame's file."""
    fix = "Give the folder of one result."
    try:
        record = restricted_pickle.loads(read_bytes(file, "a result of CloseInt", _LARGEST_RESULT))
    except (restricted_pickle.Refused, restricted_pickle.Unusable) as problem:
        raise CloseintError(f"{file} is not read: {problem}.", fix) from None
    if not isinstance(record, dict) or not {"pose", "betas", "trans"} <= set(record):
        raise CloseintError(f"{file} does not hold pose, betas and trans.", fix)
    pose, betas, trans = (finite_numbers(record[key], f"{file}: {key}", fix) for key in ("pose", "betas", "trans"))
    people = pose.size // 72
    if people == 0 or pose.size != 72 * people or trans.size != 3 * people or betas.size % people or betas.size == 0:
        raise CloseintError(
            f"{file} has pose {pose.shape}, betas {betas.shape} and trans {trans.shape}, not (P, 72), (P, 10), (P, 3).",
            fix,
        )
    shapes = np.stack([first_betas(one) for one in betas.reshape(people, -1)])
    return pose.reshape(people, 72), shapes, trans.reshape(people, 3)


def _read_camera(folder: Path, frame: str) -> np.ndarray | None:
    """Intrinsics (3, 3) of a result's first frame, if the result holds them."""
    file = folder / "camparams" / frame / "camparams.txt"
    if not file.is_file():
        return None
    rows = [line.split() for line in read_text(file, "a camera file", 1_000_000).splitlines() if line.strip()]
    try:
        k = np.array([[float(v) for v in row] for row in rows[1:4]], np.float32)
    except ValueError:
        k = np.zeros((0, 3), np.float32)
    if k.shape != (3, 3) or not np.isfinite(k).all() or not (k[[0, 1, 0, 1], [0, 1, 2, 2]] > 0.5).all():
        raise CloseintError(
            f"{file} does not hold a 3 x 3 camera matrix with a focal length and a middle above 0.",
            "Remove it or export the result again.",
        )
    return k


def still_clip(
    poses: np.ndarray, transl: np.ndarray, betas: np.ndarray, body: str, fps: float, data: BodyData | None = None
) -> InteractionClip:
    """A clip of known motion, seen by a level camera that shows all of it."""
    people, frames = transl.shape[:2]
    size = (1280, 720)
    k = intrinsics(size)
    rotation = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    centre = np.median(transl.reshape(-1, 3), 0)
    reach = float(np.abs(transl.reshape(-1, 3) - centre).max()) + 1.5
    eye = np.array([centre[0], centre[1] - reach * k[0, 0] / (size[1] / 2), 1.2], np.float32)
    return InteractionClip(
        poses=poses,
        transl=transl,
        betas=betas,
        body=body,
        fps=fps,
        image_size=np.asarray(size),
        camera_K=k[None],
        camera_R=rotation[None],
        camera_t=(-rotation @ eye)[None],
        keypoints2d=np.full((people, frames, 26, 3), np.nan, np.float32),
        visible=np.ones((people, frames), bool),
        contacts=np.zeros((people, frames, poses.shape[2]), np.float32),
        foot_contacts=np.zeros((people, frames, 2), np.float32),
        metadata={"imported": True},
    ).validate()
