# SPDX-License-Identifier: Apache-2.0
"""The training loop: any task, any number of processes, and the same course whether or not it is cut on the way."""

from __future__ import annotations

import contextlib
import copy
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.training.checkpointing import RunState, load_state, save_state
from closeint_core.training.config import TrainingConfig, to_dict
from closeint_core.training.logs import RunLog, Say, Stopwatch
from closeint_core.training.processes import Processes
from closeint_core.training.schedule import average_decay, learning_rate, seed_everything
from closeint_core.training.tasks import Task, count_parameters
from closeint_core.training.train_step import Passes, RecordedPasses
from closeint_core.training.validation import Judged

_MOST_SKIPPED = 0.5  # of the steps between two lines of the log; beyond, the run has failed


class Interrupt:
    """Whether somebody asked the run to stop (SIGINT or SIGTERM). Asking twice stops at once, unsaved."""

    def __init__(self) -> None:
        self.asked = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[Interrupt]:
        """Take the signals over for a while; only a main thread may."""

        def ask(number: int, frame: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, ask)
        except ValueError:  # not the main thread: whoever runs this stops it
            pass
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Trainer:
    """Trains one task.

    Args:
        deadline: of ``time.monotonic``, at which the run stops with a checkpoint; infinite for none.
        interrupt: asked in every step. say: prints a line for the person who waits.

    Attributes:
        average: the moving average of the network, which is what is judged and saved.
        written: the files of weights of a run that came to its end or was cut; empty in all processes but the first.
    """

    def __init__(
        self,
        config: TrainingConfig,
        task: Task,
        processes: Processes,
        interrupt: Interrupt,
        say: Say,
        deadline: float = float("inf"),
    ) -> None:
        self.config, self.task, self.processes = config, task, processes
        self.interrupt, self.say, self.deadline = interrupt, say, deadline
        self.folder = Path(config.output)
        self.checkpoint = self.folder / f"{task.name}_checkpoint.pt"
        self.written: list[Path] = []
        self.step = 0
        self.seconds = 0.0  # spent before this process
        self._began = time.monotonic()
        self.optimizer = make_optimizer(task)
        self._parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        self.average = copy.deepcopy(task.network).eval().requires_grad_(False)
        self._resume()
        self._passes = self._made_passes()

    # -- state ---------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        state = load_state(self.checkpoint, self.config, self.task.name)
        if state is None:
            seed_everything(self.config.seed, 0, 0, "start")
            self.task.start()
            self.average.load_state_dict(self.task.network.state_dict())
            return
        self.task.network.load_state_dict(state.network)
        self.average.load_state_dict(state.average)
        self.optimizer.load_state_dict(state.optimizer)
        self._sums = {name: value.to(self.processes.device) for name, value in state.sums.items()}
        self._counted, self.step, self.seconds = state.counted, state.step, state.seconds
        self.say(f"Going on with the {self.task.name} from step {self.step} of {self.task.steps}.")

    def save(self) -> None:
        """Write the checkpoint."""
        if self.processes.first:
            state = RunState(
                self.task.name,
                self.step,
                self.seconds + time.monotonic() - self._began,
                self.task.network.state_dict(),
                self.average.state_dict(),
                self.optimizer.state_dict(),
                self._sums,
                self._counted,
                to_dict(self.config),
            )
            save_state(state, self.checkpoint)
        self.processes.wait()

    def _made_passes(self) -> Passes | RecordedPasses:
        device, world = self.processes.device, self.processes.world
        objective: Any = self.task.objective
        if self.config.compile:
            objective = torch.compile(objective, dynamic=False)
        if self.config.graphs and self.task.recordable and device.type == "cuda":
            passes: Passes | RecordedPasses = RecordedPasses(objective, self._parameters, world)
        else:
            if world > 1:
                objective = DistributedDataParallel(objective, [device] if device.type == "cuda" else None)
            passes = Passes(objective, self._parameters)
        if world > 1 and self.step == 0:
            with torch.no_grad():  # the first process's weights are everybody's now; so should be their average
                self.average.load_state_dict(self.task.network.state_dict())
        return passes

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Train until the last step, the deadline, or an interrupt; whether the last step was reached."""
        task, config = self.task, self.config
        log = RunLog(self.folder, task.name, self.step, self.say) if self.processes.first else None
        if log is not None:
            log.write("start", self.step, self._description(), f"Training the {task.name}: {self._introduction()}")
        watch = Stopwatch(self.processes.device)
        done = self.step >= task.steps
        try:
            while not done:
                if self.processes.agreed(self.interrupt.asked or time.monotonic() >= self.deadline):
                    break
                self._one_step(watch)
                done = self.step >= task.steps
                # The log first: a checkpoint then holds what is not in the log yet.
                if self.step % config.log_every == 0 or done:
                    self._log(log, watch)
                every = config.validation.every
                if every and (self.step % every == 0 or done):
                    self._validate(log)
                    watch.reset()
                if self.step % config.checkpoint_every == 0 and not done:
                    self.save()
                    watch.reset()
            self.save()
            if self.processes.first:
                self.written = written = task.save(self.average, self.folder)
                outcome = "finished" if done else "stopped"
                said = f"The {task.name} {outcome} at step {self.step} of {task.steps}: {written[0].parent}"
                assert log is not None
                log.write(outcome, self.step, {"weights": [path.name for path in written]}, said)
        finally:
            if log is not None:
                log.close()
        return done

    def _one_step(self, watch: Stopwatch) -> None:
        task, step = self.task, self.step
        seed_everything(self.config.seed, self.processes.rank, step)
        watch.mark()
        inputs = task.inputs(step)
        watch.mark()
        task.network.train()
        loss, terms = self._passes(inputs)
        norm = nn.utils.clip_grad_norm_(self._parameters, task.optimizer.clip)
        failed = (~torch.isfinite(norm)).to(torch.float32)
        # Fused optimisers leave a step out by themselves when this is 1: no waiting for the device to look.
        self.optimizer.found_inf = failed  # type: ignore[attr-defined]
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate(task.optimizer, step, task.steps)
        self.optimizer.step()
        self._follow(step)
        with torch.no_grad():
            self._count({"loss": loss, **terms, "gradient_norm": norm}, failed)
        watch.mark()
        self.step += 1

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """The average moves towards the network; what is no weight (codebooks, statistics) is copied."""
        decay = average_decay(self.config.ema, step)
        ours: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(self.task.network.parameters())
        torch._foreach_lerp_(ours, theirs, 1.0 - decay)
        for mine, given in zip(self.average.buffers(), self.task.network.buffers(), strict=True):
            mine.copy_(given)

    def _count(self, values: dict[str, Tensor], failed: Tensor) -> None:
        """Add to what the next line of the log says; steps left out count for nothing else."""
        kept = {name: torch.where(failed > 0, 0.0, value.detach().float()) for name, value in values.items()}
        kept["skipped"] = failed
        for name, value in kept.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._counted += 1

    def _log(self, log: RunLog | None, watch: Stopwatch) -> None:
        names = list(self._sums)
        sums = self.processes.mean(torch.stack([self._sums[name] for name in names])).tolist()
        values = dict(zip(names, sums, strict=True))
        skipped, counted = values.pop("skipped"), self._counted
        self._sums, self._counted = {}, 0
        if skipped > _MOST_SKIPPED * counted:
            raise CloseintError(
                f"Training the {self.task.name} fails: {skipped:.0f} of the {counted} steps up to {self.step} had "
                "gradients that are not finite.",
                "Lower optimizer.learning_rate, or use precision: float32. The last checkpoint is kept.",
            )
        means = {name: value / (counted - skipped) for name, value in values.items()}
        source, steps, wall = watch.read()
        timed = watch.steps
        watch.reset()
        if log is not None:
            rate = self.config.batch * timed / max(source + steps, 1e-9)
            lr = learning_rate(self.task.optimizer, self.step - 1, self.task.steps)
            speed = {"windows_per_s": rate, "source_share": source / wall, "step_share": steps / wall}
            seconds = self.seconds + time.monotonic() - self._began
            line = {**means, "skipped": skipped, "learning_rate": lr, **speed, "seconds": seconds}
            said = f"step {self.step}  loss {means['loss']:.4f}  {rate:.0f} windows/s  source {source / wall:.0%}"
            log.write("train", self.step, line, said)

    def _validate(self, log: RunLog | None) -> None:
        if log is not None:
            seed_everything(self.config.seed, 0, 0, "validation")
            judged = self.task.judge(self.average)
            said = "  ".join(f"{name} {value:.1f}" for name, value in judged.measures.items())
            log.write("validation", self.step, judged.measures, f"step {self.step}  held out: {said}")
            self._show(log, judged)
        self.processes.wait()

    def _show(self, log: RunLog, judged: Judged) -> None:
        for number, image in enumerate(judged.pictures):
            name = f"{self.task.name}_{self.step:07d}_{number}"
            with atomic_path(self.folder / "pictures" / f"{name}.png") as temporary:
                cv2.imwrite(str(temporary), image)
            log.picture(f"window {number}", self.step, image)

    # -- words ---------------------------------------------------------------------------------------------------

    def _description(self) -> dict[str, Any]:
        device = self.processes.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        return {
            "device": name,
            "processes": self.processes.world,
            "torch": torch.__version__,
            "parameters": count_parameters(self.task.network),
        }

    def _introduction(self) -> str:
        words = self._description()
        return f"{words['parameters'] / 1e6:.2f} M parameters, {words['processes']} x {words['device']}"


def make_optimizer(task: Task) -> torch.optim.AdamW:
    """AdamW; only matrices decay, and a group holds parameters of one rate (``Task.rate``)."""
    named = [(task.rate(name), p) for name, p in task.network.named_parameters() if p.requires_grad]
    settings = task.optimizer
    groups = []
    for rate in sorted({rate for rate, _ in named}, reverse=True):
        own = [p for given, p in named if given == rate]
        for decay, chosen in (
            (settings.weight_decay, [p for p in own if p.ndim > 1]), (0.0, [p for p in own if p.ndim <= 1]),
        ):  # fmt: skip
            groups.append({"params": chosen, "weight_decay": decay, "rate": rate})
    betas = (settings.betas[0], settings.betas[1])
    return torch.optim.AdamW(groups, settings.learning_rate, betas, fused=True)
