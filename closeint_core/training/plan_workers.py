# SPDX-License-Identifier: Apache-2.0
"""Plans interactions ahead while others are solved and learned from.

Planning is Python and small tensors on the CPU. Beside a GPU it is done in processes: threads would share the
interpreter with the one that starts the GPU's kernels, and the GPU would wait.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import torch

from closeint_core.body.data import BodyData
from closeint_core.body.torch_body import TorchBody
from closeint_core.training.synthetic.generate import Generator
from closeint_core.training.synthetic.motions import Motions
from closeint_core.training.synthetic.plan import Plan

Planned = Callable[[], Plan]
"""Waits for a plan."""


class ThreadPlanners:
    """Threads that call ``Generator.plan``."""

    def __init__(self, generator: Generator, workers: int) -> None:
        self._generator = generator
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="plan")

    def __call__(self, count: int, frames: int, seed: int) -> Planned:
        """Begin to plan; see ``Generator.plan``."""
        return self._threads.submit(self._generator.plan, count, frames, seed).result


class ProcessPlanners:
    """Processes that call ``Generator.plan``, with the same results; they end with this one."""

    def __init__(self, generator: Generator, workers: int) -> None:
        names = [kind.name for kind in generator.kinds]
        given = (names, generator.body.data, generator.oversample, generator.motions)
        # A forked process could not use torch once a GPU is in use here.
        self._pool = multiprocessing.get_context("spawn").Pool(workers, _begin, given)

    def __call__(self, count: int, frames: int, seed: int) -> Planned:
        """Begin to plan; see ``Generator.plan``."""
        waiting = self._pool.apply_async(_plan, (count, frames, seed))

        def result() -> Plan:
            return Plan(**{name: torch.from_numpy(array) for name, array in waiting.get().items()})

        return result


def planners_of(generator: Generator, workers: int) -> ThreadPlanners | ProcessPlanners:
    """Planners for a generator: processes if it works on a GPU."""
    beside_gpu = generator.body.template.device.type != "cpu"
    return (ProcessPlanners if beside_gpu else ThreadPlanners)(generator, max(1, workers))


_generator: Generator  # of a process that plans


def _begin(kinds: list[str], data: BodyData, oversample: float, motions: Motions | None) -> None:
    global _generator
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked for the plans is told, and ends this process
    torch.set_num_threads(1)
    _generator = Generator(kinds, None, TorchBody(data), oversample=oversample)
    _generator.motions = motions


def _plan(count: int, frames: int, seed: int) -> dict[str, np.ndarray]:
    plan = _generator.plan(count, frames, seed)
    # As plain memory: tensors would travel as open files, of which a process may have only so many.
    return {field.name: getattr(plan, field.name).numpy() for field in fields(plan)}
