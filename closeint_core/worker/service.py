# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the protocol, for any set of commands. Standard library only.

One thread reads requests, so that a cancel or the end of stdin is seen while a request runs; requests run one
after the other on the main thread; a third thread repeats the last progress every few seconds as a sign of life.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from closeint_core.errors import Cancelled, CloseintError
from closeint_core.estimate import Estimate
from closeint_core.progress import Progress, StagePlan
from closeint_core.worker.protocol import PROTOCOL, decode, encode

Handler = Callable[[dict[str, Any], Progress], dict[str, Any]]
"""Does a request: (the request, progress) -> what the ``result`` message carries."""

HEARTBEAT = 2.0
LONGEST_LINE = 2**20
"""Bytes of a request; big data goes through files."""
_NICE = 5
"""How much the worker gives way to other programs (POSIX)."""
_BETWEEN_UPDATES = 0.1
_GRACE = 1.0
"""Seconds that a running request gets to stop by itself once stdin is closed."""


class Service:
    """Runs requests from one file descriptor and answers on another.

    Attributes:
        estimate: makes what tells a request's progress from its stages.
    """

    estimate: Callable[[], Estimate] = Estimate

    def __init__(self, handlers: Mapping[str, Handler], source: int, sink: int) -> None:
        self._handlers = handlers
        self._source, self._sink = source, sink
        self._write_lock = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._withdrawn: set[Any] = set()
        self._known: set[Any] = set()
        self._running: ServiceProgress | None = None

    def run(self, hello: Callable[[], dict[str, Any]]) -> int:
        """Serve until stdin closes or a shutdown is asked for; the exit status.

        Args:
            hello: gives what the hello message says beside the protocol; may take its time.
        """
        if hasattr(os, "nice"):
            os.nice(_NICE)  # whoever asked has a window to draw
        for target in (self._read, self._beat):
            threading.Thread(target=target, daemon=True).start()
        self._send({"type": "hello", "protocol": PROTOCOL, **hello()})
        while (request := self._waiting.get()) is not None:
            self._serve(request)
        return 0

    # -- requests ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        with os.fdopen(self._source, "rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                more = line
                while len(more) == LONGEST_LINE and not more.endswith(b"\n"):  # too long to be a request: passed over
                    line, more = line[:80], lines.readline(LONGEST_LINE)
                if line.strip():
                    self._take(line)
        # Whoever started this process is gone or done with it.
        self._waiting.put(None)
        with self._lock:
            self._withdrawn |= self._known
            running = self._running
        if running is not None:
            running.stop.set()
            time.sleep(_GRACE)
        else:
            time.sleep(0.1)
        self._before_exit()
        os._exit(0)

    def _before_exit(self) -> None:
        """Override to end what a handler started."""

    def _take(self, line: bytes) -> None:
        request = decode(line)
        given = request.get("id") if request else None
        # any other id cannot be looked up, or not be answered to
        identity = (
            given if isinstance(given, str | int) or (isinstance(given, float) and math.isfinite(given)) else None
        )
        if request is None or not isinstance(command := request.get("command"), str):
            self._send_error(identity, f"The worker was sent something that is no request: {line[:80]!r}.")
        elif command == "cancel":
            if given is None or identity is not None:
                self._cancel(identity)
        elif command == "shutdown":
            self._waiting.put(None)
        elif command not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            self._send_error(identity, f"The worker does not know the command {command!r}; it knows {known}.")
        elif identity is None or identity in self._known:
            self._send_error(identity, "A request needs an id of its own, a number or a string.")
        else:
            with self._lock:
                self._known.add(identity)
            self._waiting.put(request)

    def _cancel(self, identity: Any) -> None:
        with self._lock:
            running = self._running
            if running is not None and identity in (None, running.identity):
                running.stop.set()
                return
            if identity not in self._known:
                return  # it ended before the cancel arrived
            self._known.discard(identity)
            self._withdrawn.add(identity)
        self._send({"id": identity, "type": "cancelled"})

    def _serve(self, request: dict[str, Any]) -> None:
        identity = request["id"]
        with self._lock:
            if identity in self._withdrawn:
                self._withdrawn.discard(identity)
                return
            self._running = progress = ServiceProgress(identity, self._send, self.estimate())
        try:
            ending = self._run(request, progress)
        finally:
            with self._lock:
                self._running = None
                self._known.discard(identity)
        self._send({"id": identity, **ending})

    def _run(self, request: dict[str, Any], progress: ServiceProgress) -> dict[str, Any]:
        """The message that ends the request."""
        try:
            return {"type": "result", **self._handlers[request["command"]](request, progress)}
        except Cancelled:
            return {"type": "cancelled"}
        except CloseintError as error:
            return _error(error.message, error.fix, exit_code=error.exit_code)
        except MemoryError:
            return _error("There is not enough memory.", "Choose fewer frames, or close other programs.")
        except (Exception, SystemExit) as error:
            detail = traceback.format_exc()
            print(detail, file=sys.stderr, flush=True)
            said = " ".join(str(error).split())[:300]
            return _error(f"The worker met a problem it does not know ({type(error).__name__}: {said}).", None, detail)

    # -- messages ------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            running = self._running
            if running is not None:
                running.repeat()

    def _send_error(self, identity: Any, message: str) -> None:
        self._send({"id": identity, **_error(message, None)})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            data = encode(message)
        except (ValueError, TypeError, RecursionError) as error:
            data = encode({"id": message.get("id"), **_error(f"The worker's answer cannot be sent ({error}).", None)})
        with self._write_lock:
            try:
                while data:
                    data = data[os.write(self._sink, data) :]
            except OSError:
                self._before_exit()
                os._exit(0)  # nobody reads any more


class ServiceProgress(Progress):
    """Progress that goes over the pipe; ``stop`` cancels it."""

    def __init__(self, identity: Any, send: Callable[[dict[str, Any]], None], estimate: Estimate) -> None:
        self.stop = threading.Event()
        super().__init__(self.stop.is_set)
        self.identity = identity
        self._send = send
        self._estimate = estimate
        self._last: dict[str, Any] = {"stage": "starting", "done": 0, "total": 0, "fraction": 0.0, "eta_s": None}
        self._sent_at = 0.0

    def on_plan(self, plan: StagePlan) -> None:
        """Take the stages that are to come into the estimate."""
        self._estimate.expect(plan)

    def on_update(self, stage: str, done: int, total: int) -> None:
        """Send it, unless the last one was only just sent."""
        new_stage = stage != self._last["stage"]
        # What follows the first line is a remark on the stage.
        fraction, eta = self._estimate.update(stage.partition("\n")[0], done, total)
        self._last = {"stage": stage, "done": done, "total": total, "fraction": round(fraction, 4), "eta_s": eta}
        if new_stage or done == total or time.monotonic() - self._sent_at >= _BETWEEN_UPDATES:
            self.repeat()

    def repeat(self) -> None:
        """Send the last progress again."""
        self._sent_at = time.monotonic()
        self._send({"id": self.identity, "type": "progress", **self._last})

    def on_warning(self, message: str) -> None:
        """Send it."""
        self._send({"id": self.identity, "type": "warning", "message": message})


def _error(message: str, fix: str | None, detail: str = "", exit_code: int = 2) -> dict[str, Any]:
    return {"type": "error", "message": message, "fix": fix, "detail": detail, "exit_code": exit_code}


@contextlib.contextmanager
def guarded_streams() -> Iterator[tuple[int, int]]:
    """Descriptors of the real stdin and stdout; for everybody else stdin is empty and stdout is stderr.

    So nothing a library prints, in Python or in C, gets among the messages.
    """
    source, sink = os.dup(0), os.dup(1)
    if os.name == "nt":  # pragma: no cover - Windows only
        import msvcrt

        for descriptor in (source, sink):
            msvcrt.setmode(descriptor, os.O_BINARY)  # type: ignore[attr-defined]
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    before = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield source, sink
    finally:
        sys.stdout = before
