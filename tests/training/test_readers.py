# SPDX-License-Identifier: Apache-2.0
"""Readers of recorded interactions: tiny files made here, and refusals that say what is wrong."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from support.hostile_files import BVH

from closeint_core.body.data import JOINT_NAMES, load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.training.readers import (
    Recording,
    read_amass,
    read_annotations,
    read_asf_amc,
    read_bvh,
    read_interhuman,
    retarget,
)


def _annotation(frames: int = 20, people: int = 2) -> dict[str, list]:
    rng = np.random.default_rng(0)
    return {
        "pose2ds": [rng.normal(size=(frames, people, 26, 3))],
        "pose2ds_pred": [rng.normal(size=(frames, people, 26, 3))],
        "imnames": [[f"images/{i:06d}.jpg" for i in range(frames)]],
        "img_size": [[[1280, 940]] * frames],
        "intris": [np.tile(np.diag([1500.0, 1500.0, 1.0]), (frames, people, 1, 1))],
        "features": [rng.normal(size=(frames, people, 1024)).astype(np.float32)],
        "center": [rng.normal(size=(frames, people, 2)).tolist()],
        "patch_scale": [np.ones((frames, people))],
        "genders": [[[0, 1][:people]] * frames],
        "init_poses": [rng.normal(size=(frames, people, 72))],
        "poses": [[list(row) for row in rng.normal(size=(frames, people, 72))]],
        "shapes": [rng.normal(size=(frames, people, 10))],
        "bbox": [None],
    }


def _write(root: Path, record: object) -> Path:
    folder = root / "Hi4D" / "annot"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.pkl").write_bytes(pickle.dumps(record, protocol=2))
    return root


def test_annotations_arrive_whole(tmp_path: Path) -> None:
    record = _annotation()
    (sequence,) = read_annotations(_write(tmp_path, record), "train")
    assert sequence.poses.shape == (20, 2, 24, 3)
    np.testing.assert_allclose(sequence.poses.reshape(20, 2, 72), np.asarray(record["poses"][0]), rtol=1e-6)
    np.testing.assert_allclose(sequence.keypoints2d, record["pose2ds"][0], rtol=1e-6)
    assert sequence.genders == ("female", "male")
    assert sequence.image_size[0].tolist() == [940, 1280]
    assert sequence.focal.tolist() == [1500.0] * 20
    assert sequence.valid.all()
    assert list(sequence.windows(16)) == [0, 1, 2, 3, 4]
    assert list(sequence.windows(16, "test")) == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": None}, "lacks poses"),
        ({"shapes": [np.zeros((20, 2, 9))]}, "shapes is 20 x 2 x 9"),
        ({"center": [np.zeros((19, 2, 2))]}, "center has 19 frames"),
        ({"imnames": [["a.jpg"]]}, "imnames"),
        ({"features": [["x"]]}, "features is not an array"),
    ],
)
def test_wrong_annotations_say_so(tmp_path: Path, change: dict, message: str) -> None:
    record = {**_annotation(), **change}
    record = {key: value for key, value in record.items() if value is not None}
    with pytest.raises(CloseintError, match=message):
        read_annotations(_write(tmp_path, record), "train")


def test_annotations_run_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path}/ran",)

    with pytest.raises(CloseintError, match="would run"):
        read_annotations(_write(tmp_path, {**_annotation(), "extra": Evil()}), "train")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(CloseintError) as missing:
        read_annotations(tmp_path, "test")
    assert missing.value.exit_code == 3


def test_amass(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    poses, trans = rng.normal(size=(7, 156)), rng.normal(size=(7, 3))
    path = tmp_path / "a.npz"
    np.savez(path, poses=poses, trans=trans, betas=rng.normal(size=16), gender="female", mocap_framerate=120.0)
    motion = read_amass(path)
    assert motion.poses.shape == (1, 7, 24, 3)
    np.testing.assert_allclose(motion.poses[0, :, :22].reshape(7, 66), poses[:, :66], rtol=1e-5)
    assert not motion.poses[0, :, 22:].any()
    assert motion.genders == ("female",)
    assert motion.fps == 120.0
    np.savez(path, poses=poses[:, :50], trans=trans, mocap_framerate=30)
    with pytest.raises(CloseintError, match="66, 72, 156 or 165"):
        read_amass(path)
    np.savez(path, poses=poses, trans=trans)
    with pytest.raises(CloseintError, match="frame rate"):
        read_amass(path)
    path.write_bytes(b"no")
    with pytest.raises(CloseintError, match="npz"):
        read_amass(path)


def test_interhuman_pickle_and_npz(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    record: dict = {"mocap_framerate": 59.94}
    for person in ("person1", "person2"):
        record[person] = {
            "root_orient": rng.normal(size=(5, 3)), "pose_body": rng.normal(size=(5, 63)),
            "trans": rng.normal(size=(5, 3)), "betas": rng.normal(size=10), "gender": "male",
        }  # fmt: skip
    path = tmp_path / "1.pkl"
    path.write_bytes(pickle.dumps(record))
    motion = read_interhuman(path)
    flat = {f"{p}_{k}": v for p in ("person1", "person2") for k, v in record[p].items()}
    np.savez(tmp_path / "1.npz", mocap_framerate=59.94, **flat)
    same = read_interhuman(tmp_path / "1.npz")
    assert motion.poses.shape == (2, 5, 24, 3)
    np.testing.assert_array_equal(motion.poses, same.poses)
    np.testing.assert_allclose(motion.poses[1, :, 0], record["person2"]["root_orient"], rtol=1e-6)
    assert motion.genders == ("male", "male") == same.genders
    del record["person2"]["trans"]
    path.write_bytes(pickle.dumps(record))
    with pytest.raises(CloseintError, match="person2"):
        read_interhuman(path)


def test_bvh_against_closed_form(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(BVH)
    recording = read_bvh(path)
    assert recording.names == ("Hips", "Spine", "Spine_end")
    assert recording.fps == pytest.approx(50.0)
    np.testing.assert_allclose(recording.positions[0], [[1, 2, 3], [1, 4, 3], [1, 5, 3]], atol=1e-6)
    # Turned by 90 degrees about z, up becomes -x; the spine's own 90 degrees about its x then point along z.
    np.testing.assert_allclose(recording.positions[1], [[0, 0, 0], [-2, 0, 0], [-2, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("damage", [("Frames: 2", "Frames: 3"), ("HIERARCHY", "NOTHING"), ("OFFSET 0 2", "OFFSET a 2")])
def test_damaged_bvh(tmp_path: Path, damage: tuple[str, str]) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(BVH.replace(*damage))
    with pytest.raises(CloseintError, match="not a BVH"):
        read_bvh(path)


ASF = """:version 1.10
:root
  order TX TY TZ RX RY RZ
  position 0 0 0
:bonedata
  begin
    id 1
    name thorax
    direction 0 1 0
    length 2
    axis 0 0 90 XYZ
    dof rx
  end
  begin
    id 2
    name head
    direction 1 0 0
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thorax
    thorax head
  end
"""
AMC = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 1 0 0 0 0 0\nthorax 0\n2\nroot 0 0 0 0 0 90\nthorax 90\n"


def test_asf_amc_against_closed_form(tmp_path: Path) -> None:
    asf, amc = tmp_path / "a.asf", tmp_path / "a.amc"
    asf.write_text(ASF)
    amc.write_text(AMC)
    recording = read_asf_amc(asf, amc)
    at = {name: recording.positions[:, i] for i, name in enumerate(recording.names)}
    np.testing.assert_allclose(at["head"][0], [1, 2, 0], atol=1e-6)
    np.testing.assert_allclose(at["head_end"][0], [2, 2, 0], atol=1e-6)
    # The thorax's own x axis is y here: turning about it does not move its end, but takes the head from x to -z;
    # the root's quarter turn about z then moves y to -x.
    np.testing.assert_allclose(at["head"][1], [-2, 0, 0], atol=1e-6)
    np.testing.assert_allclose(at["head_end"][1], [-2, 0, -1], atol=1e-6)
    amc.write_text(AMC.replace("thorax 90", "thorax 90 1"))
    with pytest.raises(CloseintError, match="1 values for thorax"):
        read_asf_amc(asf, amc)
    asf.write_text(ASF.replace("root thorax", "root pelvis"))
    with pytest.raises(CloseintError, match="unknown"):
        read_asf_amc(asf, amc)


def test_retargeting_recovers_a_known_motion() -> None:
    body = TorchBody(load_body("default"))
    frames = 6
    poses = torch.zeros(frames, 24, 3)
    poses[:, 0, 1] = torch.linspace(2.5, 4.0, frames)  # through a half turn
    poses[:, JOINT_NAMES.index("left_knee"), 0] = 0.8
    poses[:, JOINT_NAMES.index("left_shoulder"), 2] = -1.1
    poses[:, JOINT_NAMES.index("right_shoulder"), 2] = 1.0
    poses[:, JOINT_NAMES.index("right_elbow"), 1] = torch.linspace(0.4, 1.2, frames)
    transl = torch.tensor([0.3, 1.0, -2.0]).expand(frames, 3)
    joints = body.skeleton(roma.rotvec_to_rotmat(poses), torch.zeros(1, 10), transl).joints
    names = {
        "Hips": "pelvis", "Neck": "neck", "LeftUpLeg": "left_hip", "LeftLeg": "left_knee", "LeftFoot": "left_ankle",
        "RightUpLeg": "right_hip", "RightLeg": "right_knee", "RightFoot": "right_ankle", "LeftArm": "left_shoulder",
        "LeftForeArm": "left_elbow", "LeftHand": "left_wrist", "RightArm": "right_shoulder",
        "RightForeArm": "right_elbow", "RightHand": "right_wrist",
    }  # fmt: skip
    index = [JOINT_NAMES.index(name) for name in names.values()]
    recording = Recording(tuple(names), joints[:, index].numpy() * 100, 30.0)
    found = retarget(recording, body, 0.01)
    assert found.error < 0.02
    assert np.abs(np.diff(found.poses[:, 0], axis=0)).max() < 0.6
    with pytest.raises(CloseintError, match="left_hip"):
        retarget(Recording(("Hips",), np.zeros((2, 1, 3), np.float32), 30.0), body, 1.0)
