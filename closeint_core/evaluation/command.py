# SPDX-License-Identifier: Apache-2.0
"""``closeint bench`` and ``closeint eval``; the work is in ``bench``, ``annotated`` and ``eval_report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from closeint_core.errors import CloseintError
from closeint_core.files import output_path
from closeint_core.inputs import input_path
from closeint_core.settings import check_device
from closeint_core.streams import say
from closeint_core.terminal import Json, TerminalProgress, print_json


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
    seed: Annotated[int, typer.Option(min=0, help="Other clips.")] = 0,
    out: Annotated[
        Path, typer.Option(parser=output_path, metavar="DIR", help="Results; a run stopped there goes on.")
    ] = Path("bench"),
    rendered: Annotated[
        Path | None,
        typer.Option(parser=input_path, metavar="FOLDER", help="Films with their truth, in place of simulated clips."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(parser=input_path, metavar="FILE", help="A denoiser in place of the bundled one.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep every reconstructed clip.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the methods on interactions that no training has seen: simulated observations, or rendered films."""
    from closeint_core.evaluation.bench import BenchOptions, run_bench
    from closeint_core.evaluation.bench_summary import as_text

    if jobs < 1:
        raise CloseintError(f"--jobs {jobs} is not positive.", "Give the number of processes.")
    chosen = tuple(part.strip() for part in methods.split(",") if part.strip())
    options = BenchOptions(chosen, count, frames, jobs, seed, rendered, keep, checkpoint)
    with TerminalProgress() as progress:
        result = run_bench(options, out, progress)
    if as_json:
        print_json({key: value for key, value in result.items() if key != "records"})
    else:
        say(as_text(result))


def evaluate(
    data: Annotated[Path, typer.Option("--data", parser=input_path, metavar="DIR", help="The published data folder.")],
    checkpoint: Annotated[
        Path, typer.Option(parser=input_path, metavar="FILE", help="A denoiser, published or our own.")
    ],
    protocol: Annotated[str, typer.Option(help="default, or reference: the published quirks.")] = "default",
    name: Annotated[str, typer.Option(help="The data set's folder.")] = "Hi4D",
    body: Annotated[str | None, typer.Option(help="Body of the checkpoint (default: smpl-neutral).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[
        Path, typer.Option(parser=output_path, metavar="DIR", help="Where eval.json and eval.html go.")
    ] = Path("eval"),
    as_json: Json = False,
) -> None:
    """Evaluate a checkpoint on annotated interactions: every metric of the papers, as JSON and as a page."""
    from closeint_core.evaluation.annotated import METRICS, EvalOptions
    from closeint_core.evaluation.annotated import evaluate as run
    from closeint_core.evaluation.eval_report import write_report
    from closeint_core.files import check_output

    check_device(device)
    for file, kind in (("eval.json", "json"), ("eval.html", "page")):
        check_output(out / file, kind, [data, checkpoint])
    with TerminalProgress() as progress:
        found = run(EvalOptions(data, checkpoint, protocol, name, body, device), progress)
    numbers, page = write_report(found, out)
    if as_json:
        print_json({**found.summary, "report": str(page)})
        return
    for metric, heading in METRICS.items():
        value = found.summary["metrics"][metric]
        say(f"{heading:12} {'-' if value is None else f'{value:.2f}'}")
    say(f"Wrote {numbers} and {page}")
