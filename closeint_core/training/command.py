# SPDX-License-Identifier: Apache-2.0
"""``closeint train``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from closeint_core.files import output_path
from closeint_core.inputs import input_path


def train(
    config: Annotated[
        Path | None,
        typer.Option("--config", parser=input_path, metavar="FILE", help="A YAML file; or denoiser, prior or eyes."),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="In place of --config: denoiser, prior or eyes.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", parser=output_path, metavar="DIR", help="In place of 'output'.")
    ] = None,
    motions: Annotated[
        Path | None,
        typer.Option(
            "--motions",
            parser=input_path,
            metavar="DIR",
            help="Recorded single-person motion, in place of 'data: motions'.",
        ),
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option(metavar="S", help="Stop with a checkpoint after so many seconds.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what the output folder holds.")] = False,
) -> None:
    """Train the denoiser, the prior or the eyes. The same command goes on where a run was cut.

    On several GPUs: torchrun --nproc-per-node=N -m closeint_core train --config FILE
    """
    from closeint_core.errors import CloseintError
    from closeint_core.training.config import NETWORKS, read_config
    from closeint_core.training.runs import train as run

    if (config is None) == (task is None):
        raise CloseintError("Say what to train: --config or --task, and not both.", "Try closeint train --help.")
    if task is not None and task not in NETWORKS:
        raise CloseintError(f"There is no task {task!r}.", f"Use one of {', '.join(NETWORKS)}.")
    path = config if config is not None else Path(str(task))
    if task is not None or (not path.exists() and path.name == str(path) and not path.suffix):
        path = Path(__file__).parent / "configs" / f"{path}.yaml"
    changes: dict[str, Any] = {}
    if output is not None:
        changes["output"] = str(output)
    if time_budget is not None:
        changes["time_budget"] = time_budget

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    settings = read_config(path, say if int(os.environ.get("RANK", 0)) == 0 else None, **changes)
    if motions is not None:
        settings = replace(settings, data=replace(settings.data, motions=str(motions)))
    run(settings, say, restart)
