# SPDX-License-Identifier: Apache-2.0
"""Finds the Blenders of this machine; the tests that need one run once in each, in a child process."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "scripts"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from blender_runtimes import BlenderRuntime, find_runtimes  # noqa: E402


@functools.cache
def runtimes() -> list[BlenderRuntime]:
    # pytest itself may run in a Python with bpy.
    if importlib.util.find_spec("bpy") is not None:
        known = os.environ.get("CLOSEINT_BPY_PYTHONS", "")
        os.environ["CLOSEINT_BPY_PYTHONS"] = os.pathsep.join(filter(None, [sys.executable, known]))
    return find_runtimes()


NO_BLENDER = "no Blender: set CLOSEINT_BPY_PYTHONS, make .envs/bpy-*, or put blender on PATH"


@pytest.fixture(scope="session")
def newest_runtime() -> BlenderRuntime:
    """For what does not depend on the version."""
    found = runtimes()
    if not found:
        pytest.skip(NO_BLENDER)
    return found[-1]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "runtime" in metafunc.fixturenames:
        found: list[object] = [pytest.param(runtime, id=runtime.label) for runtime in runtimes()]
        metafunc.parametrize(
            "runtime", found or [pytest.param(None, marks=pytest.mark.skip(reason=NO_BLENDER))], scope="session"
        )
