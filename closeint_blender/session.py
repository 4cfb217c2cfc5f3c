# SPDX-License-Identifier: GPL-3.0-or-later
"""What this Blender has running: the worker, the installer, their jobs, and what they last said.

One of each per Blender process, however many windows it has. None of this is scene data, so that undo and loading
another file leave it alone.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import bpy

import closeint_core
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.worker import platforms
from closeint_core.worker.client import Job, WorkerClient
from closeint_core.worker.environment import Environment, delete

from .dynamic import app_context
from .history import Entry, History
from .preferences import PACKAGE, preferences

USER_FOLDER_VARIABLE = "CLOSEINT_BLENDER_HOME"
"""Environment variable that names another folder for the worker's environment, logs and results."""

_KEPT_LOGS = 10


@dataclass
class Said:
    """Something for the user, shown in the panel until the next thing."""

    level: Literal["INFO", "WARNING", "ERROR"]
    text: str


@dataclass
class Detection:
    """The people found in a frame of a video, for the picker."""

    video: str
    frame: int
    frame_count: int
    picture: str
    boxes: list[list[float]]
    suggested: list[int]


@dataclass
class _State:
    worker: WorkerClient | None = None
    worker_python: str = ""
    installer: WorkerClient | None = None
    polled_at: float = 0.0
    watched: set[int] = field(default_factory=set)
    unwatched: list[Job] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)
    detection: Detection | None = None
    report: dict[str, Any] | None = None
    report_read: bool = False
    history: History | None = None
    started: dict[int, float] = field(default_factory=dict)


state = _State()


# -- places ------------------------------------------------------------------------------------------------------


def user_folder() -> Path:
    """The extension's own folder, which stays when the extension is updated; made when missing."""
    given = os.environ.get(USER_FOLDER_VARIABLE)
    if given:
        path = Path(given)
        path.mkdir(parents=True, exist_ok=True)
        return path
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, path="", create=True))
    except ValueError:  # not installed as an extension
        return Path(bpy.utils.user_resource("DATAFILES", path="closeint", create=True))


def environment() -> Environment:
    """The worker's environment that Install makes, where Windows takes paths as long as it has."""
    if os.environ.get(USER_FOLDER_VARIABLE):
        return Environment(user_folder() / "worker")
    series = "{}.{}".format(*bpy.app.version)
    long_paths = platforms.long_paths_enabled(sys.platform)
    return Environment(Path(platforms.worker_folder(user_folder(), sys.platform, os.environ, long_paths, series)))


def removable(results: bool) -> list[str]:
    """Names in the user folder of what Remove deletes beside the environment; results only if asked for."""
    folder = user_folder()
    names = ["thumbnails", "doctor.json", *(["results", "history.json"] if results else [])]
    found = [name for name in names if (folder / name).exists()]
    return found + sorted(path.name for path in folder.glob("refine-*"))


def forget() -> None:
    """After Remove: the installer's own log goes last, and what this Blender remembers of results and reports with it.

    Raises:
        CloseintError: the logs cannot be deleted.
    """
    if state.installer is not None:
        state.installer.close(grace=2.0)
        state.installer = None
    state.history, state.report, state.report_read, state.detection = None, None, True, None
    delete(log_folder())


def log_folder() -> Path:
    """Where the worker's and the installer's logs are."""
    return user_folder() / "logs"


def bundled_wheel() -> Path | None:
    """The extension's own wheel of closeint_core."""
    return next(iter(sorted((Path(__file__).resolve().parent / "wheels").glob("closeint_core-*.whl"))), None)


def sample_video() -> Path:
    """The bundled sample."""
    return Path(closeint_core.__file__).resolve().parent / "samples" / "greeting.mp4"


def history() -> History:
    """Past results."""
    if state.history is None:
        state.history = History(user_folder() / "history.json")
    return state.history


# -- the worker --------------------------------------------------------------------------------------------------


def worker_state() -> tuple[Literal["ready", "missing", "broken", "outdated"], str]:
    """Whether a worker can be started, and a sentence on it. Looks at files only."""
    chosen = preferences().python
    if chosen:
        path = Path(bpy.path.abspath(chosen))
        if path.is_file():
            return "ready", f"Existing Python {path}"
        return "missing", f"There is no Python at {path}"
    found = environment()
    kind = found.state(closeint_core.__version__)
    if kind == "ready":
        return kind, f"Worker {closeint_core.__version__} installed"
    if kind == "outdated":
        stamp = found.stamp()
        return kind, f"Worker is of version {stamp.version if stamp else '?'}; press Renew"
    if kind == "broken":
        return kind, "Installation is not complete; press Repair"
    return kind, "Worker not installed"


def install_label(kind: str) -> str:
    """What the button that installs is called in a state of the worker."""
    return {"missing": "Install", "outdated": "Renew"}.get(kind, "Repair")


def worker_python() -> Path:
    """The worker's interpreter.

    Raises:
        CloseintError: it is not installed (exit code 3).
    """
    kind, text = worker_state()
    if kind != "ready":
        raise CloseintError(f"{text.rstrip('.')}.", f"Press {install_label(kind)} in the Set-Up panel.", exit_code=3)
    chosen = preferences().python
    return Path(bpy.path.abspath(chosen)) if chosen else environment().python


def worker() -> WorkerClient:
    """The worker's client; another one when another Python was chosen.

    Raises:
        CloseintError: the worker is not installed.
    """
    python = str(worker_python())
    if state.worker is not None and state.worker_python != python:
        state.worker.close()
        state.worker = None
    if state.worker is None:
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [python, "-s", "-m", "closeint_core.worker"]
        state.worker = WorkerClient(command, _new_log("worker"), environment=variables)
        state.worker_python = python
    return state.worker


def submit(command: str, **parameters: Any) -> Job:
    """Ask the worker for something; it is started if it does not run.

    Raises:
        CloseintError: the worker is not installed, or does not start.
    """
    chosen = preferences()
    parameters.setdefault("device", chosen.device)
    if chosen.data:
        parameters.setdefault("data", bpy.path.abspath(chosen.data))
    job = worker().submit(command, **parameters)
    state.started[id(job)] = time.monotonic()
    return job


def installer() -> WorkerClient:
    """The installer's client; it runs in Blender's own Python."""
    if state.installer is None:
        variables = dict(os.environ)
        # Blender's Python does not know by itself where extensions put their wheels.
        variables["PYTHONPATH"] = str(Path(closeint_core.__file__).resolve().parent.parent)
        command = [sys.executable, "-m", "closeint_core.worker.install"]
        state.installer = WorkerClient(
            command,
            _new_log("install"),
            environment=variables,
            silence_timeout=3600.0,
            cancel_timeout=3.0,
            repair="Install closeint in another Python and choose it under Existing Python.",
        )
    return state.installer


def poll() -> list[Job]:
    """Take in what the children said; never waits."""
    state.polled_at = time.monotonic()
    changed = state.worker.poll() if state.worker is not None else []
    changed += state.installer.poll() if state.installer is not None else []
    return changed


def jobs() -> list[Job]:
    """What runs or waits."""
    found = state.worker.jobs if state.worker is not None else []
    return found + (state.installer.jobs if state.installer is not None else [])


def client_of(job: Job) -> WorkerClient | None:
    """Whose job it is."""
    for client in (state.worker, state.installer):
        if client is not None and any(other is job for other in client.jobs):
            return client
    return None


def cancel(job: Job) -> None:
    """Ask for a job to end."""
    client = client_of(job)
    if client is not None:
        client.cancel(job)


def close_worker() -> None:
    """End the worker; the next request starts it again."""
    if state.worker is not None:
        state.worker.close()
        state.worker = None


def close() -> None:
    """End everything that this Blender started."""
    close_worker()
    if state.installer is not None:
        state.installer.close(grace=2.0)
        state.installer = None


def _new_log(name: str) -> Path:
    """A log of this process's own; old ones are deleted."""
    folder = log_folder()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        old = sorted(folder.glob(f"{name}-*.log"), key=lambda path: path.stat().st_mtime)
        for path in old[: -_KEPT_LOGS + 1]:
            path.unlink()
    return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"


# -- what there is to show ---------------------------------------------------------------------------------------


def say(place: str, level: Literal["INFO", "WARNING", "ERROR"], text: str) -> None:
    """Show something in a panel ("reconstruct", "setup") and, without a window, on the terminal."""
    state.said[place] = Said(level, text)


def report() -> dict[str, Any] | None:
    """What the doctor last found, also in an earlier session; None if it never looked."""
    if not state.report_read:
        state.report_read = True
        try:
            state.report = json.loads((user_folder() / "doctor.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            state.report = None
    return state.report


def keep_report(found: dict[str, Any] | None) -> None:
    """Keep what the doctor found; None forgets it."""
    state.report, state.report_read = found, True
    path = user_folder() / "doctor.json"
    if found is None:
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(CloseintError), atomic_path(path) as temporary:
        temporary.write_text(json.dumps(found), encoding="utf-8")


def remember(job: Job, note: str = "") -> None:
    """Put a finished reconstruction into the history."""
    result, parameters = job.result, job.parameters
    started = state.started.get(id(job), time.monotonic())
    entry = Entry(
        clip=str(result["path"]),
        video=str(parameters.get("input", "")),
        made=time.strftime("%Y-%m-%d %H:%M"),
        seconds=round(time.monotonic() - started, 1),
        people=int(result.get("people", 0)),
        frames=int(result.get("frames", 0)),
        note=note,
    )
    # A history that cannot be written must not take the result with it.
    with contextlib.suppress(CloseintError):
        history().add(entry)


def register() -> None:
    atexit.register(close)


def unregister() -> None:
    atexit.unregister(close)
    if bpy.app.timers.is_registered(_look_after):
        bpy.app.timers.unregister(_look_after)
    close()
    _State.__init__(state)


# -- jobs that lost their operator -------------------------------------------------------------------------------


def leave(job: Job) -> None:
    """A job whose operator ended first (another file was opened) goes on; its result goes into the history."""
    state.unwatched.append(job)
    if not bpy.app.background and not bpy.app.timers.is_registered(_look_after):
        bpy.app.timers.register(_look_after, first_interval=0.5, persistent=True)


def _look_after() -> float | None:
    if time.monotonic() - state.polled_at > 0.3:
        poll()
    for job in [job for job in state.unwatched if job.ended]:
        state.unwatched.remove(job)
        if job.state == "done" and job.command in ("reconstruct", "refine"):
            remember(job)
            say("reconstruct", "INFO", f"Finished: {Path(job.result['path']).name}; import it from Results.")
        elif job.error is not None:
            say("reconstruct", "ERROR", str(job.error))
        redraw()
    return 0.5 if state.unwatched else None


def redraw() -> None:
    """Draw the sidebars again."""
    manager = app_context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()
