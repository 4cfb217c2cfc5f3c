# SPDX-License-Identifier: Apache-2.0
"""The ``closeint`` command."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from closeint_core import __version__
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.evaluation.command import bench, evaluate
from closeint_core.files import output_path
from closeint_core.inputs import input_path
from closeint_core.options import BY_NAME, settings_of
from closeint_core.streams import guard_output, say
from closeint_core.terminal import Json, TerminalProgress, errors, json_is_out, plain, print_json, show, table
from closeint_core.training.command import train

_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""Of click, which typer brings along in some versions and needs in others."""


class _Commands(TyperGroup):
    """Says what to do about a file whose name begins with a dash: it is taken for an option."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named."""
        try:
            return super().invoke(ctx)
        except _UsageError:
            before = itertools.takewhile(lambda argument: argument != "--", sys.argv[1:])
            name = next((text for text in before if text.startswith("-") and os.path.exists(text)), None)
            if name is None:
                raise
            raise CloseintError(
                f"The name {name} begins with a dash, so it is taken for an option.",
                f"Write ./{name}, or -- before all that are no options.",
            ) from None


app = typer.Typer(
    name="closeint",
    cls=_Commands,
    help="Two people in close interaction: from an ordinary video to rigged, skinned characters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
CANCELLED = 130


def _option(name: str) -> Any:
    """An option of the table, as a text that ``settings_of`` reads."""
    option = BY_NAME[name]
    return typer.Option(*option.flags(), help=option.help, metavar=option.metavar)


ClipPath = Annotated[Path, typer.Argument(parser=input_path, metavar="CLIP", help="A *.closeint.npz file.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        parser=input_path,
        metavar="DIR",
        help="Folder of licensed models, searched first; then $CLOSEINT_DATA and the places that doctor names.",
    ),
]
ClipBody = Annotated[
    str | None,
    typer.Option(
        "--body",
        help="Another body than the clip's: default, smpl-neutral, smpl-male, smpl-female, or a file. Its mean shape "
        "then stands in.",
    ),
]


@app.command()
def reconstruct(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A video, or a folder of images.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=output_path, metavar="CLIP", help="The clip file to write.")
    ],
    people: Annotated[str, _option("people")] = "auto",
    focal: Annotated[str | None, _option("focal")] = None,
    model: Annotated[str, _option("model")] = "default",
    body: Annotated[str, _option("body")] = "default",
    quality: Annotated[str, _option("quality")] = "standard",
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help=BY_NAME["refine"].help)] = True,
    device: Annotated[str, _option("device")] = "auto",
    frames: Annotated[str | None, _option("frames")] = None,
    fps: Annotated[str | None, _option("fps")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Reconstruct the people of a video into a clip file."""
    from closeint_core.files import check_output

    check_output(output, "clip", [source])
    typed = {"people": people, "focal": focal, "model": model, "body": body, "quality": quality, "refine": refine}
    settings = settings_of({**typed, "device": device, "frames": frames, "fps": fps, "data": data})
    from closeint_core.reconstruction.pipeline import reconstruct as run

    with TerminalProgress() as progress:
        clip = run(source, settings, progress)
    clip.save(output)
    if as_json:
        print_json({"clip": str(output), "warnings": progress.warnings, **clip.metadata})
    else:
        show(table(str(output), clip.metadata["quality"]))


@app.command()
def metrics(
    path: ClipPath,
    truth: Annotated[
        Path | None, typer.Option(parser=input_path, metavar="CLIP", help="A clip of the true motion to compare with.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=output_path,
            metavar="PNG",
            help="Also draw penetration, contacts and foot skate over time into this picture.",
        ),
    ] = None,
    body: ClipBody = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Measure a clip: reprojection, penetration, contacts, floor, foot skate, and the error against a known truth."""
    from closeint_core.body.choice import clip_and_body
    from closeint_core.clip import InteractionClip
    from closeint_core.evaluation.compare import compare_clips
    from closeint_core.evaluation.plot import plot_measures, require_picture
    from closeint_core.files import check_output
    from closeint_core.metrics.quality import clip_quality, measure_clip

    if plot is not None:
        require_picture(plot)
        check_output(plot, "picture", [path, truth])
    clip, model = clip_and_body(InteractionClip.load(path), body, data, TerminalProgress().warn)
    measures = measure_clip(clip, model)
    result = clip_quality(clip, model, measures)
    if plot is not None:
        plot_measures(clip, measures, plot, path.name)
    if truth is not None:
        result["truth"] = compare_clips(clip, InteractionClip.load(truth), data)
    if as_json:
        print_json(result)
        return
    against, touching = result.pop("truth", None), result.pop("touching_parts", None)
    result.pop("penetration_mm")  # a number for every frame is for programs
    show(table(str(path), result))
    if touching:
        show(table("touching, frames", touching))
    if against is not None:
        show(table(f"against {truth}", against))


@app.command()
def refine(
    path: ClipPath,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", parser=output_path, metavar="CLIP", help="Where to write the refined clip."),
    ],
    shape: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=10.0,
            help="How far off the shape coefficients may be, 0.25 for another program's guess: then one shape a person "
            "is found from all keypoints and standing feet. 0 keeps the clip's.",
        ),
    ] = 0.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    body: ClipBody = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take people out of each other, close their contacts and plant their feet, with little else changed."""
    from closeint_core.clip import InteractionClip
    from closeint_core.files import check_output

    check_output(output, "clip", [path])
    from closeint_core.body.choice import clip_and_body
    from closeint_core.body.torch_body import TorchBody
    from closeint_core.reconstruction.reference import torch_device
    from closeint_core.solver.phases import RefineOptions
    from closeint_core.solver.phases import refine as refine_clip

    device = torch_device(device)
    with TerminalProgress() as progress:
        clip, model = clip_and_body(InteractionClip.load(path), body, data, progress.warn)
        result = refine_clip(clip, RefineOptions(shape=shape), progress, data, TorchBody(model), device)
    result.save(output)
    if as_json:
        print_json({"clip": str(output), "warnings": progress.warnings, **result.metadata["refinement"]})
    else:
        say(f"Wrote {output}")


@app.command()
def doctor(data: Data = None, as_json: Json = False) -> None:
    """Say what is installed, which models are there, and what is missing."""
    from closeint_core.doctor import examine

    report = examine(data)
    if as_json:
        print_json(report)
    else:
        for title, rows in report["sections"].items():
            shown = Table(title=title, show_header=False, title_justify="left")
            for row in rows:
                mark = (
                    "[green]ok[/green]" if row["ok"] else ("[red]no[/red]" if row["needed"] else "[yellow]--[/yellow]")
                )
                shown.add_row(mark, plain(row["name"]), plain(row["detail"]))
            show(shown)
    if not report["ok"]:
        raise CloseintError(report["problem"], report["fix"], exit_code=3)


@app.command()
def preview(
    path: ClipPath,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", parser=output_path, metavar="DIR", help="Folder of preview.mp4 and preview.png."
        ),
    ],
    footage: Annotated[str | None, typer.Option(help="The video, if it is not where the clip says.")] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Draw what was seen: joints with how sure they are, and touches.")
    ] = False,
    body: ClipBody = None,
    data: Data = None,
) -> None:
    """Draw a clip over its footage and from the side: a video and a sheet of four frames."""
    from closeint_core.body.choice import clip_and_body
    from closeint_core.clip import InteractionClip
    from closeint_core.files import check_output
    from closeint_core.preview.preview import write_preview

    clip = InteractionClip.load(path)
    source = footage or clip.video or None
    for name, kind in (("preview.mp4", "video"), ("preview.png", "picture")):
        check_output(output / name, kind, [path, source])
    with TerminalProgress() as progress:
        clip, model = clip_and_body(clip, body, data, progress.warn)
        write_preview(clip, output / "preview.mp4", output / "preview.png", source, progress, model, evidence=evidence)


@app.command()
def export(
    path: ClipPath,
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=output_path, metavar="PATH", help="File or folder to write.")
    ],
    kind: Annotated[str, typer.Option("--format", help="amass, closeint-pkl, joints or obj.")],
    body: ClipBody = None,
    data: Data = None,
) -> None:
    """Write a clip in the files of other tools."""
    from closeint_core.body.choice import clip_and_body
    from closeint_core.clip import InteractionClip
    from closeint_core.exchange.export import check_export, export_clip

    clip = InteractionClip.load(path)
    check_export(clip, output, kind, [path])
    with TerminalProgress() as progress:
        model = None
        if body is not None or kind != "amass":  # AMASS files are the clip's own numbers
            clip, model = clip_and_body(clip, body, data, progress.warn)
        written = export_clip(clip, output, kind, progress, model)
    for item in written:
        say(str(item))


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(parser=input_path, metavar="FILE...", help="AMASS-style npz files, or a result folder."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=output_path, metavar="CLIP", help="The clip file to write.")
    ],
    body: Annotated[str | None, typer.Option(help="Body the parameters belong to, if the files do not say.")] = None,
    fps: Annotated[float, typer.Option(help="Frame rate of a result folder, which does not say it.")] = 30.0,
    data: Data = None,
) -> None:
    """Make a clip of AMASS-style npz files (one a person) or of the reference's per-frame pickles."""
    from closeint_core.body.load import load_body
    from closeint_core.exchange.load import import_files
    from closeint_core.files import check_output

    check_output(output, "clip", paths)
    model = load_body(body, data) if body is not None else None
    import_files(list(paths), body=model, fps=fps, data=data).save(output)
    say(str(output))


@app.command()
def sample(
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=output_path, metavar="CLIP", help="The clip file to write.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Another number, another interaction.")] = 0,
    body: Annotated[str, typer.Option(help="default, smpl-neutral, smpl-male, smpl-female, or a file.")] = "default",
    data: Data = None,
) -> None:
    """Make up an interaction of two people, less than a second long, from the bundled prior."""
    from closeint_core.body.load import load_body
    from closeint_core.exchange.sampled import sampled_clip
    from closeint_core.files import check_output

    check_output(output, "clip")
    sampled_clip(seed, load_body(body, data)).save(output)
    say(str(output))


@app.command("draw", hidden=True)
@functools.wraps(sample)
def draw(**given: Any) -> None:
    """The former name of ``sample``."""
    print("closeint draw is now called closeint sample.", file=sys.stderr)
    sample(**given)


app.command()(bench)
app.command("eval")(evaluate)
app.command()(train)


def _version(value: bool) -> None:
    if value:
        say(f"closeint {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(action: Callable[[], object], arguments: Sequence[str] = ()) -> int:
    """Run a command; problems become one sentence on stderr and an exit status (DESIGN 3.2).

    With ``--json`` they become the one object on stdout as well: ``error``, ``fix``, ``exit_code``.

    Args:
        action: gives an exit status, or anything else for 0.
        arguments: the command's, without the program's name.
    """
    guard_output()
    json_is_out(forget=True)
    try:
        status = action()
        if status == CANCELLED:  # typer takes Ctrl-C and says nothing
            raise KeyboardInterrupt
        return status if isinstance(status, int) and not isinstance(status, bool) else 0
    except CloseintError as error:
        return _complain(error, arguments)
    except (KeyboardInterrupt, Cancelled, typer.Abort) as stop:
        return _complain(CloseintError(str(stop) or "Cancelled; nothing was written.", exit_code=CANCELLED), arguments)
    except _UsageError as error:
        message = str(error.format_message())  # type: ignore[attr-defined]
        if len(message.splitlines()) > 1:  # nothing was asked for: the help
            errors.print(message, markup=False)
            return 2
        return _complain(CloseintError(_sentence(message), "See --help."), arguments)


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + "."


def _complain(error: CloseintError, arguments: Sequence[str]) -> int:
    colour = "" if error.exit_code == CANCELLED else "[red]Error:[/red] "
    errors.print(f"{colour}{plain(' '.join(str(error).splitlines()))}")
    if "--json" in arguments and not json_is_out():
        print_json({"error": error.message, "fix": error.fix, "exit_code": error.exit_code})
    return error.exit_code


def main() -> None:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    sys.exit(run(lambda: app(arguments, prog_name="closeint", standalone_mode=False), arguments))


if __name__ == "__main__":
    main()
