# SPDX-License-Identifier: Apache-2.0
"""``--model reference`` from end to end, with made-up networks in the published folder layout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from support.published import write_published

from closeint_core import cli
from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.denoiser.crops import person_crops
from closeint_core.denoiser.hmr2_images import PersonFeatures
from closeint_core.denoiser.state import PairState
from closeint_core.doctor import examine
from closeint_core.errors import CloseintError
from closeint_core.models.reference_files import REFERENCE_FILES, require_reference_files
from closeint_core.perception.observations import Observations
from closeint_core.progress import Progress
from closeint_core.reconstruction import reference
from closeint_core.reconstruction.pipeline import reconstruct as run
from closeint_core.reconstruction.world import floor_and_feet
from closeint_core.settings import Settings
from closeint_core.solver.state import Floor, Motion

SAMPLE = Path(__file__).resolve().parents[2] / "closeint_core" / "samples" / "greeting.mp4"


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_published(folder)
    return folder


def closeint(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "closeint_core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def observations(frames: int, people: int = 2) -> Observations:
    boxes = np.zeros((people, frames, 4), np.float32)
    boxes[:] = [300, 100, 420, 480]
    boxes[1:] += [200, 0, 200, 0]
    keypoints = np.full((people, frames, 26, 3), np.nan, np.float32)
    landmarks = np.full((people, frames, 26, 3), np.nan, np.float32)
    return Observations(
        keypoints, landmarks, np.zeros((people, frames, 26), np.float32), np.ones((people, frames), bool),
        boxes, np.full((frames, 17, 1, 3), np.nan, np.float32), 25.0, 0, (960, 540), tuple(range(people)),
    )  # fmt: skip


def features(frames: int, people: int = 2, seed: int = 0) -> PersonFeatures:
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 3, frames)[:, None, None, None]
    vectors = 0.3 * torch.sin(time + 3 * torch.randn(1, people, 24, 3, generator=generator))
    return PersonFeatures(
        torch.randn(frames, people, 1024, generator=generator), roma.rotvec_to_rotmat(vectors),
        torch.zeros(frames, people, 10), torch.zeros(frames, people, 3),
    )  # fmt: skip


def test_the_command(repository, tmp_path):
    clip_path = tmp_path / "clip.closeint.npz"
    done = closeint(
        "reconstruct",
        SAMPLE,
        "-o",
        clip_path,
        "--model",
        "reference",
        "--data",
        repository,
        "--frames",
        "20:23",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    clip = InteractionClip.load(clip_path)
    assert clip.body == "smpl-neutral"
    assert (clip.people, clip.frame_start) == (2, 20)
    assert report["model"] == "reference"
    assert set(report["checkpoints"]) == set(REFERENCE_FILES)
    assert abs(report["settings"]["focal_px"] - np.hypot(*clip.image_size)) < 1e-6
    assert clip.visible.all()
    assert report["quality"]["frames"] == 3


@pytest.mark.parametrize("key", ["smpl", "hmr2", "closeint"])
def test_each_needed_file_is_asked_for(repository, tmp_path, key, capsys):
    folder = tmp_path / "data"
    for name, file in REFERENCE_FILES.items():
        for candidate in file.candidates if name != key else ():
            if (repository / "data" / candidate).is_file():
                (folder / candidate).parent.mkdir(parents=True, exist_ok=True)
                (folder / candidate).symlink_to(repository / "data" / candidate)
    command = ["reconstruct", SAMPLE, "-o", tmp_path / "a.npz", "--model", "reference", "--data", folder]
    assert cli.run(lambda: cli.app([str(part) for part in command], standalone_mode=False)) == 3
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    for words in (REFERENCE_FILES[key].candidates[0], REFERENCE_FILES[key].owner, str(folder)):
        assert words in said
    others = [file for name, file in REFERENCE_FILES.items() if name != key]
    assert not any(file.candidates[0] in said for file in others)


def test_doctor_lists_every_file(repository, tmp_path):
    for folder, there in ((repository, True), (repository / "data", True), (tmp_path, False)):
        report = examine(folder)
        rows = {row["name"]: row for row in report["sections"]["Published networks (optional, --model reference)"]}
        assert set(rows) == {file.name for file in REFERENCE_FILES.values()}
        assert report["ok"]
        for file in REFERENCE_FILES.values():
            row = rows[file.name]
            assert row["ok"] == there
            assert str(folder) in row["detail"]
            assert there or file.owner in row["detail"]


def test_senseless_settings(repository):
    data = str(repository)
    with pytest.raises(CloseintError, match="neutral"):
        run(SAMPLE, Settings(model="reference", data=data, body="smpl-male"))
    with pytest.raises(CloseintError, match="focal"):
        run(SAMPLE, Settings(model="reference", data=data, focal=-1.0))
    with pytest.raises(CloseintError, match="magic"):
        run(SAMPLE, Settings(model="magic"))


def test_a_damaged_checkpoint_is_named(repository, tmp_path):
    shutil.copytree(repository / "data" / "smpl", tmp_path / "smpl")
    found = require_reference_files(repository)
    (tmp_path / "hmr2.ckpt").symlink_to(found["hmr2"])
    (tmp_path / "checkpoint.pkl").write_bytes(found["closeint"].read_bytes()[:1000])
    with pytest.raises(CloseintError, match=r"checkpoint\.pkl"):
        run(SAMPLE, Settings(model="reference", data=str(tmp_path)))


@pytest.mark.parametrize("frames", [1, 5, 16, 17, 61])
@pytest.mark.parametrize("people", [1, 2])
def test_any_length_and_one_person(repository, frames, people):
    model = load_denoiser(repository / "data" / "checkpoint.pkl")
    seen = observations(frames, people)
    crops = person_crops(torch.as_tensor(reference.filled_boxes(seen.boxes)), seen.image_size)
    motion = reference.denoise(model, features(frames, people), crops, seen, Progress())
    assert motion.rotations.shape == (people, frames, 24, 3, 3)
    assert motion.transl.shape == (people, frames, 3)
    assert motion.betas.shape == (people, 10)
    identity = motion.rotations @ motion.rotations.mT - torch.eye(3)
    assert identity.abs().max() < 1e-4
    assert torch.isfinite(motion.transl).all()


def test_a_single_person_is_what_it_is_beside_one_that_is_not_seen(repository):
    model = load_denoiser(repository / "data" / "checkpoint.pkl")
    both = observations(30, 2)
    both.visible[1] = False
    both.visible[1, 5] = True
    one = observations(30, 1)
    crops = person_crops(torch.as_tensor(reference.filled_boxes(both.boxes)), both.image_size)
    pair = reference.denoise(model, features(30, 2), crops, both, Progress())
    given = features(30, 2)
    alone = PersonFeatures(*(x[:, :1] for x in (given.features, given.rotations, given.betas, given.camera)))
    single = reference.denoise(model, alone, crops[:, :1], one, Progress())
    assert (pair.rotations[0, 24:] - single.rotations[0, 24:]).abs().max() < 1e-4


def test_no_seam_in_a_long_clip(repository, monkeypatch):
    """A network that gives back the motion it was asked about, but off by an error of each window's own."""
    frames = 75
    seen = observations(frames)
    crops = person_crops(torch.as_tensor(reference.filled_boxes(seen.boxes)), seen.image_size)
    given = features(frames)
    generator = torch.Generator().manual_seed(0)

    class Biased:
        def __init__(self, *_: object) -> None:
            pass

        def sample(self, conditions, noise):
            state = PairState.of(
                torch.cat(
                    [
                        conditions.init_pose6d,
                        torch.zeros(*noise.shape[:3], 10),
                        torch.tensor([0.9, 0.0, 0.0]).expand(*noise.shape[:3], 3),
                    ],
                    -1,
                )
            )
            error = 0.1 * torch.randn(len(noise), 1, 2, 24, 3, generator=generator)
            turned = state.rotations() @ roma.rotvec_to_rotmat(error)
            shift = 0.05 * torch.randn(len(noise), 1, 2, 3, generator=generator)
            place = state.translation(conditions.crops) + shift
            return PairState.of_motion(turned, state.betas, place, conditions.crops)

    monkeypatch.setattr(reference, "Sampler", Biased)
    motion = reference.denoise(load_denoiser(repository / "data" / "checkpoint.pkl"), given, crops, seen, Progress())
    body = TorchBody(load_body("default"))
    joints = body.skeleton(motion.rotations, motion.betas[:, None], motion.transl).joints
    rough = joints.diff(n=2, dim=1).norm(dim=-1).amax(dim=(0, 2))
    edges = [t for start in reference.window_starts(frames, 16)[1:] for t in (start, start + 8)]
    at_seam = torch.tensor([any(edge - 2 <= t <= edge - 1 for edge in edges) for t in range(frames - 2)])
    assert rough[at_seam].max() <= rough[~at_seam].max()


def test_the_same_twice(repository):
    model = load_denoiser(repository / "data" / "checkpoint.pkl")
    seen = observations(30)
    crops = person_crops(torch.as_tensor(reference.filled_boxes(seen.boxes)), seen.image_size)
    first, second = (reference.denoise(model, features(30), crops, seen, Progress()) for _ in range(2))
    assert torch.equal(first.rotations, second.rotations)
    assert torch.equal(first.transl, second.transl)


def test_gaps_in_boxes_are_filled():
    boxes = np.full((1, 6, 4), np.nan, np.float32)
    boxes[0, 1], boxes[0, 3] = [0, 0, 10, 20], [10, 0, 20, 40]
    filled = reference.filled_boxes(boxes)
    assert np.allclose(filled[:, 0, 0], [0, 0, 5, 10, 10, 10])
    assert np.allclose(filled[2, 0], [5, 0, 15, 30])


def standing(tilt: float, range_m: float) -> tuple[TorchBody, Motion, torch.Tensor]:
    """Two people in 40 frames before a tilted camera, the second going away by ``range_m``, the first lifting a foot;
    with the rotation of the world."""
    body = TorchBody(load_body("default"))
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turn = roma.rotvec_to_rotmat(torch.tensor([tilt, 0.0, 0.0])) @ upright
    frames = 40
    poses = torch.zeros(2, frames, 24, 3)
    lift = torch.sin(torch.linspace(0, 12, frames)).clamp(min=0)
    poses[0, :, 1, 0], poses[0, :, 4, 0] = -0.8 * lift, 1.2 * lift
    rotations = roma.rotvec_to_rotmat(poses)
    rotations[:, :, 0] = turn
    world = torch.tensor([[-0.4, 0.0, 0.0], [0.4, 0.0, -0.5]])[:, None].repeat(1, frames, 1)
    world[1, :, 2] -= torch.linspace(0, range_m, frames)
    betas = torch.zeros(2, 10)
    rest = body.rest_joints(betas)[:, None, 0]
    transl = (world + rest) @ turn.T - rest + torch.tensor([0.0, 0.3, 4.0])
    return body, Motion(rotations, transl, betas, Floor(torch.zeros(3), torch.tensor(0.0))), turn


@pytest.mark.parametrize(("tilt", "range_m"), [(0.0, 0.0), (0.0, 3.0), (0.12, 4.0), (-0.12, 4.0)])
def test_the_floor_under_the_feet(tilt, range_m):
    """Where people walk decides how the camera is tilted; without that, it is taken to be level."""
    body, motion, turn = standing(tilt, range_m)
    floor, _ = floor_and_feet(body, motion, 25.0)
    assert torch.rad2deg(torch.arccos((floor.normal @ turn[:, 1]).clamp(max=1.0))) < 1.5
    vertices = body(motion.rotations, motion.betas[:, None], motion.transl).vertices
    height = vertices @ floor.normal + floor.offset
    assert -0.05 < height.min() < 0.03


def test_standing_feet():
    body, motion, _ = standing(0.0, 0.0)
    _, feet = floor_and_feet(body, motion, 25.0)
    assert feet.shape == (2, 40, 2)
    assert feet[1].min() > 0.8  # stands all the time
    raised = torch.sin(torch.linspace(0, 12, 40)) > 0.5
    assert feet[0, raised.numpy(), 0].max() < 0.2
    assert feet[0, :, 1].min() > 0.8
