# SPDX-License-Identifier: Apache-2.0
"""The commands ``closeint bench`` and ``closeint eval``; the work is in ``bench`` and ``annotated``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from closeint_core.errors import CloseintError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def bench(
    methods: Annotated[
        str,
        typer.Option(
            help="a: per-person fit, b: pair fit, b+: refined, c: network without the other person, d: network, "
            "e: d + refinement."
        ),
    ] = "a,b,c,d,e",
    count: Annotated[int, typer.Option(help="Simulated clips.")] = 24,
    frames: Annotated[int, typer.Option(help="Frames of a simulated clip.")] = 32,
    jobs: Annotated[int, typer.Option(help="Clips at a time, one thread each.")] = 1,
    seed: Annotated[int, typer.Option(help="Other clips.")] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Results; a run stopped there goes on.")] = Path("bench"),
    rendered: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Films with their truth, in place of simulated clips.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A denoiser in place of the bundled one.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep every reconstructed clip.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the methods on interactions that no training has seen: simulated observations, or rendered films."""
    from closeint_core.cli import TerminalProgress
    from closeint_core.evaluation.bench import BenchOptions, run_bench
    from closeint_core.evaluation.bench_summary import as_text

    if jobs < 1:
        raise CloseintError(f"--jobs {jobs} is not positive.", "Give the number of processes.")
    chosen = tuple(part.strip() for part in methods.split(",") if part.strip())
    options = BenchOptions(chosen, count, frames, jobs, seed, rendered, keep, checkpoint)
    with TerminalProgress() as progress:
        result = run_bench(options, out, progress)
    if as_json:
        print(json.dumps({key: value for key, value in result.items() if key != "records"}, ensure_ascii=False))
    else:
        Console(soft_wrap=True, highlight=False, markup=False).print(as_text(result))
