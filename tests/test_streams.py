# SPDX-License-Identifier: Apache-2.0
"""Whatever stdout is, finished work is told, or at least kept."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.clips import random_clip

from closeint_core.errors import CloseintError
from closeint_core.streams import guard_output, say

CODE_PAGES = ("cp1252", "cp437", "ascii", "latin-1")
NAME = "Tänzer → 舞 😀"


def closeint(*arguments: object, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own; ``shell`` ends its command line."""
    command = [sys.executable, "-m", "closeint_core", *map(str, arguments)]
    if shell:
        command = ["bash", "-o", "pipefail", "-c", f'"$@" {shell}', "bash", *command]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize("page", [*CODE_PAGES, "utf-8"])
def test_every_code_page_takes_every_character(page, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=page))
    guard_output()
    say(NAME)
    assert raw.getvalue().decode(page) == NAME.encode(page, "backslashreplace").decode(page) + "\n"


@pytest.mark.parametrize("page", ["cp1252", "ascii"])
def test_a_finished_export_is_told_in_any_code_page(page, tmp_path):
    clip = random_clip(frames=1).save(tmp_path / f"{NAME}.closeint.npz")
    done = closeint("export", clip, "-o", tmp_path / NAME, "--format", "joints", PYTHONIOENCODING=page)
    assert (done.returncode, done.stderr) == (0, b"")
    told = str(tmp_path / f"{NAME}.npz")
    assert done.stdout.splitlines() == [told.encode(page, "backslashreplace")]
    assert Path(told).is_file()


def test_json_and_tables_in_any_code_page(tmp_path):
    variables = {"PYTHONIOENCODING": "cp437", "LC_ALL": "C"}
    clip = random_clip(frames=1).save(tmp_path / f"{NAME}.closeint.npz")
    done = closeint("metrics", clip, "--json", **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("ascii"))["frames"] == 1
    assert b"reprojection_px" in closeint("metrics", clip, **variables).stdout
    done = closeint("metrics", tmp_path / f"{NAME}.npz", "--json", **variables)
    assert done.returncode == 2
    assert NAME in json.loads(done.stdout)["error"]
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("shell", "status", "said"), [(">&-", 0, b""), ("| true", 0, b""), ("> /dev/full", 2, b"No space left on device")]
)
def test_nobody_reads(shell, status, said, tmp_path):
    clip = random_clip(frames=1).save(tmp_path / "a.closeint.npz")
    done = closeint("export", clip, "-o", tmp_path / "b", "--format", "joints", shell=shell)
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == (1 if said else 0)
    assert (tmp_path / "b.npz").is_file()


def test_a_stream_that_fails_is_said(monkeypatch):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(CloseintError, match="No space left"):
        say("done")
    monkeypatch.setattr(sys, "stdout", None)
    say("nobody listens")
