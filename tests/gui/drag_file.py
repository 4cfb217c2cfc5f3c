# SPDX-License-Identifier: Apache-2.0
"""A file that can be dragged with the mouse, as out of a file manager: drag_file.py FILE X Y

Shows a small window at X, Y. A press in it starts a drag of the file by the XDND protocol (version 5, freedesktop.org);
where the button is released, the file is dropped. Ends with the drop: exit status 0 if it was taken, 1 if not. Xlib by
ctypes, so that it runs beside any X server.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import time
from ctypes import POINTER, Structure, Union, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from pathlib import Path
from typing import Any

VERSION = 5
PATIENCE = 60.0
"""Seconds in all, so that a helper that nobody uses does not stay."""

_BUTTON_PRESS, _BUTTON_RELEASE, _MOTION = 4, 5, 6
_SELECTION_REQUEST, _SELECTION_NOTIFY, _CLIENT_MESSAGE = 30, 31, 33
_MASK = 1 << 2 | 1 << 3 | 1 << 8  # button press, release, motion with button 1
_ATOM = 4


class _Any(Structure):
    _fields_ = [("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p), ("window", c_ulong)]


class _Pointer(Structure):
    """Of button and motion events."""

    _fields_ = [*_Any._fields_, ("root", c_ulong), ("child", c_ulong), ("time", c_ulong),
                ("x", c_int), ("y", c_int), ("x_root", c_int), ("y_root", c_int)]  # fmt: skip


class _Message(Structure):
    _fields_ = [*_Any._fields_, ("message", c_ulong), ("format", c_int), ("data", c_long * 5)]


class _Request(Structure):
    _fields_ = [*_Any._fields_, ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong),
                ("property", c_ulong), ("time", c_ulong)]  # fmt: skip


class _Notify(Structure):
    _fields_ = [*_Any._fields_, ("selection", c_ulong), ("target", c_ulong), ("property", c_ulong), ("time", c_ulong)]


class _Event(Union):
    _fields_ = [("any", _Any), ("pointer", _Pointer), ("message", _Message), ("request", _Request),
                ("notify", _Notify), ("pad", c_long * 24)]  # fmt: skip


def load_xlib() -> Any:
    """libX11 with the types of what is used."""
    x = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    window, display = c_ulong, c_void_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "XOpenDisplay": (display, [c_char_p]),
        "XDefaultRootWindow": (window, [display]),
        "XCreateSimpleWindow": (
            window,
            [display, window, c_int, c_int, c_uint, c_uint, c_uint, c_ulong, c_ulong],
        ),
        "XSelectInput": (c_int, [display, window, c_long]),
        "XMapRaised": (c_int, [display, window]),
        "XInternAtom": (c_ulong, [display, c_char_p, c_int]),
        "XPending": (c_int, [display]),
        "XNextEvent": (c_int, [display, POINTER(_Event)]),
        "XSendEvent": (c_int, [display, window, c_int, c_long, POINTER(_Event)]),
        "XFlush": (c_int, [display]),
        "XSetSelectionOwner": (c_int, [display, c_ulong, window, c_ulong]),
        "XTranslateCoordinates": (
            c_int,
            [display, window, window, c_int, c_int, POINTER(c_int), POINTER(c_int), POINTER(c_ulong)],
        ),
        "XGetWindowProperty": (
            c_int,
            [display, window, c_ulong, c_long, c_long, c_int, c_ulong, POINTER(c_ulong), POINTER(c_int),
             POINTER(c_ulong), POINTER(c_ulong), POINTER(c_void_p)],
        ),
        "XChangeProperty": (c_int, [display, window, c_ulong, c_ulong, c_int, c_int, c_char_p, c_int]),
        "XFree": (c_int, [c_void_p]),
    }  # fmt: skip
    for name, (result, arguments) in signatures.items():
        function = getattr(x, name)
        function.restype, function.argtypes = result, arguments
    return x


class Source:
    """The window that the file is dragged out of."""

    def __init__(self, file: Path, x: int, y: int) -> None:
        self.lib = load_xlib()
        self.display = self.lib.XOpenDisplay(None)
        if not self.display:
            raise SystemExit("drag_file: there is no X server")
        self.uris = f"{file.resolve().as_uri()}\r\n".encode()
        self.root = self.lib.XDefaultRootWindow(self.display)
        self.window = self.lib.XCreateSimpleWindow(self.display, self.root, x, y, 48, 48, 2, 0, 0xF0C040)
        self.lib.XSelectInput(self.display, self.window, _MASK)
        self.lib.XMapRaised(self.display, self.window)
        self.lib.XFlush(self.display)
        self.target = 0
        self.dragging = self.dropped = self.waiting = self.accepted = False
        self.place = (0, 0, 0)

    def atom(self, name: str) -> int:
        return int(self.lib.XInternAtom(self.display, name.encode(), 0))

    def run(self) -> int:
        """Serve events until the drop is over; the exit status."""
        end = time.monotonic() + PATIENCE
        print("READY", flush=True)
        while time.monotonic() < end:
            while self.lib.XPending(self.display):
                event = _Event()
                self.lib.XNextEvent(self.display, byref(event))
                status = self.take(event)
                if status is not None:
                    return status
            time.sleep(0.01)
        return 1

    def take(self, event: _Event) -> int | None:
        """One event; the exit status if it is the last."""
        kind = event.any.type
        if kind == _BUTTON_PRESS:
            self.dragging = True
            self.lib.XSetSelectionOwner(self.display, self.atom("XdndSelection"), self.window, event.pointer.time)
        elif kind == _MOTION and self.dragging:
            self.place = (event.pointer.x_root, event.pointer.y_root, event.pointer.time)
            self.move()
        elif kind == _BUTTON_RELEASE and self.dragging:
            self.dragging = False
            if not (self.target and self.accepted):
                return 1
            self.send("XdndDrop", 0, event.pointer.time)
            self.dropped = True
        elif kind == _SELECTION_REQUEST:
            self.answer(event.request)
        elif kind == _CLIENT_MESSAGE and event.message.message == self.atom("XdndStatus"):
            self.accepted, self.waiting = bool(event.message.data[1] & 1), False
        elif kind == _CLIENT_MESSAGE and event.message.message == self.atom("XdndFinished"):
            return 0
        return None

    def move(self) -> None:
        """Tell the window under the pointer."""
        target = self.aware_window(*self.place[:2])
        if target != self.target:
            if self.target:
                self.send("XdndLeave")
            self.target, self.waiting, self.accepted = target, False, False
            if target:
                self.send("XdndEnter", VERSION << 24, self.atom("text/uri-list"))
        if target and not self.waiting:
            x, y, when = self.place
            self.send("XdndPosition", 0, x << 16 | y, when, self.atom("XdndActionCopy"))
            self.waiting = True

    def aware_window(self, x: int, y: int) -> int:
        """The window at a point of the screen that takes drops, or 0."""
        window, child = self.root, c_ulong(self.root)
        at_x, at_y = c_int(), c_int()
        while child.value:
            window = child.value
            if self.takes_drops(window):
                return int(window)
            self.lib.XTranslateCoordinates(
                self.display, self.root, window, x, y, byref(at_x), byref(at_y), byref(child)
            )
        return 0

    def takes_drops(self, window: int) -> bool:
        kind, form, count, rest, data = c_ulong(), c_int(), c_ulong(), c_ulong(), c_void_p()
        self.lib.XGetWindowProperty(
            self.display, window, self.atom("XdndAware"), 0, 1, 0, _ATOM,
            byref(kind), byref(form), byref(count), byref(rest), byref(data),
        )  # fmt: skip
        if data:
            self.lib.XFree(data)
        return count.value > 0

    def send(self, message: str, *data: int) -> None:
        event = _Event()
        event.message.type, event.message.window = _CLIENT_MESSAGE, self.target
        event.message.message, event.message.format = self.atom(message), 32
        for i, value in enumerate((self.window, *data)):
            event.message.data[i] = value
        self.lib.XSendEvent(self.display, self.target, 0, 0, byref(event))
        self.lib.XFlush(self.display)

    def answer(self, request: _Request) -> None:
        """Give the address of the file to who asks for it."""
        event = _Event()
        event.notify.type, event.notify.window = _SELECTION_NOTIFY, request.requestor
        event.notify.selection, event.notify.target, event.notify.time = (
            request.selection, request.target, request.time,
        )  # fmt: skip
        if request.target == self.atom("text/uri-list"):
            self.lib.XChangeProperty(
                self.display, request.requestor, request.property, request.target, 8, 0, self.uris, len(self.uris)
            )
            event.notify.property = request.property
        self.lib.XSendEvent(self.display, request.requestor, 0, 0, byref(event))
        self.lib.XFlush(self.display)


if __name__ == "__main__":
    sys.exit(Source(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).run())
