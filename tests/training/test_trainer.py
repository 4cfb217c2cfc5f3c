# SPDX-License-Identifier: Apache-2.0
"""The loop: it learns, it stops and goes on as if it had not, alone and with others, and says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from support import toy_run
from support.toy_run import TINY, Runs, toy_task

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.denoiser.prior import load_prior
from closeint_core.errors import CloseintError
from closeint_core.training import runs
from closeint_core.training.config import TrainingConfig, build
from closeint_core.training.logs import read_log
from closeint_core.training.tasks import DenoiserTask
from closeint_core.training.trainer import Trainer

PROGRAM = Path(toy_run.__file__)
TIMES = ("time", "seconds", "windows_per_s", "source_share", "step_share")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(runs, "first_task", toy_task)


def config(folder: Path, **changes: Any) -> TrainingConfig:
    return build(TrainingConfig, TINY | {"output": str(folder)} | changes)


def write_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(TINY | {"output": str(folder / "run")} | changes))
    return path


def silently(line: str) -> None:
    pass


def losses(path: Path) -> list[dict[str, Any]]:
    """The log's lines about training, without what depends on the clock."""
    lines = [line for line in read_log(path) if line["event"] == "train"]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def same_course(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    """Equal steps and losses, but for rounding: one step more or less changes the loss by a hundredth.

    Sums on a CPU depend in the last bit on where in memory the numbers lie, and Adam makes steps of full length out of
    gradients that are rounding alone. That a run goes on with exactly what was saved is tested by itself.
    """

    def same(x: dict[str, Any], y: dict[str, Any]) -> bool:
        exact = {name: value for name, value in y.items() if name in ("event", "step", "skipped")}
        about = {name: pytest.approx(value, rel=1e-3, abs=1e-5) for name, value in y.items() if name not in exact}
        return x == exact | about

    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("what", ["denoiser", "prior"])
def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path, what):
    # Checkpoints after 4, 8, ... steps, lines of the log after 3, 6, ...: sums that are in no line yet are kept too.
    changes = {"what": what, "log_every": 3, "codes": {"steps": 0}}
    path = write_config(tmp_path, **changes)
    run = Runs(path, stall_at=10)
    run.wait_until_stalled()
    run.send(signal.SIGKILL)
    assert run.wait() == [-signal.SIGKILL]
    log = tmp_path / "run" / f"{what}.jsonl"
    assert losses(log)[-1]["step"] == 9
    assert torch.load(tmp_path / "run" / f"{what}_checkpoint.pt", weights_only=True)["step"] == 8
    run = Runs(path)
    assert run.wait() == [0], run.said()
    assert runs.train(config(tmp_path / "whole", **changes), silently)
    assert [line["step"] for line in losses(log)] == [3, 6, 9, 12]
    assert same_course(losses(log), losses(tmp_path / "whole" / f"{what}.jsonl"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_130_and_goes_on(tmp_path, number):
    path = write_config(tmp_path, log_every=3)
    run = Runs(path, stall_at=5)
    run.wait_until_stalled()
    run.send(number)
    run.let_go()
    assert run.wait() == [130]
    assert "the same command goes on from step 6 of 12 of the denoiser" in run.said()
    assert "Traceback" not in run.said()
    assert torch.load(tmp_path / "run" / "denoiser_checkpoint.pt", weights_only=True)["step"] == 6
    run = Runs(path)
    assert run.wait() == [0], run.said()
    assert [line["step"] for line in losses(tmp_path / "run" / "denoiser.jsonl")] == [3, 6, 9, 12]


def test_a_second_interrupt_does_not_wait(tmp_path):
    run = Runs(write_config(tmp_path, checkpoint_every=4), stall_at=5)
    run.wait_until_stalled()
    while run.children[0].is_alive():
        run.send(signal.SIGINT)
        run.children[0].join(0.1)
    assert run.wait() == [130]
    assert "last checkpoint" in run.said()
    assert torch.load(tmp_path / "run" / "denoiser_checkpoint.pt", weights_only=True)["step"] == 4


@pytest.mark.parametrize("what", ["denoiser", "prior"])
def test_a_run_goes_on_with_exactly_what_was_saved(tmp_path, what):
    group = runs.Processes(0, 1, torch.device("cpu"))
    body = TorchBody(load_body("default"))

    def trainer(seed: int) -> Trainer:
        torch.manual_seed(seed)
        chosen = config(tmp_path, what=what, steps=4)
        return Trainer(chosen, toy_task(chosen, body, group), group, runs.Interrupt(), silently)

    first = trainer(0)
    first.run()
    second = trainer(1)  # other weights, until the checkpoint is read
    assert (second.step, first.step) == (4, 4)
    for mine, given in (
        (second.task.network.state_dict(), first.task.network.state_dict()),
        (second.average.state_dict(), first.average.state_dict()),
    ):
        assert all(torch.equal(mine[name], value) for name, value in given.items())
    mine, given = (t.optimizer.state_dict()["state"] for t in (second, first))
    assert mine.keys() == given.keys()
    assert all(torch.equal(mine[i][name], value) for i in given for name, value in given[i].items())


def test_two_processes_that_are_cut_go_on_together(tmp_path):
    changes = {"steps": 5, "checkpoint_every": 2}
    run = Runs(write_config(tmp_path, **changes), processes=2)
    assert run.wait() == [0, 0], run.said()
    steps = losses(tmp_path / "run" / "denoiser.jsonl")
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5]
    again = tmp_path / "again"
    again.mkdir()
    path = write_config(again, **changes)
    run = Runs(path, stall_at=3, processes=2)
    run.wait_until_stalled()
    run.send(signal.SIGKILL)
    assert run.wait() == [-signal.SIGKILL] * 2
    run = Runs(path, processes=2)
    assert run.wait() == [0, 0], run.said()
    assert same_course(losses(again / "run" / "denoiser.jsonl"), steps)


@pytest.mark.slow
def test_torchrun_trains_as_processes_started_by_hand(tmp_path):
    run = Runs(write_config(tmp_path, steps=3), processes=2)
    assert run.wait() == [0, 0], run.said()
    again = tmp_path / "again"
    again.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(PROGRAM)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(write_config(again, steps=3))], check=True, env=environment)
    assert same_course(losses(again / "run" / "denoiser.jsonl"), losses(tmp_path / "run" / "denoiser.jsonl"))


def test_gradients_of_two_processes_are_those_of_the_whole_batch(tmp_path):
    """One step of plain descent of two processes equals one on both of their batches together."""
    run = Runs(write_config(tmp_path, steps=1, ema=0.0), processes=2)
    assert run.wait() == [0, 0], run.said()
    line = losses(tmp_path / "run" / "denoiser.jsonl")[0]
    alone = []
    for rank in range(2):
        group = runs.Processes(rank, 2, torch.device("cpu"))
        chosen = config(tmp_path / "alone", steps=1)
        runs.seed_everything(chosen.seed, 0, 0, "weights")
        task = toy_task(chosen, TorchBody(load_body("default")), group)
        runs.seed_everything(chosen.seed, rank, 0)
        inputs = task.inputs(0)
        loss, _ = task.objective.train()(*inputs)
        loss.backward()
        alone.append((loss.detach(), [p.grad for p in task.network.parameters()]))
    assert line["loss"] == pytest.approx(float(alone[0][0] + alone[1][0]) / 2, rel=1e-5)
    mean = [(a + b) / 2 for a, b in zip(alone[0][1], alone[1][1], strict=True)]
    norm = torch.stack([part.norm() for part in mean]).norm()
    assert line["gradient_norm"] == pytest.approx(float(norm), rel=1e-4)


def test_it_learns(tmp_path):
    chosen = config(tmp_path, steps=60, batch=8, optimizer={"warmup": 5, "learning_rate": 5e-3}, log_every=10)
    assert runs.train(chosen, silently)
    found = [line["loss"] for line in losses(tmp_path / "denoiser.jsonl")]
    assert found[-1] < 0.7 * found[0]


def test_what_a_finished_denoiser_leaves(tmp_path):
    validation = {"every": 6, "windows": 2, "pictures": 2}
    assert runs.train(config(tmp_path, validation=validation), silently)
    full, half = (load_denoiser(tmp_path / f"denoiser_{name}.safetensors") for name in ("float32", "float16"))
    average = torch.load(tmp_path / "denoiser_checkpoint.pt", weights_only=True)["average"]
    for name, value in full.state_dict().items():
        assert torch.equal(value, average[name])
        torch.testing.assert_close(half.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    judged = [line for line in read_log(tmp_path / "denoiser.jsonl") if line["event"] == "validation"]
    assert [line["step"] for line in judged] == [6, 12]
    assert {"mpjpe", "pa_mpjpe", "interaction"} <= judged[0].keys()
    pictures = sorted((tmp_path / "pictures").glob("*.png"))
    assert len(pictures) == 4
    image = cv2.imread(str(pictures[0]))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10
    assert not list(tmp_path.rglob(".*"))  # nothing half written


def test_what_a_finished_prior_leaves(tmp_path):
    chosen = config(tmp_path, what="prior", validation={"every": 6, "windows": 3, "pictures": 1})
    assert runs.train(chosen, silently)
    prior, codes = load_prior(tmp_path / "prior_float16.safetensors")
    assert prior.config == chosen.prior
    assert codes is not None
    assert codes.size == (16, 2, 1)
    judged = [line for line in read_log(tmp_path / "prior.jsonl") if line["event"] == "validation"]
    assert {"perplexity", "mpjpe"} <= judged[-1].keys()
    assert {path.name.split("_")[0] for path in (tmp_path / "pictures").iterdir()} == {"prior", "codes"}


def test_a_spent_budget_stops_with_a_checkpoint(tmp_path):
    said: list[str] = []
    assert not runs.train(config(tmp_path, time_budget=1e-6), said.append)
    assert "the same command goes on from step 0 of 12 of the denoiser" in said[-1]
    assert read_log(tmp_path / "denoiser.jsonl")[-1]["event"] == "stopped"
    assert (tmp_path / "denoiser_float16.safetensors").exists()
    assert runs.train(config(tmp_path), silently)  # the same command goes on
    assert [line["step"] for line in losses(tmp_path / "denoiser.jsonl")] == list(range(1, 13))


def test_steps_without_a_finite_gradient_are_left_out(tmp_path, monkeypatch):
    plain = DenoiserTask.inputs

    def poisoned(self: DenoiserTask, step: int) -> tuple[Any, ...]:
        batch, noise, timesteps, own = plain(self, step)
        return batch, noise * (float("nan") if step % 3 == 1 else 1.0), timesteps, own

    monkeypatch.setattr(DenoiserTask, "inputs", poisoned)
    assert runs.train(config(tmp_path, log_every=6), silently)
    lines = losses(tmp_path / "denoiser.jsonl")
    assert [line["skipped"] for line in lines] == [2, 2]
    assert all(np.isfinite(line["loss"]) for line in lines)
    load_denoiser(tmp_path / "denoiser_float32.safetensors")  # refuses what is not finite


def test_a_run_that_fails_says_so(tmp_path, monkeypatch):
    def broken(self: DenoiserTask, step: int) -> tuple[Any, ...]:
        batch = self.source.batch(step)
        return batch, torch.full_like(batch.target, float("nan")), torch.zeros(len(batch), dtype=torch.int64)

    monkeypatch.setattr(DenoiserTask, "inputs", broken)
    with pytest.raises(CloseintError, match=r"not finite.*learning_rate"):
        runs.train(config(tmp_path), silently)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch": 8}, "batch = 4"),
        ({"optimizer": {"warmup": 4}}, "optimizer"),
        ({"losses": {"joints": 2.0}}, "losses.joints"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, changes, named):
    runs.train(config(tmp_path, steps=2), silently)
    with pytest.raises(CloseintError, match=named):
        runs.train(config(tmp_path, steps=2, **changes), silently)
    assert runs.train(config(tmp_path, steps=2, **changes), silently, restart=True)


def test_other_intervals_and_folders_may_change_on_the_way(tmp_path):
    runs.train(config(tmp_path, time_budget=1e-6), silently)
    assert runs.train(config(tmp_path, log_every=2, checkpoint_every=5, compile=False), silently)


def test_a_damaged_checkpoint_is_a_sentence(tmp_path):
    runs.train(config(tmp_path, steps=2), silently)
    (tmp_path / "denoiser_checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(CloseintError, match="damaged"):
        runs.train(config(tmp_path, steps=2), silently)


def test_it_starts_from_given_weights(tmp_path):
    runs.train(config(tmp_path / "a"), silently)
    weights = str(tmp_path / "a" / "denoiser_float32.safetensors")
    chosen = config(tmp_path / "b", initial=weights, steps=1, ema=0.0, optimizer={"learning_rate": 1e-12})
    runs.train(chosen, silently)
    first, second = (load_denoiser(tmp_path / run / "denoiser_float32.safetensors").state_dict() for run in "ab")
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=1e-6)
    other = config(tmp_path / "c", initial=weights, denoiser=TINY["denoiser"] | {"dim": 32})
    with pytest.raises(CloseintError, match="another network"):
        runs.train(other, silently)


def test_a_batch_that_cannot_be_shared(tmp_path):
    run = Runs(write_config(tmp_path, batch=3), processes=2)
    assert run.wait() == [2, 2]
    assert "cannot be shared by 2 processes" in run.said()


def test_bf16_trains_too(tmp_path):
    assert runs.train(config(tmp_path, precision="bf16", steps=3), silently)
    line = losses(tmp_path / "denoiser.jsonl")[0]
    runs.train(config(tmp_path / "full", steps=3), silently)
    assert line["loss"] == pytest.approx(losses(tmp_path / "full" / "denoiser.jsonl")[0]["loss"], rel=0.02)


def test_the_average_follows_the_weights(tmp_path):
    chosen = config(tmp_path, steps=5, ema=0.0)
    group = runs.Processes(0, 1, torch.device("cpu"))
    task = toy_task(chosen, TorchBody(load_body("default")), group)
    trainer = Trainer(chosen, task, group, runs.Interrupt(), silently)
    tmp_path.mkdir(exist_ok=True)
    trainer.run()
    for mine, given in zip(trainer.average.parameters(), task.network.parameters(), strict=True):
        assert torch.equal(mine, given)


def test_the_log_is_json(tmp_path):
    runs.train(config(tmp_path, steps=2), silently)
    for line in (tmp_path / "denoiser.jsonl").read_text().splitlines():
        assert {"event", "step", "time"} <= json.loads(line).keys()
