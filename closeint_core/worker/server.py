# SPDX-License-Identifier: Apache-2.0
"""The worker's commands: ``reconstruct``, ``refine``, ``detect`` and ``doctor``.

What a request carries beside ``id`` and ``command`` is in each handler's docstring. Paths are absolute.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import closeint_core
from closeint_core.errors import CloseintError
from closeint_core.files import check_output
from closeint_core.inputs import input_path
from closeint_core.options import settings_of_request
from closeint_core.progress import Progress
from closeint_core.settings import Settings, check_device, check_settings, refusal
from closeint_core.worker.service import Handler

Request = dict[str, Any]


def hello() -> dict[str, Any]:
    """Version and device; loads torch, so that the first request need not."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {"version": closeint_core.__version__, "device": device}


def reconstruct(request: Request, progress: Progress) -> dict[str, Any]:
    """From a video to a clip.

    Request: ``input``, ``output``; optional ``people`` ([i, j], or {"frame", "boxes"} as ``detect`` gives them),
    ``focal`` (pixels) or ``focal_mm`` with ``sensor_mm`` (along the picture's longer side), ``frames`` ([A, B], B
    excluded, either null), ``fps``, ``body``, ``device``, ``data``, ``quality``, ``refine``, ``model``.
    Result: ``path``, ``people``, ``frames``, ``fps``, ``seconds``, ``quality``, ``warnings``.
    """
    from closeint_core.reconstruction.pipeline import reconstruct as run

    source, output = _input(request), _path(request, "output")
    check_output(output, "clip", [source])
    settings = _settings(request, source)
    try:
        clip = run(source, settings, progress)
    except (CloseintError, OSError) as error:
        raise _explained(error, source) from error
    clip.save(output)
    return {
        "path": str(output),
        "people": clip.people,
        "frames": clip.frames,
        "fps": clip.fps,
        "seconds": clip.metadata.get("seconds"),
        "quality": clip.metadata.get("quality"),
        "warnings": list(progress.warnings),
    }


def refine(request: Request, progress: Progress) -> dict[str, Any]:
    """Solve a clip again around the user's corrections.

    Request: ``clip``, ``corrections`` (path of a JSON file), ``output``; optional ``data`` and ``settings``, an object
    with fields of ``corrections.RefineSettings``.
    Result: ``path``, ``people``, ``frames``, ``warnings``.
    """
    from closeint_core.clip import InteractionClip

    try:
        from closeint_core import corrections
        from closeint_core.solver.solve import refine_around
    except ImportError as error:
        raise CloseintError("This version of the worker cannot refine.", "Press Repair.", exit_code=3) from error
    output = _path(request, "output")
    check_output(output, "clip", [_path(request, "clip"), _path(request, "corrections")])
    clip = InteractionClip.load(_path(request, "clip"))
    pins = corrections.Corrections.load(_path(request, "corrections"))
    chosen = request.get("settings") or {}
    if not isinstance(chosen, dict):
        raise CloseintError("The settings of the refinement are no object.")
    settings = corrections.RefineSettings.from_json({"data": _data(request), **chosen})
    refined = refine_around(clip, pins, settings, progress)
    refined.save(output)
    return {
        "path": str(output),
        "people": refined.people,
        "frames": refined.frames,
        "warnings": list(progress.warnings),
    }


def detect(request: Request, progress: Progress) -> dict[str, Any]:
    """The people in one frame, for a picker.

    Request: ``input``, ``output`` (PNG to write); optional ``frame`` (index; null: one with many people), ``device``.
    Result: ``path``, ``frame``, ``frame_count``, ``image_size``, ``people``: [{"box": xyxy, "score"}] in the order of
    their numbers in the picture, from left to right; ``suggested``: numbers of the likely pair.
    """
    from closeint_core.worker.detect import detect_people

    source, output = _input(request), _path(request, "output")
    check_output(output, "picture", [source])
    frame, device = request.get("frame"), request.get("device") or "auto"
    if frame is not None and (isinstance(frame, bool) or not isinstance(frame, int) or frame < 0):
        raise CloseintError(f"The frame {frame!r} is not a whole number from 0.", "Choose a frame of the video.")
    check_device(device)
    try:
        return detect_people(source, output, frame, device, progress)
    except (CloseintError, OSError) as error:
        raise _explained(error, source) from error


def doctor(request: Request, progress: Progress) -> dict[str, Any]:
    """What is installed and what is missing. Request: optional ``data``. Result: ``report``."""
    from closeint_core.doctor import examine

    progress.update("examining", 0, 1)
    data = _data(request)
    return {"report": examine(Path(data) if data else None)}


HANDLERS: dict[str, Handler] = {"reconstruct": reconstruct, "refine": refine, "detect": detect, "doctor": doctor}


def _path(request: Request, name: str) -> Path:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise CloseintError(f"The request {request['command']} needs a path {name!r}.")
    return Path(value)


def _data(request: Request) -> str | None:
    """The folder of licensed models, None for none."""
    value = request.get("data")
    if value is not None and not isinstance(value, str):
        raise refusal("data", value)
    return value or None


def _input(request: Request) -> Path:
    _path(request, "input")
    return input_path(request["input"])


def _settings(request: Request, source: Path) -> Settings:
    """``Settings`` of a request.

    Raises:
        CloseintError: a value is not possible.
    """
    settings = settings_of_request(request)
    if request.get("focal_mm"):
        settings = replace(settings, focal=_focal_in_pixels(source, request["focal_mm"], request.get("sensor_mm")))
        check_settings(settings)
    return settings


def _focal_in_pixels(source: Path, focal_mm: Any, sensor_mm: Any) -> float:
    from closeint_core.video.source import open_source

    try:
        focal, sensor = float(focal_mm), float(sensor_mm)
        possible = focal > 0 and sensor > 0
    except (TypeError, ValueError, OverflowError):
        possible = False
    if not possible:
        raise CloseintError(f"A lens of {focal_mm} mm on {sensor_mm} mm is not possible.", "Give positive lengths.")
    return focal / sensor * max(open_source(source).image_size)


def _explained(error: CloseintError | OSError, source: Path) -> Exception:
    """A better sentence where the footage or the disk is the reason; the error itself otherwise."""
    if not source.exists():
        return CloseintError(f"There is no {source} (any more).", "Put the video back, or choose it again.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CloseintError("The disk is full.", "Free some space.")
    return error
