# SPDX-License-Identifier: Apache-2.0
"""A run from its configuration: the sources, the stages in their order, and the folder."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.prior import InteractionPrior
from closeint_core.errors import CloseintError
from closeint_core.files import require_writable
from closeint_core.training.config import TrainingConfig
from closeint_core.training.logs import Say
from closeint_core.training.processes import Processes, processes
from closeint_core.training.schedule import seed_everything
from closeint_core.training.stages import CodesStage, DenoiserStage, PriorStage, Stage
from closeint_core.training.synthetic_source import SyntheticSource
from closeint_core.training.trainer import Interrupt, Trainer


def train(config: TrainingConfig, say: Say, restart: bool = False) -> bool:
    """Train what the configuration says, from where its output folder stands.

    Args:
        say: prints a line for the person who waits; called by the first process only.
        restart: throw away what is in the output folder from an earlier run.

    Returns:
        Whether the run reached its last step; otherwise the same call goes on.

    Raises:
        CloseintError: the folder belongs to a run with other settings, there is no such device, or training fails.
    """
    began = time.monotonic()
    deadline = began + config.time_budget if config.time_budget else float("inf")
    with processes(config.device) as group, Interrupt().listening() as interrupt:
        quiet: Say = say if group.first else lambda _: None
        folder = Path(config.output)
        if group.first:
            if restart:
                clear(folder)
            require_writable(folder)
        group.wait()
        if config.batch % group.world:
            raise CloseintError(
                f"A batch of {config.batch} windows cannot be shared by {group.world} processes.",
                "Choose a multiple as 'batch'.",
            )
        seed_everything(config.seed, 0, 0, "weights")
        body = TorchBody(load_body("default")).to(group.device)
        first = first_stage(config, body, group, quiet)
        trainer = Trainer(config, first, group, interrupt, quiet, deadline)
        done = trainer.run()
        if done and isinstance(first, PriorStage) and config.codes.steps:
            seed_everything(config.seed, 0, 0, "codes")
            assert isinstance(trainer.average, InteractionPrior)
            stage = CodesStage(config, trainer.average, first)
            done = Trainer(config, stage, group, interrupt, quiet, deadline).run()
        return done


def first_stage(config: TrainingConfig, body: TorchBody, group: Processes, say: Say) -> Stage:
    """The denoiser, or the prior, on synthetic interactions."""
    batch = config.batch // group.world

    def notice(done: int, total: int) -> None:
        if done == total:
            say(f"Interactions in memory: {config.data.pool}")

    source = SyntheticSource(config.data, body, batch, config.seed, group.rank, group.world, notice=notice)
    held_out = held_out_source(config, body)
    if config.what == "prior":
        return PriorStage(config, body, source, held_out)
    return DenoiserStage(config, body, source, held_out)


def held_out_source(config: TrainingConfig, body: TorchBody) -> SyntheticSource:
    """Windows of held-out kinds, both people to be seen by the network, made once and kept."""
    windows = config.validation.windows
    data = replace(config.data, kinds=(), alone=0.0, pool=windows, chunk=windows, renew=0)
    return SyntheticSource(data, body, windows, config.seed, split="test")


def clear(folder: Path) -> None:
    """Take away the files of a run, and no others."""
    for pattern in ("*_checkpoint.pt", "*.jsonl", "denoiser_*.safetensors", "prior_*.safetensors"):
        for path in folder.glob(pattern):
            path.unlink()
    for part in ("pictures", "tensorboard"):
        shutil.rmtree(folder / part, ignore_errors=True)
