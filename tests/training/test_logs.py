# SPDX-License-Identifier: Apache-2.0
"""Logs: one line an event, cut back where a run goes on, and times that add up."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from closeint_core.errors import CloseintError
from closeint_core.training import logs
from closeint_core.training.logs import RunLog, Stopwatch, read_log


def silently(line: str) -> None:
    pass


def test_lines_are_what_was_written(tmp_path):
    said: list[str] = []
    log = RunLog(tmp_path, "denoiser", 0, said.append)
    log.write("train", 3, {"loss": 1.5, "weights": ["a"]}, "step 3")
    log.write("validation", 4, {"mpjpe": 60.0})
    log.close()
    found = read_log(tmp_path / "denoiser.jsonl")
    assert [(line["event"], line["step"]) for line in found] == [("train", 3), ("validation", 4)]
    assert found[0]["loss"] == 1.5
    assert found[0]["weights"] == ["a"]
    assert said[-1] == "step 3"


def test_what_comes_after_the_step_is_taken_out(tmp_path):
    log = RunLog(tmp_path, "prior", 0, silently)
    for step in range(1, 6):
        log.write("train", step, {"loss": float(step)})
    log.close()
    log = RunLog(tmp_path, "prior", 3, silently)
    log.write("train", 4, {"loss": 40.0})
    log.close()
    assert [line["loss"] for line in read_log(tmp_path / "prior.jsonl")] == [1.0, 2.0, 3.0, 40.0]


def test_a_line_that_was_not_finished_is_left_out_and_another_is_not(tmp_path):
    path = tmp_path / "denoiser.jsonl"
    path.write_text('{"event": "train", "step": 1}\n{"event": "tr')
    assert [line["step"] for line in read_log(path)] == [1]
    log = RunLog(tmp_path, "denoiser", 1, silently)
    log.write("train", 2, {})
    log.close()
    assert [line["step"] for line in read_log(path)] == [1, 2]
    path.write_text('{"event": "tr\n{"event": "train", "step": 1}\n')
    with pytest.raises(CloseintError, match="Line 1"):
        read_log(path)


def test_tensorboard_has_numbers_and_pictures(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, "denoiser", 0, silently)
    log.write("train", 1, {"loss": 2.0, "said": "text", "flag": True})
    log.picture("window 0", 1, np.full((4, 6, 3), (255, 0, 10), np.uint8))
    log.close()
    board = events.EventAccumulator(str(tmp_path / "tensorboard" / "denoiser"))
    board.Reload()
    assert board.Tags()["scalars"] == ["train/loss"]
    assert [event.value for event in board.Scalars("train/loss")] == [2.0]
    image = board.Images("window 0")[0]
    assert (image.width, image.height) == (6, 4)


def test_without_tensorboard_there_is_the_log(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said: list[str] = []
    log = RunLog(tmp_path, "denoiser", 0, said.append)
    log.write("train", 1, {"loss": 2.0})
    log.picture("window 0", 1, np.zeros((4, 6, 3), np.uint8))
    log.close()
    assert "TensorBoard is not installed" in said[0]
    assert read_log(tmp_path / "denoiser.jsonl")[0]["loss"] == 2.0


def test_the_stopwatch_tells_source_from_step(monkeypatch):
    times = iter([100.0, 101.0, 103.0, 107.0, 110.0, 111.0, 115.0, 120.0])
    monkeypatch.setattr(logs.time, "perf_counter", lambda: next(times))
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(6):
        watch.mark()
    assert watch.steps == 2
    source, step, wall = watch.read()
    assert (source, step, wall) == (2.0 + 1.0, 4.0 + 4.0, 20.0)
