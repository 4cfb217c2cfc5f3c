# SPDX-License-Identifier: Apache-2.0
"""Standard output that cannot fail for its characters, nor for whoever reads it. The standard library only."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from closeint_core.errors import CloseintError


def guard_output() -> None:
    """Make stdout and stderr take every character, by an escape where their code page lacks it.

    Finished work must not end in an error because a name does not fit into cp1252. Descriptors that were closed are
    opened on nothing, so that no file gets their numbers and what libraries print.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)  # the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, end: str = "\n") -> None:
    """Print on stdout at once. A reader that has gone is no error: the work is done.

    Raises:
        CloseintError: what stdout goes to takes nothing, a full disk for instance.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()
    except OSError as error:
        _mute()
        raise CloseintError(
            f"Standard output cannot be written ({error.strerror or error}); files that were named are written.",
            "Send it somewhere else.",
        ) from error


def _mute() -> None:
    """Let what is pending, and what comes, go nowhere, so that the end of the process does not complain."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
