# SPDX-License-Identifier: Apache-2.0
"""Finds the Blenders of this machine; the tests that need one run once in each, in a child process."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys

import pytest
from blender_runtimes import BlenderRuntime, chosen, find_runtimes


@functools.cache
def runtimes() -> list[BlenderRuntime]:
    # pytest itself may run in a Python with bpy.
    if importlib.util.find_spec("bpy") is not None:
        known = os.environ.get("CLOSEINT_BPY_PYTHONS", "")
        os.environ["CLOSEINT_BPY_PYTHONS"] = os.pathsep.join(filter(None, [sys.executable, known]))
    return chosen(find_runtimes(), os.environ.get("CLOSEINT_TEST_BLENDERS", ""))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With CLOSEINT_TEST_NEEDS_BLENDER only what runs in a Blender: the rest is the same in all of them."""
    if "CLOSEINT_TEST_NEEDS_BLENDER" not in os.environ:
        return
    fixtures = {"runtime", "newest_runtime"}
    others = [item for item in items if not fixtures & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


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
