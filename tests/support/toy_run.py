# SPDX-License-Identifier: Apache-2.0
"""A training run on eight windows that need no generator, in processes that a test can kill.

Importing torch and fitting the losses' spheres takes most of such a run. One server process does it once and forks a
child for each run (``multiprocessing``'s forkserver); its children share nothing else with the test.

As a program, for torchrun: python toy_run.py CONFIG
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from dataclasses import replace
from functools import lru_cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from closeint_core import cli  # noqa: E402
from closeint_core.body.torch_body import TorchBody  # noqa: E402
from closeint_core.denoiser.canonical import PairMotion  # noqa: E402
from closeint_core.training import runs  # noqa: E402
from closeint_core.training.batches import MotionBatch, TrainingBatch  # noqa: E402
from closeint_core.training.config import TrainingConfig, read_config  # noqa: E402
from closeint_core.training.processes import Processes  # noqa: E402
from closeint_core.training.synthetic.generate import default_tools  # noqa: E402
from closeint_core.training.tasks import DenoiserTask, PriorTask, Task  # noqa: E402
from support.windows import UP, synthetic_windows  # noqa: E402 - the tests' synthetic windows

WINDOWS, FRAMES = 8, 4
TINY: dict[str, Any] = {
    "what": "denoiser",
    "steps": 12,
    "batch": 4,
    "denoiser": {"dim": 16, "depth": 1, "heads": 2, "hidden": 32, "encoder_depth": 1},
    "prior": {"dim": 16, "depth": 1, "heads": 2, "codes": 8, "groups": 2, "code_dim": 4},
    "codes": {"steps": 6, "dim": 16, "heads": 2, "depth": 1},
    "optimizer": {"warmup": 3, "learning_rate": 1e-3},
    "validation": {"every": 0, "windows": 2, "pictures": 1},
    "log_every": 1,
    "checkpoint_every": 4,
    "device": "cpu",
}
"""A configuration of seconds."""


class ToySource:
    """Rows of eight windows, other ones in each step and process."""

    def __init__(self, body: TorchBody, batch: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        made = synthetic_windows(body, WINDOWS, FRAMES, seed=1)
        crops = made.conditions.crops
        points = body.points("halpe")(body.skeleton(made.rotations, made.betas, made.translation), made.betas)
        self.everything = TrainingBatch(
            replace(made.conditions, features=None),
            made.truth.numbers(),
            crops.project(points),
            UP.expand(WINDOWS, 3),
            torch.zeros(WINDOWS, FRAMES, 24, 24, dtype=torch.bool),
            torch.full((WINDOWS,), 30.0),
            torch.ones(WINDOWS, FRAMES, 2, dtype=torch.bool),
        )
        pelvis = body.rest_joints(made.betas)[..., 0, :] + made.translation
        self.motion = PairMotion(made.rotations, pelvis)
        self.count, self.seed, self.rank, self.world = batch, seed, rank, world
        self.stall_at, self.stalled = -1, Path()

    def rows(self, step: int) -> torch.Tensor:
        if step == self.stall_at:
            self.stalled.touch()
            while self.stalled.exists():
                time.sleep(0.02)
        generator = torch.Generator().manual_seed(self.seed + (step * self.world + self.rank))
        return torch.randint(WINDOWS, (self.count,), generator=generator)

    def batch(self, step: int) -> TrainingBatch:
        parts = [self.everything[slice(row, row + 1)] for row in self.rows(step).tolist()]
        conditions = [part.conditions for part in parts]
        crops = [part.crops for part in conditions]

        def join(items: list[Any], name: str) -> torch.Tensor:
            return torch.cat([getattr(item, name) for item in items])

        told = replace(
            conditions[0],
            init_pose6d=join(conditions, "init_pose6d"),
            keypoints=join(conditions, "keypoints"),
            crops=replace(crops[0], **{name: join(crops, name) for name in ("center", "side", "image_size", "focal")}),
        )
        names = ("target", "keypoints", "up", "contacts", "fps", "valid")
        return TrainingBatch(told, **{name: join(parts, name) for name in names})

    def motions(self, step: int, plain: bool = False) -> MotionBatch:
        rows = self.rows(step)
        return MotionBatch(PairMotion(self.motion.rotations[rows], self.motion.pelvis[rows]), UP)


def toy_task(config: TrainingConfig, body: TorchBody, group: Processes, say: object = None) -> Task:
    """In place of ``runs.first_task``."""
    source = ToySource(body, config.batch // group.world, config.seed, group.rank, group.world)
    stall = os.environ.get("TOY_STALL")
    if stall:
        source.stall_at, source.stalled = int(stall), Path(config.output).with_name("stalled")
    held_out = ToySource(body, config.validation.windows, config.seed + 1)
    if config.what == "prior":
        return PriorTask(config, body, source, held_out)
    return DenoiserTask(config, body, source, held_out, default_tools())


def run_file(path: Path) -> int:
    """Train as the file says, from where it stands; the exit status of the command."""
    torch.set_num_threads(1)
    runs.first_task = toy_task
    return cli.run(lambda: runs.train(read_config(path), lambda line: print(line, file=sys.stderr, flush=True)))


def _child(path: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    said = path.with_name(f"said_{environment['RANK']}").open("a")
    os.dup2(said.fileno(), 2)
    sys.exit(run_file(path))


class Runs:
    """The processes of one run, forked off the server.

    Args:
        stall_at: a step at which the run touches a file "stalled" beside its output folder, and waits until it is gone.
    """

    def __init__(self, path: Path, stall_at: int | None = None, processes: int = 1) -> None:
        self.path, self.stalled = path, path.with_name("stalled")
        self.stalled.unlink(missing_ok=True)
        context = _server()
        shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        shared["TOY_STALL"] = "" if stall_at is None else str(stall_at)
        self.children: list[ForkServerProcess] = []
        for rank in range(processes):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            child = context.Process(target=_child, args=(path, shared | own), daemon=True)
            child.start()
            self.children.append(child)

    def wait_until_stalled(self) -> None:
        """Until the run has come to the step at which it waits."""
        while not self.stalled.exists():
            assert all(child.is_alive() for child in self.children), self.said()
            time.sleep(0.02)

    def let_go(self) -> None:
        """End the waiting."""
        self.stalled.unlink()

    def send(self, number: int) -> None:
        """A signal to every process."""
        for child in self.children:
            assert child.pid is not None
            os.kill(child.pid, number)

    def wait(self) -> list[int | None]:
        """Exit statuses. Who has not ended after two minutes is killed, and it is said by its status."""
        for child in self.children:
            child.join(120)
            if child.is_alive():
                child.kill()
                child.join()
        return [child.exitcode for child in self.children]

    def said(self, rank: int = 0) -> str:
        """What a process wrote to stderr."""
        return self.path.with_name(f"said_{rank}").read_text()


@lru_cache(maxsize=1)
def _server() -> ForkServerContext:
    """Starts the server. It knows the test's paths by the environment alone, and says nothing if an import fails."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.toy_preload"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    return context


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    sys.exit(run_file(Path(sys.argv[1])))
