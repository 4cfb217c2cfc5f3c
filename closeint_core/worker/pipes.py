# SPDX-License-Identifier: Apache-2.0
"""Child processes that can be read without waiting and that are ended with all their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_CHUNK = 65536


def start(
    command: Sequence[str], log: IO[bytes], folder: Path, environment: dict[str, str] | None
) -> subprocess.Popen[bytes]:
    """Start a child in a group of its own, its stdin and stdout piped and its stderr going to ``log``.

    Raises:
        OSError: the program does not start.
    """
    options: dict[str, Any] = {}
    if sys.platform == "win32":  # pragma: no cover - Windows only
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        # Ctrl-C in Blender's terminal is Blender's; and a group can be killed whole.
        options["start_new_session"] = True
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder,
        env=environment,
        bufsize=0,
        **options,
    )
    assert process.stdout is not None
    if sys.platform != "win32":
        os.set_blocking(process.stdout.fileno(), False)
    return process


def read_available(stream: IO[bytes]) -> bytes | None:
    """What can be read without waiting; empty when there is nothing now, None at the end of the stream."""
    if sys.platform == "win32":  # pragma: no cover - Windows only
        waiting = _waiting_in_pipe(stream)
        if not waiting:
            return b"" if waiting == 0 else None
        return os.read(stream.fileno(), min(waiting, _CHUNK))
    try:
        return os.read(stream.fileno(), _CHUNK) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def write(stream: IO[bytes], data: bytes) -> None:
    """Write to a child that may have died: a broken pipe is an error, whatever its signal does in this process.

    Python ignores that signal; a Blender leaves it as the system has it, and would end with the worker.

    Raises:
        OSError: nobody reads.
    """
    if sys.platform == "win32":  # pragma: no cover - Windows knows no such signal
        stream.write(data)
        return
    broken = {signal.SIGPIPE}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, broken)
    try:
        stream.write(data)
    finally:
        if signal.SIGPIPE not in before:
            if signal.SIGPIPE in signal.sigpending():
                signal.sigwait(broken)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _waiting_in_pipe(stream: IO[bytes]) -> int | None:  # pragma: no cover - Windows only
    """Bytes that wait in a pipe, or None when its other end is closed."""
    import ctypes
    import msvcrt

    handle = msvcrt.get_osfhandle(stream.fileno())  # type: ignore[attr-defined]
    waiting = ctypes.c_ulong(0)
    peek = ctypes.windll.kernel32.PeekNamedPipe  # type: ignore[attr-defined]
    if not peek(ctypes.c_void_p(handle), None, 0, None, ctypes.byref(waiting), None):
        return None
    return waiting.value


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the child and its children at once, and collect it."""
    if process.poll() is None:
        if sys.platform == "win32":  # pragma: no cover - Windows only
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    close(process)


def close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes to a child."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def describe_end(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "it closed its output"
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"
