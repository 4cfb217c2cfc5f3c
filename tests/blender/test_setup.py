# SPDX-License-Identifier: Apache-2.0
"""Installing, renewing and removing the worker by the add-on's buttons, in every Blender of this machine."""

from __future__ import annotations

import functools
import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from blender_runtimes import ROOT, BlenderRuntime

import closeint_core

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

UV = """#!/bin/sh
case "$1" in
  venv)
    for folder; do :; done
    mkdir -p "$folder/bin" "$UV_CACHE_DIR/wheels"; touch "$folder/pyvenv.cfg"
    printf '#!/bin/sh\\nif [ "$2" = -c ]; then echo {version}; else exit 1; fi\\n' > "$folder/bin/python"
    chmod +x "$folder/bin/python";;
  pip) if [ -n "$CLOSEINT_TEST_FAIL" ]; then echo "error: it rains"; exit 1; fi;;
esac
"""
"""Makes an environment whose Python says the version that it is asked for, and does nothing else."""


@functools.cache
def ran(runtime: BlenderRuntime) -> dict[str, Any]:
    """What the script found."""
    with tempfile.TemporaryDirectory(prefix="closeint test мир ") as name:
        folder = Path(name)
        addon = folder / "addon"
        shutil.copytree(ROOT / "closeint_blender", addon / "closeint_blender")
        (addon / "closeint_blender" / "wheels").mkdir()
        (addon / "closeint_blender" / "wheels" / f"closeint_core-{closeint_core.__version__}-py3-none-any.whl").touch()
        tools = folder / "bin"
        tools.mkdir()
        (tools / "uv").write_text(UV.replace("{version}", closeint_core.__version__))
        (tools / "uv").chmod(stat.S_IRWXU)
        out = folder / "facts.json"
        variables = {
            **os.environ,
            "CLOSEINT_BLENDER_HOME": str(folder / "home"),
            "CLOSEINT_TEST_TOOLS": str(tools),
        }
        script = Path(__file__).parent / "inside" / "run_setup.py"
        command = runtime.python_command(script, [str(addon), str(out)])
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{runtime.label}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        facts: dict[str, Any] = json.loads(out.read_text())
        assert Path(facts["addon"]).is_relative_to(addon)
        return facts


def labels(drawn: list[list[str]], operator: str) -> list[str]:
    """The words beside an operator's button."""
    return [word for part in drawn if part[:2] == ["operator", operator] for word in part[2:]]


def test_an_environment_of_0_1_is_noticed(runtime: BlenderRuntime) -> None:
    facts = ran(runtime)
    assert facts["outdated"] == ["outdated", "Worker is of version 0.1.0; press Renew"]
    assert facts["asked_too_early"] == "Worker is of version 0.1.0; press Renew. Press Renew in the Set-Up panel."


def test_buttons_in_the_preferences(runtime: BlenderRuntime) -> None:
    facts = ran(runtime)
    assert labels(facts["buttons_missing"], "closeint.install") == ["IMPORT"], "the operator's own name is Install"
    assert labels(facts["buttons_outdated"], "closeint.install") == ["Renew", "FILE_REFRESH"]
    for drawn in (facts["buttons_missing"], facts["buttons_outdated"]):
        assert labels(drawn, "closeint.remove")
        assert labels(drawn, "closeint.doctor")
    assert facts["drawn_below"] == 0, "drawn twice after the add-on is disabled and enabled"


def test_a_renewal_that_fails_keeps_the_worker(runtime: BlenderRuntime) -> None:
    facts = ran(runtime)
    assert "it rains" in facts["failed"]
    assert facts["after_failure"] == facts["outdated"]


def test_a_renewal(runtime: BlenderRuntime) -> None:
    facts = ran(runtime)
    assert facts["after_renewal"] == ["ready", f"Worker {closeint_core.__version__} installed"]
    assert facts["beside"] == ["logs", "worker"], "an earlier environment or a cache was left"


def test_an_environment_in_use(runtime: BlenderRuntime) -> None:
    facts = ran(runtime)
    assert "is in use. Close other Blenders that use it" in facts["in_use"]
    assert facts["in_use_state"] == "ready"


def test_nothing_is_left_behind(runtime: BlenderRuntime) -> None:
    facts = ran(runtime)
    assert facts["empty"] == []
    assert facts["removed_nothing"] == ["FINISHED"]
    assert facts["left_of_nothing"] == facts["empty"]
    assert facts["broken"][0] == "broken"
    assert facts["removed"] == ["FINISHED"]
    assert facts["left"] == ["history.json", "results", "results/mine.closeint.npz"], "only results stay"
    assert facts["removed_all"] == ["FINISHED"]
    assert facts["left_of_all"] == facts["empty"]
