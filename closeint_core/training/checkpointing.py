# SPDX-License-Identifier: Apache-2.0
"""The state of a run on disk: written whole or not at all, read without running anything in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from closeint_core.denoiser.checkpoint import read_torch_file
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.training.config import SAME_ON_RESUMING, TrainingConfig, to_dict

FORMAT = "closeint-training/1"


@dataclass
class RunState:
    """Everything that a run needs to go on. Random numbers are functions of seed, rank and step (``schedule``).

    Attributes:
        stage: name of what is trained. step: steps done. seconds: spent so far, over all its parts.
        network, average: state dictionaries of the weights and of their moving average. optimizer: its state.
        sums: sums of the losses since the last line of the log. counted: steps in them.
        config: of the run (``config.to_dict``).
    """

    stage: str
    step: int
    seconds: float
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    sums: dict[str, Tensor]
    counted: int
    config: dict[str, Any]


def save_state(state: RunState, path: Path) -> None:
    """Write a checkpoint."""
    content = {"format": FORMAT} | {name: getattr(state, name) for name in state.__dataclass_fields__}
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load_state(path: Path, config: TrainingConfig, stage: str) -> RunState | None:
    """Read a checkpoint of this run, tensors on the CPU; None if there is none yet.

    Raises:
        CloseintError: damaged, or of a run with other settings; the setting is named.
    """
    if not path.exists():
        return None
    content = read_torch_file(path)
    names = list(RunState.__dataclass_fields__)
    if content.get("format") != FORMAT or any(name not in content for name in names):
        raise CloseintError(f"{path} is no checkpoint of a training run.", "Choose another output folder.")
    state = RunState(**{name: content[name] for name in names})
    if state.stage != stage:
        raise CloseintError(
            f"{path} is of training the {state.stage}, not the {stage}.", "Choose another output folder."
        )
    now = to_dict(config)
    # A setting that there was not yet when the run began was as it is by default.
    before = _over(to_dict(TrainingConfig(config.what, config.output)), state.config)
    for key in sorted(SAME_ON_RESUMING):
        different = _first_difference(before[key], now[key], key)
        if different:
            raise CloseintError(
                f"The run in {path.parent} began with {different}.",
                "Use the same configuration to go on, another output folder, or --restart.",
            )
    return state


def _over(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values, with defaults where they lack one."""
    merged = dict(defaults)
    for key, value in values.items():
        both = isinstance(value, dict) and isinstance(defaults.get(key), dict)
        merged[key] = _over(defaults[key], value) if both else value
    return merged


def _first_difference(before: Any, now: Any, where: str) -> str | None:
    """For instance ``batch = 32, which is now 64``."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            found = _first_difference(before.get(key), now.get(key), f"{where}.{key}")
            if found:
                return found
        return None
    return None if before == now else f"{where} = {before!r}, which is now {now!r}"
