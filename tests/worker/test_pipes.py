# SPDX-License-Identifier: Apache-2.0
"""Pipes to children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from closeint_core.worker import pipes

WRITER = """
import os, signal, sys
signal.signal(signal.SIGPIPE, getattr(signal, sys.argv[1]))
mask = {signal.SIGUSR1} | ({signal.SIGPIPE} if sys.argv[2] == "blocked" else set())
signal.pthread_sigmask(signal.SIG_BLOCK, mask)
from closeint_core.worker import pipes
reader, writer = os.pipe()
with os.fdopen(writer, "wb", buffering=0) as stream:
    pipes.write(stream, b"heard")
    assert os.read(reader, 9) == b"heard"
    os.close(reader)
    for _ in range(2):
        try:
            pipes.write(stream, b"unheard")
        except BrokenPipeError:
            print("told")
assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask, "the mask is another one"
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
@pytest.mark.parametrize("state", ["open", "blocked"])
@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
def test_a_dead_child_does_not_end_its_parent(handler: str, state: str) -> None:
    """A Blender leaves SIGPIPE as the system has it, by which a write that nobody reads ends the program."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER, handler, state],
        env={**os.environ, "PYTHONPATH": str(Path(pipes.__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["told", "told"]), done.stderr
