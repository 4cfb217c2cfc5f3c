# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle
import pickletools

import numpy as np
import pytest
from support.clips import random_clip

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.exchange.export import camera_frame, export_clip
from closeint_core.exchange.load import import_files
from closeint_core.exchange.plain_pickle import pickled
from closeint_core.progress import Progress


@pytest.fixture(scope="module")
def clip() -> InteractionClip:
    return random_clip(frames=4, seed=3)


def joints_of(clip: InteractionClip) -> np.ndarray:
    return lbs(load_body(clip.body), clip.poses, clip.betas[:, None], clip.transl)[1]


def test_amass_files_come_back_as_the_same_motion(clip, tmp_path):
    files = export_clip(clip, tmp_path / "dance.npz", "amass")
    assert [file.name for file in files] == ["dance_0.npz", "dance_1.npz"]
    with np.load(files[1]) as data:
        assert data["poses"].shape == (4, 72)
        assert {"trans", "betas", "gender", "mocap_framerate"} <= set(data.files)
    back = import_files(files)
    assert back.fps == clip.fps
    assert back.body == clip.body
    assert np.abs(joints_of(back) - joints_of(clip)).max() < 1e-6


def test_reference_files_hold_the_motion_as_the_camera_saw_it(clip, tmp_path):
    export_clip(clip, tmp_path / "result", "closeint-pkl")
    with open(tmp_path / "result" / "params" / "000008" / "0000.pkl", "rb") as file:
        record = pickle.load(file)
    assert (record["pose"].shape, record["betas"].shape, record["trans"].shape) == ((2, 72), (2, 10), (2, 3))
    posed = lbs(load_body(clip.body), record["pose"].reshape(2, 24, 3), record["betas"], record["trans"])[1]
    assert np.abs(posed - clip.world_to_camera(joints_of(clip))[:, 1]).max() < 1e-5


def test_reference_files_come_back_as_the_same_picture(clip, tmp_path):
    export_clip(clip, tmp_path / "result", "closeint-pkl")
    back = import_files([tmp_path / "result"], body=clip.body, fps=clip.fps)
    assert back.frame_start == clip.frame_start
    assert np.abs(back.project(joints_of(back)) - clip.project(joints_of(clip))).max() < 0.05
    vertices, _ = lbs(load_body(back.body), back.poses, back.betas[:, None], back.transl)
    assert abs(vertices[..., 2].min()) < 1e-3


def test_camera_frame_agrees_with_the_clip(clip):
    poses, transl = camera_frame(clip, load_body(clip.body))
    _, joints = lbs(load_body(clip.body), poses, clip.betas[:, None], transl)
    assert np.abs(joints - clip.world_to_camera(joints_of(clip))).max() < 1e-5


def test_joints_and_meshes(clip, tmp_path):
    (file,) = export_clip(clip, tmp_path / "points", "joints")
    with np.load(file) as data:
        assert data["joints"].shape == (2, 4, 24, 3)
        assert data["keypoints3d"].shape == (2, 4, 26, 3)
        assert np.abs(data["joints"] - joints_of(clip)).max() < 1e-5
    export_clip(clip, tmp_path / "meshes", "obj")
    names = sorted(path.name for path in (tmp_path / "meshes").glob("*.obj"))
    assert names == [f"{7 + t:06d}_{p}.obj" for t in range(4) for p in range(2)]
    lines = (tmp_path / "meshes" / names[0]).read_text().splitlines()
    body = load_body(clip.body)
    assert sum(line.startswith("v ") for line in lines) == len(body.template)
    assert sum(line.startswith("f ") for line in lines) == len(body.faces)


class _Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_hostile_result_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r" / "params" / "000000").mkdir(parents=True)
    (tmp_path / "r" / "params" / "000000" / "0000.pkl").write_bytes(pickle.dumps(_Runs()))
    with pytest.raises(CloseintError, match="not read"):
        import_files([tmp_path / "r"])
    assert not (tmp_path / "ran").exists()


def test_wrong_files_end_in_a_sentence(clip, tmp_path):
    with pytest.raises(CloseintError, match="unknown"):
        export_clip(clip, tmp_path / "x", "fbx")
    with pytest.raises(CloseintError, match="no file"):
        import_files([tmp_path / "missing.npz"])
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(CloseintError, match="not a readable"):
        import_files([tmp_path / "text.npz"])
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(CloseintError, match="lacks poses"):
        import_files([tmp_path / "other.npz"])
    with pytest.raises(CloseintError, match=r"holds no params"):
        import_files([tmp_path])


def test_reference_files_name_no_module_that_numpy_1_lacks(clip, tmp_path):
    """numpy 2 writes numpy._core, which numpy 1.22 to 1.25 cannot import."""
    export_clip(clip, tmp_path / "result", "closeint-pkl")
    for file in sorted((tmp_path / "result").rglob("*.pkl")):
        data = file.read_bytes()
        named = {str(argument) for opcode, argument, _ in pickletools.genops(data) if opcode.name == "GLOBAL"}
        assert named
        assert not [name for name in named if name.startswith("numpy._core")]
        assert b"numpy._core" not in data
        assert max(opcode.proto for opcode, _, _ in pickletools.genops(data)) <= 2


def test_pickles_are_what_they_were():
    rng = np.random.default_rng(0)
    value = {"a": rng.normal(size=(3, 4)), "b": [np.float32(1.5), "numpy._core.multiarray x"], "c": np.array(["x"])}
    back = pickle.loads(pickled(value))
    np.testing.assert_array_equal(back["a"], value["a"])
    np.testing.assert_array_equal(back["c"], value["c"])
    assert back["b"] == value["b"]


def test_betas_of_another_body_are_said(clip, tmp_path):
    progress = Progress()
    (first, _) = export_clip(clip, tmp_path / "a", "amass", progress)
    assert any("not of SMPL" in warning for warning in progress.warnings)
    with np.load(first) as data:
        assert "not of SMPL" in str(data["betas_note"])
    progress = Progress()
    (first, _) = export_clip(clip.copy(body="smpl-neutral"), tmp_path / "b", "amass", progress)
    assert not progress.warnings
    with np.load(first) as data:
        assert "betas_note" not in data.files


@pytest.mark.parametrize(
    ("numbers", "shape"), [(66, (4, 22, 3)), (72, (4, 24, 3)), (156, (4, 52, 3)), (165, (4, 55, 3))]
)
@pytest.mark.parametrize("betas", [(3,), (10,), (16,), (300,), (1, 16), (4, 16)])
def test_bodies_of_the_family_are_understood(tmp_path, numbers, shape, betas):
    """Other numbers of joints and betas: the first 22 joints and ten coefficients are the same in all."""
    rng = np.random.default_rng(0)
    poses, given = rng.normal(size=shape).astype(np.float32), rng.normal(size=betas).astype(np.float32)
    np.savez(tmp_path / "a.npz", poses=poses, trans=np.zeros((4, 3)), betas=given, gender=b"neutral",
             mocap_framerate=np.array([60]), body="closeint-default/1", markers=np.array([None]))  # fmt: skip
    clip = import_files([tmp_path / "a.npz"])
    assert clip.fps == 60.0
    np.testing.assert_array_equal(clip.poses[0, :, :22], poses[:, :22])
    assert numbers == 72 or not clip.poses[0, :, 22:].any()
    first = given.reshape(-1, given.shape[-1])[0][:10]
    np.testing.assert_array_equal(clip.betas[0, : len(first)], first)
    assert not clip.betas[0, len(first) :].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": np.zeros((4, 75))}, "poses are 4 x 75, not F x 66, 72, 156 or 165"),
        ({"poses": np.zeros((0, 72)), "trans": np.zeros((0, 3))}, "poses"),
        ({"poses": np.full((4, 72), "0.0")}, "poses is not an array of numbers"),
        ({"poses": np.full((4, 72), np.nan)}, "poses holds values that are not finite"),
        ({"trans": np.zeros((4, 2))}, "not .T, numbers. and .T, 3."),
        ({"betas": np.array("x")}, "betas is not an array of numbers"),
        ({"mocap_framerate": 0.0}, "frame rate is not one positive number"),
        ({"mocap_framerate": np.array([30.0, 30.0])}, "frame rate is not one positive number"),
        ({"mocap_framerate": np.nan}, "frame rate is not one positive number"),
        ({"body": "smplx"}, "body 'smplx' is unknown"),
    ],
)
def test_what_is_no_motion_says_so(tmp_path, change, message):
    good = {"poses": np.zeros((4, 72)), "trans": np.zeros((4, 3)), "betas": np.zeros(10), "body": "closeint-default/1"}
    np.savez(tmp_path / "a.npz", **{**good, **change})
    with pytest.raises(CloseintError, match=message):
        import_files([tmp_path / "a.npz"])
