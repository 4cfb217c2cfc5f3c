# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from clips import random_clip

from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.exchange.export import camera_frame, export_clip
from closeint_core.exchange.load import import_files


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
    names = sorted(path.name for path in (tmp_path / "meshes").iterdir())
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
