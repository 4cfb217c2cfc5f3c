# SPDX-License-Identifier: Apache-2.0
"""The count of tests that lack something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
def test_runs(): pass
@pytest.mark.parametrize("number", range(3))
def test_lacks_footage(number): pytest.skip("the shared test material is not at /shared")
def test_lacks_a_library(): pytest.importorskip("no_such_library")
@pytest.mark.skipif(True, reason="the default body is not built")
def test_lacks_the_body(): pass
@pytest.mark.skip(reason="slow; run with --slow")
def test_slow(): pass
@pytest.mark.skipif(True, reason="a shell of POSIX")
def test_of_another_platform(): pass
@pytest.mark.xfail
def test_fails_as_known(): assert False
"""


@pytest.mark.parametrize("options", [(), ("-q",), ("-n", "2")], ids=["plain", "quiet", "spread"])
def test_the_last_line_counts_what_lacks_something(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "support.material", "-p", "no:cacheprovider", *options]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.strip().splitlines()
    assert re.search(r"1 passed, 2 skipped, 1 xfailed, 5 not run for want of material in", lines[-1])
    listed = [line.split(maxsplit=1) for line in lines if re.match(r" +\d+  ", line)]
    assert ["3", "the shared test material is not at /shared"] in listed
    assert len(listed) == 3
