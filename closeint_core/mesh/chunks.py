# SPDX-License-Identifier: Apache-2.0
"""Frames in chunks: on a CPU as many chunks at once as PyTorch has threads, each on one thread.

What is done with a chunk are hundreds of small operations. Two threads that share each of them wait for each other more
than they work: on two cores the vertices inside the other of 120 frames take 2.8 s so, as on one core, and 1.3 s by
chunks; where another program uses a core, sharing took up to twenty times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_chunks(work: Callable[[Part], Result], parts: Sequence[Part], device: torch.device) -> list[Result]:
    """The results of some work on every part, in their order.

    Args:
        work: must not change what another part's work reads. device: where it computes; only a CPU does several parts
            at once.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or min(threads, len(parts)) < 2:
        return [work(part) for part in parts]
    gradients = torch.is_grad_enabled()

    def alone(part: Part, context: Context) -> Result:
        with torch.set_grad_enabled(gradients):  # belongs to a thread, as the tuned numbers in force do
            return context.run(work, part)

    try:
        with ThreadPoolExecutor(min(threads, len(parts)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alone, parts, [copy_context() for _ in parts]))
    finally:
        torch.set_num_threads(threads)  # of threads to come
