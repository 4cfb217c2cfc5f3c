# SPDX-License-Identifier: Apache-2.0
"""One step's forward and backward pass: as PyTorch runs it, or recorded once and replayed as a CUDA graph.

A step of the denoiser is a few thousand small kernels. If the host starts them one by one, the GPU waits most of the
time; as a graph they are started at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

Result = tuple[Tensor, dict[str, Tensor]]
_WARM_UP = 3  # passes before the recording, in which libraries choose their kernels and take their memory


class Passes:
    """Passes run one by one; gradients are left in the parameters.

    Args:
        objective: maps a step's inputs to the loss () and its terms; in several processes wrapped so that their
            gradients meet.
    """

    def __init__(self, objective: nn.Module, parameters: Sequence[Tensor]) -> None:
        self._objective, self._parameters = objective, parameters

    def __call__(self, inputs: tuple[Any, ...]) -> Result:
        """The loss and its terms; the gradients are in the parameters."""
        for parameter in self._parameters:
            parameter.grad = None
        loss, terms = self._objective(*inputs)
        loss.backward()
        return loss, terms


class RecordedPasses:
    """The same passes as one CUDA graph. Inputs must have the same shapes in every step.

    All gradients lie in one piece of memory, so that processes exchange them at once.

    Args:
        objective: the unwrapped one. It must neither wait for the device nor draw random numbers.
        world: processes that train together.
    """

    def __init__(self, objective: nn.Module, parameters: Sequence[Tensor], world: int) -> None:
        self._objective, self._world = objective, world
        self._gradients = parameters[0].new_zeros(sum(p.numel() for p in parameters))
        parts = self._gradients.split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
            if world > 1:
                torch.distributed.broadcast(parameter.detach(), 0)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Any, ...] = ()
        self._result: Result

    def __call__(self, inputs: tuple[Any, ...]) -> Result:
        """The loss and its terms, valid until the next call; the gradients are in the parameters."""
        if self._graph is None:
            self._record(inputs)
        else:
            torch._foreach_copy_(list(tensors_in(self._inputs)), list(tensors_in(inputs)))
        assert self._graph is not None
        self._graph.replay()
        if self._world > 1:
            torch.distributed.all_reduce(self._gradients)
            self._gradients.div_(self._world)
        return self._result

    def _record(self, inputs: tuple[Any, ...]) -> None:
        self._inputs = copied(inputs)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UP):
                self._pass()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # Others (the planners of the next interactions) may talk to the device meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._result = self._pass()
        self._graph = graph

    def _pass(self) -> Result:
        self._gradients.zero_()
        loss, terms = self._objective(*self._inputs)
        loss.backward()
        return loss.detach(), {name: value.detach() for name, value in terms.items()}


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """All tensors of nested tuples and dataclasses, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple):
        for part in tree:
            yield from tensors_in(part)
    elif is_dataclass(tree):
        for f in fields(tree):
            yield from tensors_in(getattr(tree, f.name))


def copied(tree: Any) -> Any:
    """Nested tuples and dataclasses with tensors of their own."""
    if isinstance(tree, Tensor):
        return tree.clone(memory_format=torch.contiguous_format)
    if isinstance(tree, tuple):
        return tuple(copied(part) for part in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(tree, **{f.name: copied(getattr(tree, f.name)) for f in fields(tree)})
    return tree
