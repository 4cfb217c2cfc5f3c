# SPDX-License-Identifier: Apache-2.0
"""The processes that train together, as ``torchrun`` starts them: one for each GPU, or several on the CPU."""

from __future__ import annotations

import contextlib
import gc
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from closeint_core.errors import CloseintError


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: number of this process. world: how many there are. device: on which it works.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def agreed(self, value: bool) -> bool:
        """The value of the first process; all processes must call this at the same time."""
        if self.world == 1:
            return value
        # A tensor of the CPU goes through gloo, beside the GPU's queue: asking in every step costs no waiting for it.
        flag = torch.tensor([value], dtype=torch.uint8)
        torch.distributed.broadcast(flag, 0)
        return bool(flag.item())

    def mean(self, values: Tensor) -> Tensor:
        """Mean over all processes, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(values)
            values /= self.world
        return values

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.world > 1:
            self.agreed(True)


@contextlib.contextmanager
def processes(device: str = "auto") -> Iterator[Processes]:
    """Join the group that ``torchrun`` started, if it did.

    A caller must drop everything that refers to the group, such as a network wrapped in ``DistributedDataParallel``,
    before the group ends: destroying it waits for the group's threads while it holds the interpreter's lock, and
    these threads may wait for that lock.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        CloseintError: there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise CloseintError("The configuration asks for CUDA, and there is no CUDA device.", "Use device: auto.")
    world, rank, local = (
        int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0))
    )
    if device == "cpu" or not torch.cuda.is_available():
        chosen = torch.device("cpu")
    else:
        if local >= torch.cuda.device_count():
            raise CloseintError(
                f"Process {local} has no GPU: there are {torch.cuda.device_count()}.",
                "Start as many processes as there are GPUs.",
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    backend = "gloo" if chosen.type == "cpu" else "cpu:gloo,cuda:nccl"
    torch.distributed.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield Processes(rank, world, chosen)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # a failed step's frames hold the wrapped network
        raise
    finally:
        gc.collect()
        torch.distributed.destroy_process_group()
