# SPDX-License-Identifier: Apache-2.0
"""Recorded single-person motion: read, looped, on its side of the wall, and taken by the roles that name it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.cli import app
from closeint_core.errors import CloseintError
from closeint_core.training.readers import read_deepmimic
from closeint_core.training.synthetic import KINDS
from closeint_core.training.synthetic.motions import FPS, SIDES, Motions, load_motions, sample_motions
from closeint_core.training.synthetic.plan import Draw, make_plan

FRAMES = 25
STRIDE = 1.2


def _row(phase: float) -> list[float]:
    """A person who strides ahead, arms hanging, legs and forearms swinging."""

    def about_z(angle: float) -> list[float]:
        return [math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]

    swing = 0.4 * math.sin(2 * math.pi * phase)
    still = [1.0, 0.0, 0.0, 0.0]
    right, left = [*about_z(swing), -0.3], [*about_z(-swing), -0.3]
    return [
        1 / 30, STRIDE * phase, 0.87, 0.0, *still, *still, *still, *right, *still, *about_z(-swing), 0.5, *left, *still,
        *about_z(swing), 0.5,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motions")
    rows = [_row(i / (FRAMES - 1)) for i in range(FRAMES)]
    content = json.dumps({"Loop": "wrap", "Frames": rows})
    for name in ("walk", "kick"):
        (folder / f"humanoid3d_{name}.txt").write_text(content)
    return folder


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def motions(folder: Path, body: TorchBody) -> Motions:
    return load_motions(folder, body, {"walk", "run"})


def test_joints_hang_together_as_the_file_says(folder: Path) -> None:
    recording, loop = read_deepmimic(folder / "humanoid3d_walk.txt")
    assert loop
    assert recording.positions.shape == (FRAMES, 18, 3)
    at = dict(zip(recording.names, recording.positions.transpose(1, 0, 2), strict=True))
    np.testing.assert_allclose(at["root"][:, 0], np.linspace(0, STRIDE, FRAMES), atol=1e-6)
    thigh = at["right_knee"] - at["right_hip"]
    np.testing.assert_allclose(np.linalg.norm(thigh, axis=1), 0.421546, atol=1e-6)
    swing = 0.4 * np.sin(np.linspace(0, 2 * np.pi, FRAMES))
    np.testing.assert_allclose(np.arctan2(thigh[:, 0], -thigh[:, 1]), swing, atol=1e-6)
    assert (at["right_hip"][:, 2] > at["left_hip"][:, 2]).all()
    assert (at["left_wrist"][:, 1] < at["left_elbow"][:, 1]).all()


@pytest.mark.parametrize("content", ["[]", "{", '{"Frames": [[1, 2]]}', '{"Frames": [[NaN], [NaN]]}', '{"Frames": 3}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "humanoid3d_walk.txt"
    path.write_text(content)
    with pytest.raises(CloseintError, match=r"humanoid3d_walk\.txt is not"):
        read_deepmimic(path)


def test_folder_without_clips_is_an_error(tmp_path: Path, body: TorchBody) -> None:
    with pytest.raises(CloseintError, match="no motion clips"):
        load_motions(tmp_path, body, {"walk"})


def test_retargeted_walk_is_the_recorded_one(motions: Motions) -> None:
    assert motions.names == ("walk",)  # "kick" was not asked for, "run" is not there
    assert motions.error[0] < 0.03
    forward = motions.pelvis[0, -1] - motions.pelvis[0, 0]
    assert 1.1 < forward[0] < 1.8  # in lengths of a leg
    assert abs(forward[1]) < 0.05
    assert motions.heading[0].abs().max() < 0.15
    assert motions.ankles[0, ..., 2].min() == pytest.approx(0.0, abs=0.03)
    assert (motions.pelvis[0, :, 2] > 0.8).all()


def test_loop_goes_on_without_a_jump(motions: Motions) -> None:
    period = (FRAMES - 1) / FPS
    times = torch.linspace(0, 3 * period, 200)[None]
    curves = sample_motions(motions, torch.tensor([0]), times)
    for name in ("prior", "pelvis", "ankles", "heading"):
        steps = torch.diff(curves[name], dim=1)
        assert steps.abs().max() < 0.2, name
    around = sample_motions(motions, torch.tensor([0]), times[:, :50] + period)
    once = sample_motions(motions, torch.tensor([0]), times[:, :50])
    assert torch.allclose(around["prior"], once["prior"], atol=1e-3)
    gone = around["pelvis"] - once["pelvis"]
    assert torch.allclose(gone, gone[:, :1].expand_as(gone), atol=1e-3)
    assert gone[0, 0, 0] > 1.1


def test_role_takes_recorded_motion(motions: Motions, body: TorchBody) -> None:
    kind = KINDS.get("walking near")
    number = KINDS.all_names().index(kind.name)
    written = make_plan(kind, number, 6, 20, Draw(0), body)
    recorded = make_plan(kind, number, 6, 20, Draw(0), body, motions)
    for value in (recorded.prior, recorded.pelvis, recorded.ankles):
        assert torch.isfinite(value).all()
    differs = (recorded.pelvis - written.pelvis).abs().amax((2, 3)) > 1e-4
    assert 0.4 < differs.float().mean() < 1.0
    speed = torch.diff(recorded.pelvis[..., :2], dim=2).norm(dim=-1).mean(-1) * recorded.fps[:, None]
    assert (speed[differs] > 0.4).all()
    apart = recorded.ankles[..., 2].amin((2, 3)) - written.ankles[..., 2].amin((2, 3))
    assert apart.abs().max() < 0.05  # their feet reach the floor


def test_clips_stay_on_their_side_of_the_wall() -> None:
    for name in KINDS.all_names():
        kind = KINDS.get(name)
        for role in kind.roles:
            assert {SIDES[clip] for clip in role.motion} <= {kind.split}, name


@pytest.mark.parametrize("given", [True, False])
def test_the_command_takes_a_folder(folder: Path, tmp_path: Path, given: bool) -> None:
    """In place of the configuration's, which is not even looked for."""
    missing = tmp_path / "nowhere"
    config = tmp_path / "run.yaml"
    config.write_text(
        f"what: denoiser\noutput: {tmp_path / 'run'}\ndevice: cpu\nbatch: 4\ndata: {{motions: {missing}}}\n"
    )
    arguments = ["train", "--config", str(config), "--time-budget", "0.001"]
    done = CliRunner().invoke(app, [*arguments, "--motions", str(folder)] if given else arguments)
    if given:
        assert done.exit_code == 0, done.output
    else:
        assert isinstance(done.exception, CloseintError)
        assert str(missing) in done.exception.message
