# SPDX-License-Identifier: Apache-2.0
"""Tests in a real Blender with a window on a virtual screen; real clicks and keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from build_extension import BuildError, build_extension

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Played:
    """What a run of steps left: its exit status, what it printed, its folder of pictures."""

    status: int
    output: str
    pictures: Path


Play = Callable[..., Played]


@pytest.fixture(scope="session")
def window_tools(shared: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of scripts that start Blender with a window; skips where there is none."""
    tools = shared / "blender_env"
    if not (tools / "gui_shot.sh").is_file():
        pytest.skip(f"the scripts that open a window are not at {tools}")
    built = subprocess.run([str(tools / "get_blender.sh"), "--path", "4.3"], capture_output=True, text=True)
    if built.returncode != 0 and not request.config.getoption("--slow"):
        pytest.skip(f"Blender 4.3 with a window is not built; run {tools / 'get_blender.sh'} 4.3, or use --slow")
    return tools


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build_extension(tmp_path_factory.mktemp("dist"))
    except BuildError as error:
        if "No Blender" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture
def play(window_tools: Path, extension: Path, tmp_path: Path) -> Play:
    """Plays a script of steps in a new Blender that has the extension; the script gets a folder for pictures."""

    def run(
        script: str, *arguments: str, seconds: int = 180, size: str = "1280x800", expect: int = 0, install: bool = True
    ) -> Played:
        keep = os.environ.get("CLOSEINT_GUI_PICTURES")
        pictures = Path(keep) / Path(script).stem if keep else tmp_path / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        command = [str(window_tools / "gui_shot.sh"), "--size", size, "--timeout", str(seconds)]
        command += ["--install", str(extension)] if install else []
        command += [str(pictures / "last.png")]
        command += [str(Path(__file__).parent / script), str(pictures), *arguments]
        variables = {**os.environ, "CLOSEINT_BLENDER_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        # Blender's own tree has other certificates than this machine.
        for name in ("SSL_CERT_FILE", "PIP_CERT"):
            if os.path.isfile(os.environ.get(name, "")):
                variables[name] = shutil.copy(os.environ[name], tmp_path / "certificates.pem")
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=seconds + 120, stdin=subprocess.DEVNULL
        )
        output = done.stdout + done.stderr
        print("\n".join(line for line in output.splitlines() if "Draw window" not in line))
        assert done.returncode == expect, f"the steps ended with {done.returncode}; pictures are in {pictures}"
        return Played(done.returncode, output, pictures)

    return run
