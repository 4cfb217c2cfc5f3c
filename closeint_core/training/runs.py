# SPDX-License-Identifier: Apache-2.0
"""A run from its configuration: the sources, the tasks in their order, and the folder."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch

from closeint_core import __version__
from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.prior import InteractionPrior
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.files import check_folder, mark_folder
from closeint_core.models import store
from closeint_core.training.batches import Share
from closeint_core.training.config import TrainingConfig, to_dict
from closeint_core.training.logs import Say
from closeint_core.training.processes import Processes, processes
from closeint_core.training.recorded_source import RecordedSource, published_layout
from closeint_core.training.schedule import seed_everything
from closeint_core.training.synthetic_source import SyntheticSource
from closeint_core.training.tasks import DTYPES, CodesTask, DenoiserTask, PriorTask, Task
from closeint_core.training.trainer import Interrupt, Trainer

TASKS = (DenoiserTask.name, PriorTask.name, CodesTask.name, "eyes")


def train(config: TrainingConfig, say: Say, restart: bool = False) -> bool:
    """Train what the configuration says, from where its output folder stands.

    Args:
        say: prints a line for the person who waits; called by the first process only.
        restart: throw away what is in the output folder from an earlier run.

    Returns:
        Whether the run reached its last step; otherwise its time budget is spent, and the same call goes on.

    Raises:
        CloseintError: the folder belongs to a run with other settings, there is no such device, or training fails.
        Cancelled: the process was asked to stop (SIGINT or SIGTERM); a checkpoint was written. A second such signal
            does not wait for the end of the step.
    """
    try:
        return _train(config, say, restart)
    except KeyboardInterrupt:
        raise Cancelled("Stopped at once: the same command goes on from the last checkpoint.") from None


def _train(config: TrainingConfig, say: Say, restart: bool) -> bool:
    began = time.monotonic()
    deadline = began + config.time_budget if config.time_budget else float("inf")
    with processes(config.device) as group, Interrupt().listening() as interrupt:
        quiet: Say = say if group.first else lambda _: None
        folder = Path(config.output)
        if group.first:
            check_folder(folder, "training", signs=[f"{name}_checkpoint.pt" for name in TASKS])
            if restart:
                clear(folder)
        group.wait()
        if config.batch % group.world:
            raise CloseintError(
                f"A batch of {config.batch} windows cannot be shared by {group.world} processes.",
                "Choose a multiple as 'batch'.",
            )
        return _train_tasks(config, group, interrupt, quiet, deadline)


def _train_tasks(config: TrainingConfig, group: Processes, interrupt: Interrupt, say: Say, deadline: float) -> bool:
    """What is trained in a group; nothing of it is left when the group ends."""
    if group.device.type == "cuda":
        torch.set_num_threads(1)  # plans are made of small tensors, by several threads; more fight for the cores
    seed_everything(config.seed, 0, 0, "weights")
    first = first_task(config, training_body(config).to(group.device), group, say)
    if group.first:
        mark_folder(Path(config.output), "training")
    trainer = Trainer(config, first, group, interrupt, say, deadline)
    done = trainer.run()
    if done and isinstance(first, PriorTask) and config.codes.steps:
        seed_everything(config.seed, 0, 0, "codes")
        assert isinstance(trainer.average, InteractionPrior)
        task = CodesTask(config, trainer.average, first)
        trainer = Trainer(config, task, group, interrupt, say, deadline)
        done = trainer.run()
    if not done:
        where = f"step {trainer.step} of {trainer.task.steps} of the {trainer.task.name}"
        if group.agreed(interrupt.asked):
            raise Cancelled(f"Interrupted, with a checkpoint: the same command goes on from {where}.")
        say(f"The time budget of {config.time_budget:g} s is spent: the same command goes on from {where}.")
    elif group.first:
        keep_weights(trainer.written[-1], config, say)
    return done


def keep_weights(weights: Path, config: TrainingConfig, say: Say) -> None:
    """Copy the weights of a finished run into the store of models; where that fails, the run is whole without."""
    facts = {"closeint": __version__, "run": str(Path(config.output).absolute()), "configuration": to_dict(config)}
    try:
        kept, digest = store.keep(weights, config.what, facts)
    except CloseintError as error:
        say(f"The weights stay in {weights.parent} alone. {error}")
        return
    say(f"Kept as {kept}, sha256 {digest}.")


def training_body(config: TrainingConfig) -> TorchBody:
    """The default body, or SMPL's neutral one for recorded interactions.

    Raises:
        CloseintError: it has to be supplied and is not there (exit code 3).
    """
    if not config.recorded.folder:
        return TorchBody(load_body("default"))
    _, data = published_layout(Path(config.recorded.folder), config.recorded.train)
    return TorchBody(load_body("smpl-neutral", data))


def first_task(config: TrainingConfig, body: TorchBody, group: Processes, say: Say) -> Task:
    """The denoiser, or the prior, on synthetic interactions; the denoiser on recorded ones."""
    if config.recorded.folder:
        return recorded_task(config, body, group, say)
    if config.what == "eyes":
        return eyes_task(config, body, group, say)

    def notice(done: int, total: int) -> None:
        if done == total:
            say(f"Interactions in memory: {config.data.pool}")

    source = SyntheticSource(config.data, body, _share(config, group), notice)
    held_out = held_out_source(config, body)
    if config.what == "prior":
        return PriorTask(config, body, source, held_out)
    return DenoiserTask(config, body, source, held_out, source.generator.tools)


def _share(config: TrainingConfig, group: Processes) -> Share:
    return Share(config.batch // group.world, config.seed, group.rank, group.world)


def eyes_task(config: TrainingConfig, body: TorchBody, group: Processes, say: Say) -> Task:
    """The eyes, on renders of synthetic interactions."""
    from closeint_core.training.eyes.stage import EyesStage  # it needs a compiler, the others do not

    def notice(done: int, total: int) -> None:
        say(f"Interactions made: {done} of {total} parts")

    return EyesStage(config, body, group, notice)


def recorded_task(config: TrainingConfig, body: TorchBody, group: Processes, say: Say) -> DenoiserTask:
    """The denoiser on recorded interactions."""
    recorded, frames = config.recorded, config.data.frames
    features = config.denoiser.condition == "hmr2"
    source = RecordedSource(recorded, body, _share(config, group), frames, features=features, say=say)
    windows = config.validation.windows
    judged = Share(windows, config.seed, split="test")
    held_out = RecordedSource(recorded, body, judged, frames, most=windows, features=features)
    counts = f"Windows to learn from: {len(source)} of {recorded.train}"
    say(f"{counts}; to be judged on: {len(held_out)} of {recorded.test}")
    validation = replace(
        config.validation, windows=len(held_out), pictures=min(len(held_out), config.validation.pictures)
    )
    steps = source.steps(recorded.epochs) if recorded.epochs else config.steps
    return DenoiserTask(replace(config, steps=steps, validation=validation), body, source, held_out)


def held_out_source(config: TrainingConfig, body: TorchBody) -> SyntheticSource:
    """Windows of held-out kinds, both people to be seen by the network, made once and kept."""
    windows = config.validation.windows
    data = replace(config.data, kinds=(), alone=0.0, pool=windows, chunk=windows, renew=0, ahead=1)
    return SyntheticSource(data, body, Share(windows, config.seed, split="test"))


def clear(folder: Path) -> None:
    """Take away the files of a run, and no others."""
    for task in TASKS:
        weights = [f"{task}_{dtype}.safetensors" for dtype in DTYPES]
        for pattern in (f"{task}_checkpoint.pt", f"{task}.jsonl", *weights, f"pictures/{task}_*_*.png"):
            for path in folder.glob(pattern):
                path.unlink()
        shutil.rmtree(folder / "tensorboard" / task, ignore_errors=True)
    for part in ("pictures", "tensorboard"):
        with contextlib.suppress(OSError):  # there is none, or somebody keeps something in it
            (folder / part).rmdir()
