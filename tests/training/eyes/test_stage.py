# SPDX-License-Identifier: Apache-2.0
"""The eyes are trained: on tiny renders, cut and gone on with, and by two processes."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.network import PairNetwork
from closeint_core.eyes.weights import load_eyes, save_eyes
from closeint_core.training.batches import Share
from closeint_core.training.eyes.config import EyesConfig
from closeint_core.training.eyes.interactions import load_interactions, save_interactions
from closeint_core.training.eyes.pictures import PairPictures, make_batch, touch_map
from closeint_core.training.synthetic.generate import Interactions
from closeint_core.training.synthetic_source import DataConfig

PAIRS, FRAMES = 3, 4


def standing_pairs() -> Interactions:
    """People with bent limbs who stand before each other, some of them marked as touching."""
    random = np.random.default_rng(0)
    poses = 0.15 * random.standard_normal((PAIRS, 2, FRAMES, 24, 3))
    poses[:, :, :, 0] = [np.pi / 2, 0.0, 0.0]
    transl = np.zeros((PAIRS, 2, FRAMES, 3))
    transl[:, 1, :, 0], transl[..., 2] = 0.7, 1.0
    contacts = np.zeros((PAIRS, FRAMES, 24, 24), bool)
    contacts[0, 1, 20, 20] = True

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32)

    return Interactions(
        tensor(poses), tensor(transl), torch.zeros(PAIRS, 2, 10), torch.full((PAIRS,), 15.0),
        torch.zeros(PAIRS, dtype=torch.int64), torch.from_numpy(contacts),
        torch.ones(PAIRS, 2, FRAMES, 2, dtype=torch.bool), torch.zeros(PAIRS), torch.zeros(PAIRS),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    made = standing_pairs()
    save_interactions(made, folder / "pool.npz")
    save_interactions(made, folder / "pool_test.npz")
    torch.manual_seed(0)
    save_eyes(PairNetwork(), folder / "start.safetensors", Calibration(), {})
    return folder


def configuration(folder, output, **changes) -> str:
    values = {
        "what": "eyes", "output": str(output), "seed": 4, "steps": 3, "batch": 2, "device": "cpu", "ema": 0.9,
        "initial": str(folder / "start.safetensors"), "optimizer": {"warmup": 1},
        "eyes": {"size": 64, "finer": 1, "reuse": 2, "clips": 0, "interactions": str(folder / "pool.npz")},
        "validation": {"every": 0, "windows": 2, "pictures": 1}, "log_every": 1, "checkpoint_every": 2,
    }  # fmt: skip
    path = output.with_suffix(".yaml")
    path.write_text(json.dumps(values | changes))  # YAML reads JSON
    return str(path)


def run(path: str, code: str = "", **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "closeint_core", "train", "--config", path]
    if code:
        command = [sys.executable, "-c", code, path]
    return subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen) -> str:
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    return said


def weights(output) -> dict[str, torch.Tensor]:
    return torch.load(output / "eyes_checkpoint.pt", weights_only=True)["network"]


STOPPED = """
import sys
from closeint_core.cli import main
from closeint_core.training.trainer import Trainer
taken = Trainer._one_step
def step(self, watch):
    taken(self, watch)
    if self.step == 2:
        self.deadline = 0.0  # as if its time budget were spent
Trainer._one_step = step
sys.argv = ["closeint", "train", "--config", sys.argv[1]]
main()
"""


def test_a_cut_run_goes_on_as_if_it_had_not_been_cut(folder, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    path = configuration(folder, cut)
    begun = [run(configuration(folder, whole)), run(path, code=STOPPED)]
    assert "step 3 of 3" in finished(begun[0])
    assert "stopped at step 2 of 3" in finished(begun[1])
    assert "Going on with the eyes from step 2 of 3" in finished(run(path))
    one, two = weights(whole), weights(cut)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-6, rtol=1e-5, msg=name)
    network, _, card = load_eyes(whole / "eyes_float16.safetensors")
    assert card["steps"] == 3
    assert "arms_visible" in card["held_out"]
    before, _, _ = load_eyes(folder / "start.safetensors")
    assert not torch.equal(before.heat.weight, network.heat.weight)


def test_two_processes_train_the_same_network(folder, tmp_path):
    output = tmp_path / "two"
    path = configuration(folder, output, steps=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    both = [run(path, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in (0, 1)]
    said = finished(both[0])
    finished(both[1])
    assert "2 x cpu" in said
    lines = [json.loads(line) for line in (output / "eyes.jsonl").read_text().splitlines()]
    assert next(line for line in lines if line["event"] == "start")["processes"] == 2
    assert np.isfinite(next(line for line in lines if line["event"] == "train")["loss"])


@pytest.fixture(scope="module")
def source(folder) -> PairPictures:
    config = EyesConfig(size=64, finer=1, clips=2, reuse=1, interactions=str(folder / "pool.npz"))
    return PairPictures(config, DataConfig(), TorchBody(load_body("default")), Share(3, seed=1))


def test_pictures_are_functions_of_the_step(source):
    one, frames = source.batch(1)
    source._rendered = None
    two, _ = source.batch(1)
    assert frames == 3
    assert torch.equal(one.pictures, two.pictures)
    assert torch.equal(one.touch, two.touch)
    other, frames = source.batch(2)
    assert frames == 1
    assert not torch.equal(one.pictures, other.pictures)


def test_both_rows_of_a_picture_tell_of_the_same(source):
    rendered = source.rendered(2)
    batch = make_batch(rendered, source.draws, None)
    assert torch.equal(batch.touch[::2], batch.touch[1::2].mT)
    known = batch.nearer[::2] >= 0
    assert torch.equal(batch.nearer[::2][known], 1 - batch.nearer[1::2][known])
    assert torch.equal(batch.masks[::2] == 0, batch.masks[1::2] == 0)
    swapped = torch.where(batch.masks[::2] > 30, batch.masks[::2] - 30, batch.masks[::2] + 30)
    assert torch.equal(torch.where(batch.masks[::2] == 0, 0, swapped), batch.masks[1::2])
    # People at rest before each other: their parts show, and joints lie on them.
    assert (batch.masks > 0).flatten(1).sum(1).min() > 10
    assert batch.seen.float().mean() > 0.3


def test_where_a_touch_lies():
    touch, places = torch.zeros(1, 30, 30), torch.full((1, 30, 30, 2), 3.5)
    touch[0, 4, 5], touch[0, 6, 7] = 1, -1
    places[0, 4, 5] = torch.tensor([10.5, 2.5])
    shown = touch_map(touch, places, 16)[0]
    assert shown[2, 10] == 1
    assert shown[2, 12] == pytest.approx(np.exp(-2), abs=1e-4)
    assert shown[3, 3] < 1e-4  # what is not clear is not shown


def test_the_network_is_told_where_people_are_as_if_alone(source):
    rendered = source.rendered(2)
    batch = make_batch(rendered, source.draws, None)
    own = (batch.masks > 0) & (batch.masks <= 30)
    # What is seen of somebody is a part of all that there is of them.
    assert (batch.whole[own] == batch.masks[own]).float().mean() > 0.7
    assert (batch.whole > 0).sum() >= own.sum()


def test_interactions_come_back(tmp_path):
    made = standing_pairs()
    save_interactions(made, tmp_path / "made.npz")
    again = load_interactions(tmp_path / "made.npz", torch.device("cpu"))
    assert torch.equal(again.contacts, made.contacts)
    assert torch.equal(again.transl, made.transl)
    torch.testing.assert_close(again.poses, made.poses, atol=2e-3, rtol=1e-3)
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(CloseintError, match=r"bad\.npz"):
        load_interactions(tmp_path / "bad.npz", torch.device("cpu"))
