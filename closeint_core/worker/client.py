# SPDX-License-Identifier: Apache-2.0
"""The client's side of the protocol: starts the worker, asks, reads without waiting. Standard library only.

``poll`` is called often (by a timer) and never waits; ``wait`` is for programs without an event loop. No threads.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import IO, Any, Literal

from closeint_core.errors import Cancelled, CloseintError
from closeint_core.worker import pipes
from closeint_core.worker.protocol import ENDINGS, MESSAGES, PROTOCOL, decode, encode

_LONGEST_LINE = 1 << 20
_LOG_TAIL = 20_000


@dataclass
class Job:
    """One request and what has become of it.

    Attributes:
        state: ``waiting`` (not begun), ``running``, then ``done``, ``failed`` or ``cancelled``.
        stage, completed, total, fraction, eta_s: the last progress; ``eta_s`` is None while unknown.
        result: what the ``result`` message carried.
        error: why it failed; its text names the log where that helps.
        detail: traceback or the end of the log.
    """

    id: int
    command: str
    parameters: dict[str, Any]
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    stage: str = ""
    completed: int = 0
    total: int = 0
    fraction: float = 0.0
    eta_s: float | None = None
    warnings: list[str] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    error: CloseintError | None = None
    detail: str = ""
    cancel_by: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "cancelled")


class WorkerClient:
    """One worker process at a time, started by the first request and again after a crash.

    Args:
        command: the worker, such as ``[python, "-m", "closeint_core.worker"]``.
        log: file that takes what the worker prints; its folder is made. One client a log.
        environment: the worker's environment variables; None: this process's.
        start_timeout: seconds until the hello.
        silence_timeout: seconds without a message after which a running worker counts as hung.
        cancel_timeout: seconds that a cancelled request gets before the worker is killed.
        repair: what to do when the worker cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: dict[str, str] | None = None,
        start_timeout: float = 180.0,
        silence_timeout: float = 120.0,
        cancel_timeout: float = 1.0,
        repair: str = "Press Repair in the set-up panel.",
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self.hello: dict[str, Any] | None = None
        self._environment = environment
        self._start_timeout, self._silence_timeout = start_timeout, silence_timeout
        self._cancel_timeout, self._repair = cancel_timeout, repair
        self._process: Popen[bytes] | None = None
        self._jobs: dict[int, Job] = {}
        self._next = 1
        self._buffer = b""
        self._heard_at = 0.0
        self._log_file: IO[bytes] | None = None
        self._log_start = 0

    # -- what callers use ----------------------------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """Requests that have not ended, in the order in which they were made."""
        return list(self._jobs.values())

    @property
    def pid(self) -> int | None:
        """Process number of the worker, if it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def submit(self, command: str, **parameters: Any) -> Job:
        """Ask for something; starts the worker if it does not run.

        Raises:
            CloseintError: the worker cannot be started (exit code 3).
        """
        self.poll()
        job = Job(self._next, command, parameters)
        self._next += 1
        if self._process is None:
            self._start()
        self._jobs[job.id] = job
        self._send({"id": job.id, "command": command, **parameters})
        return job

    def cancel(self, job: Job) -> None:
        """Ask for a job to end; if the worker does not answer in time, ``poll`` kills it."""
        if not job.ended and job.cancel_by is None:
            job.cancel_by = time.monotonic() + self._cancel_timeout
            self._send({"id": job.id, "command": "cancel"})

    def poll(self) -> list[Job]:
        """Take in what the worker has said; never waits. Returns the jobs that changed."""
        changed: dict[int, Job] = {}
        if self._process is None:
            return []
        assert self._process.stdout is not None
        ended = False
        stdout = self._process.stdout
        while True:
            data = pipes.read_available(stdout)
            if not data:
                ended = data is None
                break
            self._buffer += data
            *lines, self._buffer = self._buffer.split(b"\n")
            for line in lines:
                self._take(line, changed)
                if self._process is None:  # given up: it speaks another protocol
                    return list(changed.values())
            if len(self._buffer) > _LONGEST_LINE:
                self._note(self._buffer[:200] + b" ...")
                self._buffer = b""
        if ended or self._process.poll() is not None:
            self._lost(changed)
        else:
            self._watch(changed)
        return list(changed.values())

    def wait(
        self, job: Job, on_change: Callable[[Job], None] | None = None, *, interval: float = 0.05
    ) -> dict[str, Any]:
        """Wait for a job and return its result.

        Args:
            job: of ``submit``.
            on_change: called with the job whenever it has changed; may call ``cancel``.
            interval: seconds between looks.

        Raises:
            CloseintError: the job failed.
            Cancelled: it was cancelled.
        """
        while not job.ended:
            if job in self.poll() and on_change is not None:
                on_change(job)
            if not job.ended:
                time.sleep(interval)
        if job.error is not None:
            raise job.error
        if job.state == "cancelled":
            raise Cancelled
        return job.result

    def close(self, grace: float = 0.5) -> None:
        """End the worker and every job; waits at most ``grace`` seconds before killing."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()  # the worker ends by itself
            with contextlib.suppress(TimeoutExpired):
                process.wait(grace)
            pipes.kill(process)
        for job in self._jobs.values():
            job.state = "cancelled"
        self._jobs.clear()
        self._reset()

    # -- the process ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        program = self.command[0]
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._log_file = open(self.log, "ab", buffering=0)  # noqa: SIM115 - open as long as the worker
        except OSError as error:
            self._reset()
            raise CloseintError(
                f"The worker's log {self.log} cannot be written: {error.strerror}.", "Check the folder and the disk."
            ) from error
        self._log_start = self._log_file.tell()
        self._note(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(self.command)}".encode())
        environment = dict(os.environ if self._environment is None else self._environment)
        # Blender's own settings must not reach another Python.
        for name in ("PYTHONHOME", "PYTHONSTARTUP"):
            environment.pop(name, None)
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:replace"}
        try:
            self._process = pipes.start(self.command, self._log_file, self.log.parent, environment)
        except OSError as error:
            self._reset()
            what = "does not exist" if isinstance(error, FileNotFoundError) else f"does not start ({error.strerror})"
            raise CloseintError(f"The worker's Python {program} {what}.", self._repair, exit_code=3) from error
        self._heard_at = time.monotonic()

    def _reset(self) -> None:
        self._process, self.hello, self._buffer = None, None, b""
        if self._log_file is not None:
            self._log_file.close()
            self._log_file = None

    def _send(self, request: dict[str, Any]) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        # A worker that has just died is noticed by poll.
        with contextlib.suppress(OSError):
            pipes.write(self._process.stdin, encode(request))

    def _note(self, line: bytes) -> None:
        """Keep in the log what is no message."""
        if self._log_file is not None:
            with contextlib.suppress(OSError):
                self._log_file.write(line + b"\n")

    # -- messages ------------------------------------------------------------------------------------------------

    def _take(self, line: bytes, changed: dict[int, Job]) -> None:
        message = decode(line)
        kind = message.get("type") if message else None
        if message is None or kind not in MESSAGES:
            if line.strip():
                self._note(b"stdout: " + line[:2000])
            return
        self._heard_at = time.monotonic()
        if kind == "hello":
            self._greet(message, changed)
            return
        identity = message.get("id")
        job = self._jobs.get(identity) if isinstance(identity, int) else None
        if job is None:
            self._note(b"stray: " + line[:2000])
            return
        changed[job.id] = job
        if kind == "progress":
            self._progress(job, message)
        elif kind == "warning":
            job.warnings.append(str(message.get("message", "")))
        if kind in ENDINGS:
            self._end(job, message)

    def _greet(self, message: dict[str, Any], changed: dict[int, Job]) -> None:
        if message.get("protocol") != PROTOCOL:
            found = message.get("version", "an unknown version")
            self._give_up(
                CloseintError(f"The worker is of another version ({found}) than the add-on.", self._repair), changed
            )
            return
        self.hello = message

    @staticmethod
    def _progress(job: Job, message: dict[str, Any]) -> None:
        try:
            eta = message.get("eta_s")
            values = (
                str(message["stage"]),
                int(message["done"]),
                int(message["total"]),
                float(message.get("fraction", 0.0)),
                None if eta is None else float(eta),
            )
        except (KeyError, TypeError, ValueError):
            return
        job.state = "running"
        job.stage, job.completed, job.total, job.fraction, job.eta_s = values

    def _end(self, job: Job, message: dict[str, Any]) -> None:
        del self._jobs[job.id]
        if message["type"] == "result" and job.cancel_by is not None:
            job.state = "cancelled"  # it was done before it heard; the user wanted none of it
        elif message["type"] == "result":
            job.state, job.fraction, job.eta_s = "done", 1.0, 0.0
            job.result = {key: value for key, value in message.items() if key not in ("id", "type")}
        elif message["type"] == "cancelled":
            job.state = "cancelled"
        else:
            text, fix = str(message.get("message", "The worker failed.")), message.get("fix")
            job.detail = str(message.get("detail") or "")
            if job.detail:
                fix = f"{fix + ' ' if fix else ''}The log is {self.log}."
            code = message.get("exit_code")
            job.error = CloseintError(text, fix, exit_code=code if isinstance(code, int) else 2)
            job.state = "failed"

    # -- trouble -------------------------------------------------------------------------------------------------

    def _watch(self, changed: dict[int, Job]) -> None:
        """Kill a worker that does not answer a cancel, a start or a running request in time."""
        now = time.monotonic()
        if any(job.cancel_by is not None and now > job.cancel_by for job in self._jobs.values()):
            self._kill()
            for job in [job for job in self._jobs.values() if job.cancel_by is not None]:
                job.state = "cancelled"
                changed[job.id] = self._jobs.pop(job.id)
            self._resubmit(changed)
        elif self.hello is None and now - self._heard_at > self._start_timeout:
            text = f"The worker has not started within {self._start_timeout:.0f} seconds."
            self._give_up(CloseintError(text, f"{self._repair} The log is {self.log}.", exit_code=3), changed)
        elif self._jobs and self.hello is not None and now - self._heard_at > self._silence_timeout:
            running = [job for job in self._jobs.values() if job.state == "running"] or self.jobs[:1]
            self._kill()
            text = f"The worker has said nothing for {self._silence_timeout:.0f} seconds and was stopped."
            self._fail(running, CloseintError(text, f"Try again; the log is {self.log}."), changed)
            self._resubmit(changed)

    def _lost(self, changed: dict[int, Job]) -> None:
        """The worker is gone though nobody asked it to go."""
        assert self._process is not None
        with contextlib.suppress(TimeoutExpired):
            self._process.wait(0.2)
        how = pipes.describe_end(self._process.poll())
        greeted = self.hello is not None
        self._kill()
        cancelled = [job for job in self._jobs.values() if job.cancel_by is not None]
        for job in cancelled:
            job.state = "cancelled"
            changed[job.id] = self._jobs.pop(job.id)
        if not greeted:
            last = self._last_words()
            text = f"The worker could not start: {last or how}{'' if last.endswith('.') else '.'}"
            fix = f"{self._repair} The log is {self.log}."
            self._fail(self.jobs, CloseintError(text, fix, exit_code=3), changed)
            return
        running = [job for job in self._jobs.values() if job.state == "running"]
        if not running and not cancelled:
            running = self.jobs[:1]  # it had been sent; maybe it is what crashed the worker
        text = f"The worker stopped unexpectedly ({how})."
        self._fail(running, CloseintError(text, f"Try again; the log is {self.log}."), changed)
        self._resubmit(changed)

    def _give_up(self, error: CloseintError, changed: dict[int, Job]) -> None:
        self._kill()
        self._fail(self.jobs, error, changed)

    def _fail(self, jobs: list[Job], error: CloseintError, changed: dict[int, Job]) -> None:
        for job in jobs:
            job.state, job.error, job.detail = "failed", error, self._tail()
            changed[job.id] = job
            self._jobs.pop(job.id, None)

    def _resubmit(self, changed: dict[int, Job]) -> None:
        """Jobs that had not begun go to a new worker."""
        if not self._jobs:
            return
        try:
            self._start()
        except CloseintError as error:
            self._fail(self.jobs, error, changed)
            return
        for job in self._jobs.values():
            job.state = "waiting"
            self._send({"id": job.id, "command": job.command, **job.parameters})

    def _kill(self) -> None:
        if self._process is not None:
            pipes.kill(self._process)
        self._reset()

    def _tail(self) -> str:
        """The end of what this worker printed."""
        try:
            with open(self.log, "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, file.tell() - _LOG_TAIL))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _last_words(self) -> str:
        """The last line this worker printed, if it is one for people."""
        lines = [line.strip() for line in self._tail().splitlines() if line.strip() and not line.startswith("---")]
        return lines[-1][:300] if lines else ""
