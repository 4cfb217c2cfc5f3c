# SPDX-License-Identifier: Apache-2.0
"""Windows trained a second, how the time is shared between making them and learning, and how busy the GPU is.

    python benchmarks/training.py [--config denoiser] [--device cuda] [--seconds 120] [--pool N] [--batch N]
        [--chunk N] [--renew N] [--warm-up 20] [--json]

The real loop with the default configuration: interactions made and renewed, seen by simulated detectors, learned from;
no validation, no checkpoint. Filling the pool and the first steps are not counted. On a CPU choose small sizes:

    python benchmarks/training.py --device cpu --seconds 20 --pool 8 --chunk 4 --batch 8 --warm-up 1
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from closeint_core.training.config import TrainingConfig, read_config  # noqa: E402
from closeint_core.training.logs import read_log  # noqa: E402
from closeint_core.training.processes import processes  # noqa: E402
from closeint_core.training.runs import first_task, training_body  # noqa: E402
from closeint_core.training.schedule import seed_everything  # noqa: E402
from closeint_core.training.trainer import Interrupt, Trainer  # noqa: E402

_SAMPLES_EVERY = 0.2  # seconds; the driver itself averages over up to one
_NEVER = 10**9


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="denoiser", help="denoiser, prior, or a YAML file")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seconds", type=float, default=120.0, help="measured, after the warm-up")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before, not counted")
    parser.add_argument("--pool", type=int, help="interactions in memory")
    parser.add_argument("--chunk", type=int, help="of them made at once")
    parser.add_argument("--renew", type=int, help="steps between two chunks that are made anew")
    parser.add_argument("--batch", type=int, help="windows a step")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    path = Path(options.config)
    if not path.suffix:
        path = ROOT / "closeint_core" / "training" / "configs" / f"{options.config}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(chosen(read_config(path), options, folder), options.warm_up, options.seconds)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:>28}: {value:.4g}" if isinstance(value, float) else f"{name:>28}: {value}")


def chosen(config: TrainingConfig, options: argparse.Namespace, folder: str) -> TrainingConfig:
    """The configuration with what the options change, and without pauses."""
    sizes = {name: getattr(options, name) for name in ("pool", "chunk", "renew") if getattr(options, name) is not None}
    return replace(
        config,
        output=folder,
        device=options.device,
        steps=_NEVER,
        batch=options.batch or config.batch,
        data=replace(config.data, **sizes),
        validation=replace(config.validation, every=0, windows=1, pictures=0),
        log_every=1,
        checkpoint_every=_NEVER,
    )


def measure(config: TrainingConfig, warm_up: int, seconds: float) -> dict[str, Any]:
    """The figures printed, by name."""
    with processes(config.device) as group:
        cuda = group.device.type == "cuda"
        seed_everything(config.seed, 0, 0, "weights")
        began = time.perf_counter()
        task = first_task(config, training_body(config).to(group.device), group, lambda line: None)
        task.inputs(0)
        filled = time.perf_counter() - began
        task.steps = max(1, warm_up)
        trainer = Trainer(config, task, group, Interrupt(), lambda line: None)
        trainer.run()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        # From here on: the log's lines are far apart, since each of them waits for the device.
        task.steps = _NEVER
        trainer.config = replace(config, log_every=max(1, warm_up))
        trainer.deadline = time.monotonic() + seconds
        first = trainer.step
        began = time.perf_counter()
        with Busy(group.device) as busy:
            trainer.run()
            if cuda:
                torch.cuda.synchronize()
        wall = time.perf_counter() - began
        lines = [line for line in read_log(trainer.folder / f"{task.name}.jsonl") if line["event"] == "train"]
        counted = [line for line in lines if line["step"] > first] or lines[-1:]
        steps = trainer.step - first
        figures: dict[str, Any] = {
            "device": torch.cuda.get_device_name(group.device) if cuda else f"cpu, {torch.get_num_threads()} threads",
            "windows a step": config.batch,
            "interactions in memory": config.data.pool,
            "seconds to fill the pool": filled,
            "steps measured": steps,
            "windows a second": steps * config.batch / wall,
            "ms a step": 1000 * wall / max(1, steps),
            "share of the source": sum(line["source_share"] for line in counted) / len(counted),
            "share of the step": sum(line["step_share"] for line in counted) / len(counted),
        }
        if cuda:
            figures["GPU busy"] = busy.share if busy.share is not None else "unknown: no nvidia-ml-py, no nvidia-smi"
            figures["samples of it"] = len(busy.samples)
            figures["peak memory GB"] = torch.cuda.max_memory_allocated() / 1e9
        return figures


class Busy:
    """Asks in a thread, while it is entered, how busy a CUDA device is.

    Attributes:
        samples: shares of time in which a kernel was running.
    """

    def __init__(self, device: torch.device) -> None:
        self.samples: list[float] = []
        self._ask = _utilization(device) if device.type == "cuda" else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Busy:
        if self._ask is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._ask is not None:
            self._thread.join()

    @property
    def share(self) -> float | None:
        """Mean of the samples; None without any."""
        return sum(self.samples) / len(self.samples) if self.samples else None

    def _watch(self) -> None:
        assert self._ask is not None
        while not self._stop.wait(_SAMPLES_EVERY):
            self.samples.append(self._ask() / 100)


def _utilization(device: torch.device) -> Callable[[], float] | None:
    """A function that says how busy a device is in percent; None if nothing does."""
    try:
        torch.cuda.utilization(device)
    except (ModuleNotFoundError, RuntimeError):
        program = shutil.which("nvidia-smi")
        if program is None:
            return None
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        command = [program, f"--id={uuid}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        return lambda: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return lambda: float(torch.cuda.utilization(device))


if __name__ == "__main__":
    main()
