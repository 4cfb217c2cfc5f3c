# SPDX-License-Identifier: Apache-2.0
"""Published configurations: taken as they are, each key used or answered, and trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.annotations import sequence, write_annotations, write_bodies
from support.windows import randomize

from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.errors import CloseintError
from closeint_core.training import runs
from closeint_core.training.config import TrainingConfig, read_config
from closeint_core.training.logs import read_log
from closeint_core.training.losses import LossWeights

# Keys and values of cfg_files/config.yaml as published with CloseInt.
PUBLISHED: dict[str, Any] = {
    "note": "train", "task": "reconstruction", "gpu_index": 0, "lr": 0.0001, "batchsize": 32, "frame_length": 16,
    "epoch": 2000, "worker": 10, "use_sch": True, "model_type": "smpl", "data_folder": "data/dataset",
    "output": "output", "trainset": "Hi4D", "testset": "Hi4D", "model": "interhuman_diffusion_phys",
    "use_prior": False, "mode": "train", "pretrain": False, "pretrain_dir": "data/checkpoint.pkl",
    "train_loss": "SMPL_Loss Keyp_Loss Mesh_Loss Joint_Loss Vel_Loss", "test_loss": "MPJPE_instance", "viz": False,
}  # fmt: skip


def write(repository: Path, **changes: Any) -> Path:
    path = repository / "cfg_files" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(PUBLISHED | changes))
    return path


def read(repository: Path, **changes: Any) -> tuple[TrainingConfig, list[str]]:
    said: list[str] = []
    return read_config(write(repository, **changes), said.append), said


def test_every_key_is_used_or_answered(tmp_path):
    """Changing any key changes the configuration, is refused, or there is a sentence that names it."""
    other: dict[str, Any] = {
        "lr": 2e-4, "batchsize": 8, "frame_length": 8, "epoch": 3, "use_sch": False, "data_folder": "elsewhere",
        "output": "there", "trainset": "A", "testset": "B", "train_loss": "SMPL_Loss", "viz": True,
        "model_type": "smplx", "use_prior": True, "mode": "eval", "pretrain": True, "task": "interVAE",
        "model": "cliff",
    }  # fmt: skip
    plain, said = read(tmp_path)
    answered = {line.split(":")[0] for line in said}
    for key in PUBLISHED:
        if key in answered:
            continue
        try:
            changed, _ = read(tmp_path, **{key: other[key]})
        except CloseintError:
            continue
        assert changed != plain, key


def test_what_it_says_is_what_is_trained(tmp_path):
    config, said = read(tmp_path)
    assert (config.what, config.batch, config.data.frames, config.output) == ("denoiser", 32, 16, "output")
    assert config.optimizer.learning_rate == 1e-4
    assert config.recorded.epochs == 2000
    assert config.denoiser == DenoiserConfig("hmr2")
    weights, plain = config.losses, LossWeights()
    assert (weights.rotations, weights.velocity) == (plain.rotations, plain.velocity)
    assert weights.interaction == weights.contact == weights.penetration == 0
    assert all(line.count(". ") == 0 and line.endswith(".") for line in said)  # one sentence each


def test_folders_are_found_from_the_repository(tmp_path):
    (tmp_path / "data" / "dataset").mkdir(parents=True)
    assert Path(read(tmp_path)[0].recorded.folder) == tmp_path / "data" / "dataset"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning": 1}, "'learning'"),
        ({"batchsize": "many"}, "batchsize is 'many'"),
        ({"epoch": True}, "epoch is True"),
        ({"epoch": 0}, "epoch is 0, which trains nothing"),
        ({"epoch": -5}, "epoch is -5, which trains nothing"),
        ({"batchsize": 0}, "batchsize is 0, which trains nothing"),
        ({"frame_length": 0}, "frame_length is 0, which trains nothing"),
        ({"lr": 0}, r"learning_rate must be above 0"),
        ({"lr": float("nan")}, r"learning_rate is nan"),
        ({"trainset": "Hi4D CHI3D"}, "trainset is 'Hi4D CHI3D'"),
        ({"train_loss": "SMPL_Loss L1"}, "train_loss has 'L1'"),
        ({"mode": "test"}, "closeint eval"),
        ({"use_prior": True}, "never released"),
        ({"pretrain": True, "pretrain_dir": "no.pkl"}, r"no checkpoint at no\.pkl"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path, changes, named):
    with pytest.raises(CloseintError, match=named):
        read(tmp_path, **changes)


@pytest.mark.parametrize("flavour", [(False, False), (True, True)])
def test_published_files_train_from_published_weights(tmp_path, flavour, monkeypatch):
    data = tmp_path / "data"
    write_bodies(data)
    write_annotations(data, "train", [sequence(frames=8)[0], sequence(frames=7, people=1, seed=1)[0]])
    write_annotations(data, "test", [sequence(frames=14, seed=2)[0]])
    sizes = DenoiserConfig("hmr2", *flavour, dim=16, depth=1, heads=8, hidden=32)
    before = randomize(Denoiser(sizes))
    with torch.no_grad():  # small corrections, so that people stay people
        for head in (before.head, before.shape_head, before.cam_head):
            head[1].weight.mul_(0.03)
    weights = {f"module.{name}": tensor for name, tensor in before.state_dict().items()}
    torch.save({"model": weights, "optimizer": {}}, data / "checkpoint.pkl")
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, pretrain=True, frame_length=4, batchsize=3, epoch=2)
    said: list[str] = []
    config = read_config(path, said.append, log_every=1)
    assert runs.train(config, said.append)
    assert "Windows to learn from: 9 of Hi4D; to be judged on: 3 of Hi4D" in said
    lines = read_log(tmp_path / "output" / "denoiser.jsonl")
    steps = [line for line in lines if line["event"] == "train"]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]  # two passes over nine windows in threes
    judged = next(line for line in lines if line["event"] == "validation")
    assert {"mpjpe", "interaction"} <= judged.keys()
    after = load_denoiser(tmp_path / "output" / "denoiser_float32.safetensors")
    assert after.config == sizes
    after_it = after.state_dict()
    moved = max(float((value - after_it[name]).abs().max()) for name, value in before.state_dict().items())
    assert 0 < moved < 1e-2  # it began with the given weights
