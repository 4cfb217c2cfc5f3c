# SPDX-License-Identifier: GPL-3.0-or-later
"""``blender --command closeint ...``: reconstruct, import, doctor, install, remove without a window.

For each input one line of JSON goes to stdout; sentences about problems go to stderr. Exit status: 0 done, 2 bad
usage or input, 3 something needed is missing, 130 cancelled; of several inputs, the first that failed decides.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import bpy

from closeint_core.clip import SUFFIX
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.files import check_output
from closeint_core.inputs import input_path
from closeint_core.options import OPTIONS, request_of, settings_of
from closeint_core.streams import guard_output
from closeint_core.worker.client import Job

from . import session
from .dynamic import ops, utils
from .exports import EXPORTERS, export_scene, require_exporter
from .importer.options import ImportOptions, Timing
from .operators.jobs import Terminal
from .operators.reconstruct import VIDEO_SUFFIXES
from .scene_file import fill_scene, save_scene

CANCELLED = 130
_FORMATS = ("blend", *EXPORTERS)

_handle: Any = None


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    guard_output()
    parser = _parser()
    try:
        options = parser.parse_args(list(arguments))
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    try:
        return int(options.run(options))
    except CloseintError as error:
        _complain(str(error))
        return error.exit_code
    except Cancelled:
        _complain("Cancelled.")
        return CANCELLED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender --command closeint", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("reconstruct", help="videos to clips, scenes and files for other programs")
    add.set_defaults(run=_reconstruct)
    add.add_argument("inputs", nargs="+", metavar="INPUT", help="video, folder of images, or of videos")
    _add_outputs(add)
    add.add_argument("--clip", type=Path, help="clip file to write (one input)")
    for option in OPTIONS:
        flag, said = option.flags(in_blender=True)[0], option.help.rstrip(".")
        if option.metavar:
            default = f" (default: {option.default})" if option.default else ""
            add.add_argument(flag, dest=f"given_{option.name}", metavar=option.metavar, help=said + default)
        else:
            add.add_argument(flag, dest=f"given_{option.name}", action="store_false", default=None, help=said)

    add = commands.add_parser("import", help="a clip to a scene and files for other programs")
    add.set_defaults(run=_import)
    add.add_argument("inputs", nargs="+", type=Path, metavar="CLIP", help="*.closeint.npz")
    _add_outputs(add)
    add.add_argument(
        "--footage", dest="footage_file", default="", help="video or image folder, instead of the one the clip names"
    )

    add = commands.add_parser("doctor", help="what is installed and what is missing")
    add.set_defaults(run=_doctor)
    add.add_argument("--json", action="store_true", help="one JSON object on stdout")

    add = commands.add_parser("install", help="make the worker's environment (needs --online-mode or the preference)")
    add.set_defaults(run=_install)

    add = commands.add_parser("remove", help="delete the worker's environment, its models, caches and logs")
    add.set_defaults(run=_remove)
    add.add_argument("--results", action="store_true", help="also the clips in the extension's own folder")
    return parser


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    for kind in _FORMATS:
        parser.add_argument(
            f"--{kind}", nargs="?", const="", metavar="FILE", help=f"write .{kind}; without FILE named after the input"
        )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of what has no FILE (default: beside what has)")
    parser.add_argument("--start-frame", type=int, default=1, help="scene frame of the first frame (default 1)")
    parser.add_argument(
        "--timing",
        default="clip",
        choices=[timing.lower() for timing in get_args(Timing)],
        help="clip: the scene takes the clip's rate (default); scene: the scene keeps its rate, the motion its speed; "
        "frames: a frame is a frame",
    )
    parser.add_argument(
        "--scene-fps", "--fps", dest="fps", type=_rate, help="frame rate of the scene; without --timing, --timing scene"
    )
    for name, what in (
        ("meshes", "armatures only"),
        ("camera", "no camera, and no footage"),
        ("footage", "no footage behind the camera"),
    ):
        parser.add_argument(f"--no-{name}", dest=name, action="store_false", help=what)
    parser.add_argument("--floor", action="store_true", help="also a floor that catches shadows")
    parser.add_argument("--nla", action="store_true", help="the motion in NLA strips")
    parser.add_argument(
        "--per-person",
        action="store_true",
        help="of the other programs' files one for each person, ..._p1 and ..._p2, with the bones' plain names",
    )


def _rate(text: str) -> float:
    """A frame rate that Blender can have."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 1 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate from 1 to 1000")
    return rate


def _import_options(options: argparse.Namespace) -> ImportOptions:
    names = ("start_frame", "meshes", "camera", "footage", "floor", "nla")
    keeps_rate = options.fps is not None and options.timing == "clip"
    timing: Timing = "SCENE" if keeps_rate else options.timing.upper()
    return ImportOptions(timing=timing, **{name: getattr(options, name) for name in names})


# -- commands ----------------------------------------------------------------------------------------------------


def _reconstruct(options: argparse.Namespace) -> int:
    inputs = list(_videos(options.inputs))
    if len(inputs) > 1 and (options.clip or any(getattr(options, kind) for kind in _FORMATS)):
        raise CloseintError("Several inputs do not fit into one file.", "Give --out DIR, and formats without FILE.")
    parameters = _parameters(options)
    for kind in EXPORTERS:
        if getattr(options, kind) is not None:
            require_exporter(kind)
    session.worker_python()  # said once, not for every video
    with _interruptible() as stop:
        return _each(inputs, options, lambda path, report: _one(path, options, parameters, report, stop))


def _one(
    given: str | Path, options: argparse.Namespace, parameters: dict[str, Any], report: dict[str, Any], stop: list[bool]
) -> None:
    path = input_path(given)
    outputs = _outputs(path, options)
    clip = options.clip.absolute() if options.clip else _beside(path, options, outputs, SUFFIX)
    if not path.exists():
        raise CloseintError(f"There is no file or folder {path}.", "Check the path.")
    _check_outputs({"clip": clip, **outputs}, [path], options.per_person)
    job = session.submit("reconstruct", input=str(path.absolute()), output=str(clip), **parameters)
    shown = Terminal()

    def look(job: Job) -> None:
        shown(job)
        if stop:
            session.cancel(job)

    try:
        session.worker().wait(job, look)
    finally:
        shown.end()
    report |= {"clip": str(clip), "people": job.result["people"], "frames": job.result["frames"]}
    report["warnings"] += job.warnings
    _write(clip, outputs, options, str(path), report)


def _import(options: argparse.Namespace) -> int:
    if len(options.inputs) > 1 and any(getattr(options, kind) for kind in _FORMATS):
        raise CloseintError("Several clips do not fit into one file.", "Give --out DIR, and formats without FILE.")
    if all(getattr(options, kind) is None for kind in _FORMATS):
        raise CloseintError("Nothing to write.", f"Give at least one of --{', --'.join(_FORMATS)}.")

    def one(path: Path, report: dict[str, Any]) -> None:
        report["clip"] = str(path)
        footage = str(input_path(options.footage_file)) if options.footage_file else ""
        outputs = _outputs(path, options)
        _check_outputs(outputs, [path, footage or None], options.per_person)
        _write(path, outputs, options, footage, report)

    return _each(options.inputs, options, one)


def _doctor(options: argparse.Namespace) -> int:
    job = session.submit("doctor")
    found = session.worker().wait(job)["report"]
    session.keep_report(found)
    if options.json:
        print(json.dumps(found), flush=True)
    else:
        for rows in found["sections"].values():
            for row in rows:
                mark = "ok" if row["ok"] else "NO" if row["needed"] else "--"
                print(f"{mark:3} {row['name']}: {row['detail']}")
    if not found["ok"]:
        raise CloseintError(found["problem"], found["fix"], exit_code=3)
    return 0


def _install(_options: argparse.Namespace) -> int:
    if not bpy.app.online_access:
        raise CloseintError(
            "Blender's online access is off, so nothing was downloaded.",
            "Add --online-mode in front of --command, or allow it in Preferences > System > Network.",
        )
    with contextlib.suppress(RuntimeError):  # what an operator reports as an error; the panel's message has it too
        ops.closeint.install()
    kind, text = session.worker_state()
    if kind != "ready":
        said = session.state.said.get("setup")
        raise CloseintError(said.text if said else f"{text}.", exit_code=3)
    print(text)
    return 0


def _remove(options: argparse.Namespace) -> int:
    try:
        ops.closeint.remove(results=options.results)
    except RuntimeError as error:  # what the operator reports as an error
        raise CloseintError(str(error).strip().removeprefix("Error: ")) from None
    print("Removed.")
    return 0


# -- their parts -------------------------------------------------------------------------------------------------


def _each(inputs: Sequence[str | Path], options: argparse.Namespace, work: Any) -> int:
    """Do all inputs, whatever happens to one; a JSON line for each."""
    status = 0
    for path in inputs:
        started = time.monotonic()
        report: dict[str, Any] = {"input": str(path), "ok": False, "warnings": []}
        code = 0
        try:
            work(path, report)
            report["ok"] = True
        except CloseintError as error:
            code = error.exit_code
            report |= {"error": error.message, "fix": error.fix}
            _complain(str(error))
        except Cancelled:
            code = CANCELLED
            report["error"] = "Cancelled."
        except Exception as error:  # a bug must not stop the other videos, nor hide
            code = 1
            report["error"] = f"{type(error).__name__}: {error}"
            import traceback

            traceback.print_exc()
        report |= {"exit_code": code, "seconds": round(time.monotonic() - started, 1)}
        print(json.dumps(report), flush=True)
        status = status or code
        if code == CANCELLED:
            break
    return status


def _videos(inputs: list[str]) -> Iterator[str | Path]:
    """The inputs, with the videos of a folder of videos in its place."""
    for given in inputs:
        try:
            path = input_path(given)
        except CloseintError:
            yield given  # refused in its turn, and the others done
            continue
        videos = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES) if path.is_dir() else []
        yield from videos or [path]


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    typed = {option.name: getattr(options, f"given_{option.name}") for option in OPTIONS}
    if typed["data"] is not None:
        typed["data"] = Path(typed["data"]).absolute()
    return request_of(settings_of(typed))


def _outputs(path: Path, options: argparse.Namespace) -> dict[str, Path]:
    """The file of each format that is wanted."""
    given = {kind: getattr(options, kind) for kind in _FORMATS if getattr(options, kind) is not None}
    named = {kind: Path(value).absolute() for kind, value in given.items() if value}
    return {
        kind: named.get(kind)
        or _beside(path, options, named, EXPORTERS[kind].suffix if kind in EXPORTERS else f".{kind}")
        for kind in given
    }


def _check_outputs(outputs: dict[str, Path], inputs: list[Any], per_person: bool) -> None:
    """See, before any work, that every file may be written.

    Raises:
        CloseintError: one may not, or two are the same.
    """
    for kind, path in outputs.items():
        check_output(path, kind, inputs)
        if per_person and kind in EXPORTERS:
            for person in (1, 2):
                check_output(path.with_name(f"{path.stem}_p{person}{path.suffix}"), kind, inputs)
    if len({os.path.realpath(path) for path in outputs.values()}) < len(outputs):
        raise CloseintError("Two of the outputs have the same name.", "Give each a name of its own.")


def _beside(path: Path, options: argparse.Namespace, named: dict[str, Path], suffix: str) -> Path:
    """A file of that suffix: in --out, or beside a file that is named, or in the current folder."""
    model = next(iter(named.values()), None)
    name = path.name.removesuffix(SUFFIX).removesuffix(".npz")
    stem = Path(name).stem if Path(name).suffix.lower() in VIDEO_SUFFIXES else name
    if options.out:
        result: Path = options.out.absolute() / f"{stem}{suffix}"
        return result
    return model.parent / f"{model.stem}{suffix}" if model else Path.cwd() / f"{stem}{suffix}"


def _write(
    clip: Path, outputs: dict[str, Path], options: argparse.Namespace, footage: str, report: dict[str, Any]
) -> None:
    """The files of one clip, by way of an empty scene."""
    if not outputs:
        return
    # Preferences and extensions stay, which read_factory_settings would drop.
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    report["warnings"] += fill_scene(clip, footage, _import_options(options), options.fps).warnings
    for kind, path in outputs.items():
        if kind == "blend":
            save_scene(path)
        else:
            files = [str(file) for file in export_scene(path, kind, each=options.per_person)]
            report[kind] = files if options.per_person else files[0]
            continue
        report[kind] = str(path)


@contextlib.contextmanager
def _interruptible() -> Iterator[list[bool]]:
    """Ctrl-C inside the block puts an item into the list, instead of ending Blender in the middle of a file."""
    stop: list[bool] = []
    try:
        before = signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    except ValueError:  # not in the main thread
        yield stop
        return
    try:
        yield stop
    finally:
        # None: Blender's own handler, in C, which cannot be put back; the process ends after this anyway.
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _complain(text: str) -> None:
    print(f"closeint: {text}", file=sys.stderr, flush=True)


def _command(arguments: list[str]) -> int:
    try:
        return main(arguments)
    finally:
        session.close()


def register() -> None:
    global _handle
    _handle = utils.register_cli_command("closeint", _command)


def unregister() -> None:
    utils.unregister_cli_command(_handle)
