# SPDX-License-Identifier: Apache-2.0
"""Writes a clip in the formats other tools read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.skinning import clip_vertices
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.exchange.plain_pickle import pickled
from closeint_core.exchange.rotation import compose
from closeint_core.files import atomic_folder, atomic_path, check_folder, check_output
from closeint_core.progress import Progress
from closeint_core.provenance import put_mark

FORMATS = ("amass", "closeint-pkl", "joints", "obj")
_FOLDERS = {"closeint-pkl": ("params/*/0000.pkl", "camparams/*/camparams.txt"), "obj": ("[0-9]*_[0-9]*.obj",)}
"""Formats that are a folder: what lies in it."""
_OTHER_BETAS = (
    "The betas are of closeint's default body, not of SMPL: with an SMPL model the motion is right and the shapes are "
    "not. Reconstruct with --body smpl-neutral, or set the betas to 0, where shapes matter."
)
_GENDERS = {"smpl-male": "male", "smpl-female": "female"}


def export_clip(
    clip: InteractionClip, path: str | Path, kind: str, progress: Progress | None = None, body: BodyData | None = None
) -> list[Path]:
    """Write ``clip`` as ``kind`` (one of ``FORMATS``); returns the files or folders written.

    - ``amass``: per person ``<path>_<p>.npz`` with poses (T, 72), trans, betas, gender, mocap_framerate, body. The
      betas of the default body are not SMPL's: ``progress`` is warned, and ``betas_note`` in the file says so.
    - ``closeint-pkl``: folder of the reference's per-frame files: ``params/<frame>/0000.pkl`` with pose
      (P, 72), betas (P, B), trans (P, 3) in the camera's frame, and ``camparams/<frame>/camparams.txt``.
    - ``joints``: one npz with joints (P, T, J, 3), keypoints3d (P, T, 26, 3) in the clip's world, and fps.
    - ``obj``: folder of meshes ``<frame>_<person>.obj`` in the clip's world.

    Args:
        body: the clip's body; None looks for it in the usual places.

    Raises:
        CloseintError: unknown format, or the files cannot be written.
    """
    writers: dict[str, Callable[[InteractionClip, Path, Progress, BodyData | None], list[Path]]] = {
        "amass": _amass,
        "closeint-pkl": _pickles,
        "joints": _joints,
        "obj": _meshes,
    }
    if kind not in writers:
        raise CloseintError(f"The export format {kind!r} is unknown.", f"Choose one of {', '.join(FORMATS)}.")
    path, progress = Path(path), progress or Progress()
    if kind not in _FOLDERS:
        return writers[kind](clip.validate(), path, progress, body)
    with atomic_folder(path, kind, _FOLDERS[kind]) as folder:
        writers[kind](clip.validate(), folder, progress, body)
    return [path]


def check_export(clip: InteractionClip, path: str | Path, kind: str, inputs: Iterable[str | Path] = ()) -> None:
    """See, before any work, that ``export_clip`` may write where it is asked to.

    Raises:
        CloseintError: something is there that closeint did not write, an input, or no file can be.
    """
    if kind not in FORMATS:
        raise CloseintError(f"The export format {kind!r} is unknown.", f"Choose one of {', '.join(FORMATS)}.")
    if Path(path).name in ("", ".."):
        raise CloseintError(f"{str(path)!r} is no name of a file.", "Give the name of what to write.")
    if kind in _FOLDERS:
        check_folder(path, kind, own=_FOLDERS[kind])
    for file in _files(clip, Path(path), kind):
        check_output(file, "npz", inputs)


def _files(clip: InteractionClip, path: Path, kind: str) -> list[Path]:
    """The files of a format that is no folder."""
    stem = path.with_suffix("") if path.suffix == ".npz" else path
    if kind == "amass":
        return [stem.with_name(f"{stem.name}_{person}.npz") for person in range(clip.people)]
    return [stem.with_name(f"{stem.name}.npz")] if kind == "joints" else []


def _save_npz(path: Path, arrays: dict[str, Any]) -> Path:
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        put_mark(temporary, "npz")
    return path


def _amass(clip: InteractionClip, path: Path, progress: Progress, body: BodyData | None) -> list[Path]:
    stem = path.with_suffix("") if path.suffix == ".npz" else path
    written = []
    if not clip.body.startswith("smpl"):
        progress.warn(_OTHER_BETAS)
    for person in range(clip.people):
        arrays = {
            "poses": clip.poses[person].reshape(clip.frames, -1),
            "trans": clip.transl[person],
            "betas": clip.betas[person],
            "gender": _GENDERS.get(clip.body, "neutral"),
            "mocap_framerate": clip.fps,
            "body": clip.body,
        }
        if not clip.body.startswith("smpl"):
            arrays["betas_note"] = _OTHER_BETAS
        written.append(_save_npz(stem.with_name(f"{stem.name}_{person}.npz"), arrays))
    return written


def _joints(clip: InteractionClip, path: Path, progress: Progress, body: BodyData | None) -> list[Path]:
    body = body or load_body(clip.body)
    joints = np.zeros((clip.people, clip.frames, clip.poses.shape[2], 3), np.float32)
    keypoints = np.zeros((clip.people, clip.frames, 26, 3), np.float32)
    for part, vertices, posed in clip_vertices(clip, body):
        joints[:, part], keypoints[:, part] = posed, body.halpe_regressor @ vertices
        progress.update("exporting", part.stop, clip.frames)
    target = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    return [_save_npz(target, {"joints": joints, "keypoints3d": keypoints, "fps": clip.fps})]


def camera_frame(clip: InteractionClip, body: BodyData) -> tuple[np.ndarray, np.ndarray]:
    """Poses (P, T, J, 3) and transl (P, T, 3) of a clip seen from its camera (OpenCV axes)."""
    poses = clip.poses.copy()
    rotation = np.broadcast_to(clip.camera_R, (clip.frames, 3, 3))
    poses[:, :, 0] = compose(rotation[None], clip.poses[:, :, 0])
    rest = body.rest(clip.betas)[1][:, None, 0]  # the root turns about the rest pelvis
    roots = np.einsum("tij,ptj->pti", rotation, rest + clip.transl) + clip.camera_t
    return poses, (roots - rest).astype(np.float32)


def _pickles(clip: InteractionClip, path: Path, progress: Progress, body: BodyData | None) -> list[Path]:
    poses, transl = camera_frame(clip, body or load_body(clip.body))
    for frame in range(clip.frames):
        name = f"{clip.frame_start + frame:06d}"
        record = {
            "pose": poses[:, frame].reshape(clip.people, -1),
            "trans": transl[:, frame],
            "betas": clip.betas,
        }
        with atomic_path(path / "params" / name / "0000.pkl") as temporary:
            temporary.write_bytes(pickled(record))
        k = clip.camera_K[frame if len(clip.camera_K) > 1 else 0]
        rows = ["0", *(" ".join(f"{v:.6f}" for v in row) for row in k), "0 0"]
        rows += [" ".join(f"{v:.6f}" for v in row) for row in np.eye(4)[:3]]
        with atomic_path(path / "camparams" / name / "camparams.txt") as temporary:
            temporary.write_text("\n".join(rows) + "\n")
        progress.update("exporting", frame + 1, clip.frames)
    return [path]


def _meshes(clip: InteractionClip, path: Path, progress: Progress, body: BodyData | None) -> list[Path]:
    body = body or load_body(clip.body)
    faces = "".join(f"f {a} {b} {c}\n" for a, b, c in body.faces + 1)
    for part, vertices, _ in clip_vertices(clip, body):
        for offset in range(vertices.shape[1]):
            frame = clip.frame_start + part.start + offset
            for person in range(clip.people):
                text = io.StringIO()
                np.savetxt(text, vertices[person, offset], fmt="v %.5f %.5f %.5f")
                with atomic_path(path / f"{frame:06d}_{person}.obj") as temporary:
                    temporary.write_text(text.getvalue() + faces)
        progress.update("exporting", part.stop, clip.frames)
    return [path]
