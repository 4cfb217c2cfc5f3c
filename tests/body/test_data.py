# SPDX-License-Identifier: Apache-2.0
"""The bundled body: a closed, symmetric, anatomically placed mesh with the documented shape range."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from closeint_core.body.data import DEFAULT_BODY_FILE, JOINT_NAMES, PARENTS, BodyData, load_body
from closeint_core.errors import CloseintError
from closeint_core.halpe import HALPE_FLIP, HALPE_INDEX, HALPE_TO_LSP

J = {name: index for index, name in enumerate(JOINT_NAMES)}
H = HALPE_INDEX
JOINT_FLIP = [J[name.replace("left", "\0").replace("right", "left").replace("\0", "right")] for name in JOINT_NAMES]


@pytest.fixture(scope="module")
def body() -> BodyData:
    return load_body()


def stature_and_bmi(body: BodyData, betas: list[float]) -> tuple[float, float]:
    vertices, _ = body.rest(np.array(betas, np.float32))
    stature = float(np.ptp(vertices[:, 1]))
    return stature, float(trimesh.Trimesh(vertices, body.faces, process=False).volume) * 1000.0 / stature**2


def test_needs_no_torch() -> None:
    code = "import sys, closeint_core.body.data as d, closeint_core.body.skinning; d.load_body()"
    code += "; print('torch' in sys.modules, 'scipy' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["False", "False"]


def test_shapes_and_types(body: BodyData) -> None:
    count = 12272
    assert body.name == "closeint-default/1"
    expected = {
        "template": ((count, 3), "f4"),
        "shapedirs": ((count, 3, 10), "f4"),
        "joint_regressor": ((24, count), "f4"),
        "skin_joints": ((count, 4), "i4"),
        "skin_weights": ((count, 4), "f4"),
        "parents": ((24,), "i4"),
        "faces": ((24540, 3), "i4"),
        "parts": ((count,), "i4"),
        "halpe_regressor": ((26, count), "f4"),
        "lsp_regressor": ((14, count), "f4"),
        "uv": ((24540, 3, 2), "f4"),
        "regions": ((count,), "i1"),
    }
    for name, (shape, dtype) in expected.items():
        array = getattr(body, name)
        assert array.shape == shape, name
        assert array.dtype == np.dtype(dtype), name
        assert np.all(np.isfinite(array)), name
    np.testing.assert_array_equal(body.parents, PARENTS)
    for regressor in (body.joint_regressor, body.halpe_regressor, body.lsp_regressor):
        assert regressor.min() >= 0.0
        np.testing.assert_allclose(regressor.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(body.skin_weights.sum(axis=1), 1.0, atol=1e-6)
    assert body.skin_weights.min() >= 0.0
    assert body.uv is not None
    assert body.uv.min() >= 0.0
    assert body.uv.max() <= 1.0
    assert DEFAULT_BODY_FILE.stat().st_size <= 4_000_000


@pytest.mark.parametrize("betas", [[0.0], [-2.5, -2.0], [3.0, 3.0], [0.0, 3.0, 2.0, -2.0]])
def test_one_closed_piece_facing_outwards(body: BodyData, betas: list[float]) -> None:
    mesh = trimesh.Trimesh(body.rest(np.array(betas, np.float32))[0], body.faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0.02
    assert mesh.body_count == 1


def test_left_is_right_mirrored(body: BodyData) -> None:
    from scipy.spatial import cKDTree

    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    distance, mirror = cKDTree(body.template).query(body.template * flip)
    assert distance.max() < 1e-5
    np.testing.assert_allclose(body.shapedirs[mirror] * flip[:, None], body.shapedirs, atol=2e-5)
    np.testing.assert_allclose(body.joint_regressor[JOINT_FLIP][:, mirror], body.joint_regressor, atol=1e-6)
    np.testing.assert_allclose(body.halpe_regressor[HALPE_FLIP][:, mirror], body.halpe_regressor, atol=1e-6)
    np.testing.assert_allclose(body.dense_weights[mirror][:, JOINT_FLIP], body.dense_weights, atol=2e-4)


def test_every_joint_moves_something(body: BodyData) -> None:
    """Also the spine's and the girdle's joints, which the source rig leaves almost without skin."""
    assert body.dense_weights.max(axis=0).min() > 0.6
    assert np.bincount(body.parts, minlength=24).min() >= 50
    np.testing.assert_array_equal(
        body.dense_weights[np.arange(body.num_vertices), body.parts], body.dense_weights.max(axis=1)
    )


def test_shape_range(body: BodyData) -> None:
    stature, bmi = stature_and_bmi(body, [0.0])
    assert 1.66 < stature < 1.75
    assert 22.0 < bmi < 27.0
    assert stature_and_bmi(body, [-3.0])[0] <= 1.45
    assert stature_and_bmi(body, [3.0])[0] >= 2.05
    assert stature_and_bmi(body, [0.0, -2.0])[1] <= 17.0
    assert stature_and_bmi(body, [0.0, 3.0])[1] >= 40.0
    for component in range(1, 10):  # stature is the first beta's alone
        for value in (-2.0, 2.0):
            assert abs(stature_and_bmi(body, [0.0] * component + [value])[0] - stature) < 0.01
    for value in (-2.0, 2.0):  # and it hardly changes the build
        assert abs(stature_and_bmi(body, [value])[1] - bmi) < 1.0


def test_pose_of_the_template(body: BodyData) -> None:
    """SMPL's T-pose: directions of the limbs, left at +X, facing +Z; the pelvis is the origin for every shape."""
    joints = body.joint_template

    def direction(start: str, end: str) -> np.ndarray:
        vector = joints[J[end]] - joints[J[start]]
        return vector / np.linalg.norm(vector)

    for start, end, wanted in (
        ("left_shoulder", "left_elbow", (1, -0.06, -0.09)),
        ("left_elbow", "left_wrist", (1, 0.05, -0.03)),
        ("left_hip", "left_knee", (0.09, -1, -0.01)),
        ("left_knee", "left_ankle", (-0.03, -1, -0.11)),
        ("pelvis", "neck", (0, 1, 0)),
    ):
        cosine = direction(start, end) @ wanted / np.linalg.norm(wanted)
        assert np.degrees(np.arccos(min(cosine, 1.0))) < 5.0, (start, end)
    keypoints = body.halpe_regressor @ body.template
    assert keypoints[H["nose"], 2] > joints[J["head"], 2] + 0.05
    assert np.abs(joints[0]).max() < 1e-4
    assert np.abs(body.joint_shapedirs[0]).max() < 1e-4


def test_joints_are_inside(body: BodyData) -> None:
    for betas in ([0.0], [-2.0, -2.0], [2.0, 3.0]):
        vertices, joints = body.rest(np.array(betas, np.float32))
        inside = trimesh.Trimesh(vertices, body.faces, process=False).contains(joints)
        assert inside.all(), [JOINT_NAMES[index] for index in np.flatnonzero(~inside)]


def test_keypoints_are_where_people_have_them(body: BodyData) -> None:
    points, joints = body.halpe_regressor @ body.template, body.joint_template
    for name in ("shoulder", "elbow", "wrist", "knee", "ankle"):
        assert np.linalg.norm(points[H[f"left_{name}"]] - joints[J[f"left_{name}"]]) < 0.02, name
    floor, crown = body.template[:, 1].min(), body.template[:, 1].max()
    assert points[H["head_top"], 1] > crown - 0.01
    for name in ("left_big_toe", "left_small_toe", "left_heel"):
        assert points[H[name], 1] < floor + 0.04
    assert points[H["left_small_toe"], 0] > points[H["left_big_toe"], 0] + 0.03
    assert points[H["left_heel"], 2] < points[H["left_ankle"], 2] < points[H["left_big_toe"], 2] - 0.1
    feet = body.template[(body.template[:, 1] < floor + 0.08) & (body.template[:, 0] > 0)]
    assert points[H["left_big_toe"], 2] > feet[:, 2].max() - 0.03
    assert points[H["left_heel"], 2] < feet[:, 2].min() + 0.02
    assert points[H["left_hip"], 0] > joints[J["left_hip"], 0] + 0.01  # COCO's hips are wider and higher
    assert points[H["left_hip"], 1] > joints[J["left_hip"], 1] + 0.01
    np.testing.assert_allclose(points[H["pelvis"]], (points[H["left_hip"]] + points[H["right_hip"]]) / 2, atol=1e-5)
    shoulders = points[H["left_shoulder"], 1]
    assert shoulders < points[H["neck"], 1] < joints[J["head"], 1]
    eye, ear, nose = points[H["left_eye"]], points[H["left_ear"]], points[H["nose"]]
    assert nose[2] > eye[2] > ear[2]
    assert ear[0] > eye[0] > nose[0] - 1e-4
    assert 0.05 < 2 * eye[0] < 0.08  # 63 mm between the pupils of an adult
    surface = trimesh.Trimesh(body.template, body.faces, process=False)
    skin = ["nose", "left_eye", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "head_top"]
    _, distance, _ = trimesh.proximity.closest_point(surface, points[[H[name] for name in skin]])
    assert distance.max() < 0.012
    np.testing.assert_array_equal(body.lsp_regressor, body.halpe_regressor[HALPE_TO_LSP])


def test_regions_look_like_clothes(body: BodyData) -> None:
    regions, y = body.regions, body.template[:, 1]
    assert regions is not None
    shirt, trousers, shoes, hair = (regions == label for label in (1, 2, 3, 4))
    assert y[shoes].max() < y[trousers].min() + 0.08
    assert y[trousers].max() < y[shirt & (np.abs(body.template[:, 0]) < 0.1)].min() + 0.03
    assert y[hair].min() > y[shirt].max()
    nose = body.halpe_regressor[H["nose"]].argmax()
    hand = np.argmax(body.template[:, 0])
    assert regions[nose] == regions[hand] == 0
    assert regions[np.argmax(y)] == 4


def test_uv_charts_keep_their_faces(body: BodyData) -> None:
    """No face spans a seam, and hardly any is turned over or squeezed flat."""
    assert body.uv is not None
    edges = body.uv - np.roll(body.uv, 1, axis=1)
    assert np.abs(edges).max() < 0.1
    (ax, ay), (bx, by) = (body.uv[:, 1] - body.uv[:, 0]).T, (body.uv[:, 2] - body.uv[:, 0]).T
    signed = ax * by - ay * bx
    majority = np.sign(np.median(signed))
    assert np.mean(signed * majority > 0) > 0.9


@settings(max_examples=30, deadline=None)
@given(
    a=npst.arrays(np.float32, 10, elements=st.floats(-3, 3, width=32)),
    b=npst.arrays(np.float32, 10, elements=st.floats(-3, 3, width=32)),
    t=st.floats(0, 1),
)
def test_shape_is_linear(a: np.ndarray, b: np.ndarray, t: float) -> None:
    body = load_body()
    mixed = body.rest((1 - t) * a + t * b)
    (va, ja), (vb, jb) = body.rest(a), body.rest(b)
    np.testing.assert_allclose(mixed[0], (1 - t) * va + t * vb, atol=1e-5)
    np.testing.assert_allclose(mixed[1], (1 - t) * ja + t * jb, atol=1e-5)


def test_rest_of_batches_and_short_betas(body: BodyData) -> None:
    betas = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    vertices, joints = body.rest(betas)
    assert vertices.shape == (2, 3, body.num_vertices, 3)
    full = np.concatenate([betas, np.zeros((2, 3, 6), np.float32)], axis=-1)
    naive = body.template + np.einsum("vab,b->va", body.shapedirs, full[1, 2])
    np.testing.assert_allclose(vertices[1, 2], naive, atol=1e-6)
    np.testing.assert_allclose(joints[1, 2], body.joint_regressor.astype(np.float64) @ naive, atol=1e-5)
    with pytest.raises(ValueError, match="11 betas"):
        body.rest(np.zeros(11))


def test_missing_and_unknown_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEINT_DATA", str(tmp_path / "models"))
    with pytest.raises(CloseintError) as missing:
        load_body("smpl-female", data_dir=tmp_path / "given")
    assert missing.value.exit_code == 3
    for words in ("SMPL_FEMALE", str(tmp_path / "models" / "smpl"), str(tmp_path / "given" / "smpl")):
        assert words in missing.value.message
    assert "smpl.is.tue.mpg.de" in str(missing.value)
    with pytest.raises(CloseintError, match="no body model") as unknown:
        load_body(tmp_path / "none.npz")
    assert unknown.value.exit_code == 3


def test_a_copy_loads_by_path_and_damage_is_told(tmp_path: Path, body: BodyData) -> None:
    path = tmp_path / "copy.npz"
    data = DEFAULT_BODY_FILE.read_bytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(load_body(path).template, body.template)
    from closeint_core.body.load import read_default_body

    for damaged in (b"", b"not a zip", data[: len(data) // 2], data[:5000] + b"\0" * 64 + data[5064:]):
        path.write_bytes(damaged)
        with pytest.raises(CloseintError, match="damaged"):
            read_default_body(path)
