# SPDX-License-Identifier: Apache-2.0
"""``python -m closeint_core.worker.install``: makes the worker's environment; speaks the worker's protocol.

A process of its own, so that Blender's window stays alive, a cancel ends everything that was started, and nothing
outlives Blender. The requests are ``install``, which also renews, and ``remove``; the last line that pip or uv printed
goes out as the stage's second line.
Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import closeint_core
from closeint_core.errors import CloseintError
from closeint_core.estimate import Estimate
from closeint_core.files import require_writable
from closeint_core.progress import Progress
from closeint_core.worker import platforms
from closeint_core.worker.environment import (
    TORCH,
    Environment,
    Stamp,
    Step,
    delete,
    find_python,
    find_uv,
    has_nvidia_gpu,
    plan,
)
from closeint_core.worker.service import Handler, Service, guarded_streams

_OFFLINE_HINTS = (
    "temporary failure in name resolution", "failed to establish a new connection", "no route to host",
    "network is unreachable", "could not find a version that satisfies", "getaddrinfo failed", "connection refused",
    "dns error", "error sending request", "max retries exceeded",
)  # fmt: skip
_UNTRUSTED_HINTS = ("certificate_verify_failed", "certificate verify failed", "unknownissuer", "confirming the ssl")
_FULL_HINTS = ("no space left on device", "not enough space on the disk", "disk quota exceeded")


def install(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Make the environment, or renew it: the one of before stays until the new one works.

    Request: ``folder``, ``wheel``; optional ``python`` (base interpreter). Result: ``path`` (its interpreter),
    ``version``, ``earlier`` (version of the one that was renewed, or empty), ``tool`` (uv or pip), ``seconds``.

    Raises:
        CloseintError: a step failed; the environment is what it was before.
    """
    started = time.monotonic()
    environment = Environment(Path(request["folder"]))
    wheel = Path(request["wheel"])
    if not wheel.is_file():
        raise CloseintError(f"The extension's wheel {wheel} is missing.", "Install the extension again.")
    progress.update("Looking for Python", 0, 100)
    first = Path(request["python"]) if request.get("python") else None
    base, _ = find_python(first)
    if first is None:
        platforms.require_torch(platforms.wheel_platform(sys.platform, platform.machine(), _libc()))
    platforms.require_short(environment.folder, sys.platform, platforms.long_paths_enabled())
    uv = find_uv()
    steps = plan(environment.folder, wheel.absolute(), base, uv, has_nvidia_gpu())
    try:
        require_writable(environment.folder.parent)
    except CloseintError as error:
        raise CloseintError(
            error.message, "Make it writable, or name another folder in the environment variable CLOSEINT_BLENDER_HOME."
        ) from error
    environment.recover()
    earlier = environment.stamp()
    environment.set_aside()
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    complete = False
    try:
        done = 0.0
        for step in steps:
            _run_step(step, done, progress, environment.folder.parent)
            done += step.share
        version = _installed_version(environment)
        tool = "uv" if uv else "pip"
        environment.write_stamp(Stamp(version, str(base.path) if base else f"uv's {sys.platform}", TORCH, tool))
        complete = True
    except OSError as error:
        raise CloseintError(
            f"The environment in {environment.folder} cannot be written ({error.strerror}).",
            "Check the folder and the free space of the disk.",
        ) from error
    finally:
        if not complete:
            _undo(environment, progress)
    _tidy(environment, progress)
    return {
        "path": str(environment.python),
        "version": version,
        "earlier": earlier.version if earlier else "",
        "tool": tool,
        "seconds": round(time.monotonic() - started, 1),
    }


def _tidy(environment: Environment, progress: Progress) -> None:
    """Take away the environment of before and the downloads."""
    for left in (environment.earlier, environment.folder.parent / platforms.CACHE):
        try:
            delete(left)
        except CloseintError as error:
            progress.warn(f"{error} It takes space, and goes with Remove.")


def _libc() -> str:
    """Linux's C library: what is not known to be musl is taken for glibc, for which wheels are."""
    named = platform.libc_ver()[0]
    return "musl" if named == "musl" or (not named and any(Path("/lib").glob("ld-musl-*"))) else "glibc"


def _undo(environment: Environment, progress: Progress) -> None:
    """After a failure: the environment of before comes back; without one nothing is left."""
    with contextlib.suppress(CloseintError):
        if environment.bring_back():
            progress.warn("The worker of before is kept.")
        else:
            environment.remove()


def remove(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Delete the environment, what was kept to install it, and other things of the extension.

    Request: ``folder`` (the environment); optional ``home`` and ``also``, names of files and folders in it. Result:
    ``path``.

    Raises:
        CloseintError: something cannot be deleted; all else is gone then, but for an environment that is in use.
    """
    progress.update("Removing", 0, 1)
    environment = Environment(Path(request["folder"]))
    beside, home = environment.folder.parent, Path(request.get("home") or environment.folder.parent)
    environment.remove()
    problems: list[CloseintError] = []
    for path in (
        beside / platforms.CACHE,
        beside / platforms.PYTHONS,
        *(home / name for name in request.get("also", ())),
    ):
        try:
            delete(path)
        except CloseintError as error:
            problems.append(error)
    if problems:
        more = f" Nor can {len(problems) - 1} more." if len(problems) > 1 else ""
        raise CloseintError(f"{problems[0].message}{more}", problems[0].fix)
    with contextlib.suppress(OSError):  # something else is in it
        beside.rmdir()
    return {"path": request["folder"]}


HANDLERS: dict[str, Handler] = {"install": install, "remove": remove}


def _run_step(step: Step, done: float, progress: Progress, home: Path) -> None:
    """Run a step's command, or else its fallback, its output as progress and in the log.

    Raises:
        CloseintError: both failed.
    """
    commands = [command for command in (step.command, step.fallback) if command]
    said: list[str] = []
    for number, command in enumerate(commands):
        status, output = _run(command, step, done, progress, home)
        if status == 0:
            return
        said += output[-60:]
        if number + 1 < len(commands):
            print(f"closeint: trying {' '.join(commands[number + 1])}", file=sys.stderr, flush=True)
    if not step.optional:
        raise _step_error(step, said)


def _run(command: tuple[str, ...], step: Step, done: float, progress: Progress, home: Path) -> tuple[int, list[str]]:
    """Exit status and output lines of a command, which is killed with its children on a cancel."""
    print(f"$ {' '.join(command)}", file=sys.stderr, flush=True)
    options: dict[str, Any] = {"start_new_session": True} if os.name != "nt" else {"creationflags": 0x08000000}
    output: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=platforms.child_environment(os.environ, home, sys.platform),
            text=True,
            encoding="utf-8",
            errors="replace",
            **options,
        )
    except OSError as error:
        return 1, [str(error)]
    reader = threading.Thread(target=_collect, args=(process, output), daemon=True)
    reader.start()
    shown, percent = -1, round(100 * done)
    try:
        with _killed_on_exit(process):
            while process.poll() is None:
                if len(output) != shown:
                    shown = len(output)
                    line = output[-1] if output else ""
                    _show(step, line, percent, progress)
                else:
                    progress.update(step.title, percent, 100)
                time.sleep(0.1)
    finally:
        reader.join(timeout=2)
    return process.returncode, output


def _show(step: Step, line: str, percent: int, progress: Progress) -> None:
    """The step and the last line of its output, as one stage."""
    progress.update(f"{step.title}\n{line[:160]}" if line else step.title, percent, 100)


def _collect(process: subprocess.Popen[str], output: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", file=sys.stderr, flush=True)
        if line.strip():
            output.append(line.strip())


_running: list[subprocess.Popen[str]] = []
"""Children that must not outlive this process."""


@contextlib.contextmanager
def _killed_on_exit(process: subprocess.Popen[str]) -> Iterator[None]:
    _running.append(process)
    try:
        yield
    finally:
        _running.remove(process)
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    if os.name == "nt":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _step_error(step: Step, output: list[str]) -> CloseintError:
    """One sentence for a failed step."""
    said = "\n".join(output).lower()
    if any(hint in said for hint in _FULL_HINTS):
        return CloseintError(
            f"{step.title} failed: the disk is full.",
            "Free about 3 GB, which Remove does where an earlier worker is kept, and press Install again.",
        )
    if any(hint in said for hint in _UNTRUSTED_HINTS):  # before the next: pip says both
        return CloseintError(
            f"{step.title} failed: the certificate of the packages' site is not trusted.",
            "Behind a proxy, name its certificate file in the environment variables SSL_CERT_FILE and PIP_CERT, "
            "start Blender again and press Install.",
        )
    if any(hint in said for hint in _OFFLINE_HINTS):
        return CloseintError(
            f"{step.title} failed: the packages cannot be reached.",
            "Check the internet connection and press Install again.",
        )
    lines = [line for line in output if "error" in line.lower()] or output[-1:]
    return CloseintError(f"{step.title} failed: {lines[-1][:200] if lines else 'no reason given'}.", "See the log.")


def _installed_version(environment: Environment) -> str:
    """Version of closeint_core that the new environment imports.

    Raises:
        CloseintError: it does not.
    """
    code = "import torch, cv2, onnxruntime, closeint_core; print(closeint_core.__version__)"
    command = [str(environment.python), "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise CloseintError(f"The new environment does not work: {lines[-1][:200]}.", "Press Install again.")
    return done.stdout.split()[-1]


def hello() -> dict[str, Any]:
    """What the hello message says."""
    return {"version": closeint_core.__version__, "device": "installer"}


class _Installer(Service):
    estimate = staticmethod(partial(Estimate, whole=True))

    def _before_exit(self) -> None:
        for process in list(_running):
            _kill(process)


def main() -> int:
    """Serve until stdin closes."""
    with guarded_streams() as (source, sink):
        return _Installer(HANDLERS, source, sink).run(hello)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)
