# SPDX-License-Identifier: Apache-2.0
"""The optimiser of everything that starts near its goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor


def minimise(
    variables: list[Tensor], energy: Callable[[], Tensor], iterations: int, history: int, tick: Callable[[int], None]
) -> None:
    """L-BFGS with a line search, in place.

    It never leaves a good place, which Adam's first steps do: bodies in contact are a stiff problem, and most of the
    unknowns are where they should be already.

    Args:
        variables: what to change. energy: to be lowered. iterations: evaluations at the most.
        history: steps remembered. tick: told the number of evaluations so far; may raise to stop.
    """
    for variable in variables:
        variable.requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        variables, max_iter=iterations, max_eval=iterations, history_size=history, line_search_fn="strong_wolfe"
    )
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        tick(min(calls, iterations))
        optimiser.zero_grad(set_to_none=True)
        value = energy()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    try:
        optimiser.step(cast(Callable[[], float], closure))  # type: ignore[no-untyped-call]
    finally:
        for variable in variables:
            variable.requires_grad_(False)
            variable.grad = None
