# SPDX-License-Identifier: Apache-2.0
"""The extension's zip: what is in it, and that every Blender installs it without a warning."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from blender_runtimes import ROOT, BlenderRuntime
from build_extension import build_extension, build_repository
from support.wild_clips import random_clip

from closeint_core.body.data import DEFAULT_BODY_FILE


@pytest.fixture(scope="session")
def extension(newest_runtime: BlenderRuntime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip, built and validated by the newest Blender's own tool."""
    return build_extension(tmp_path_factory.mktemp("dist"), newest_runtime)


def test_content(extension: Path) -> None:
    with zipfile.ZipFile(extension) as archive:
        names = set(archive.namelist())
        wheel = next(name for name in names if name.endswith(".whl"))
        with archive.open(wheel) as file, zipfile.ZipFile(file) as core:
            inside = set(core.namelist())
    assert {"__init__.py", "blender_manifest.toml", "importer/build.py", "operators/import_clip.py"} <= names
    assert {"panels/setup.py", "panels/reconstruct.py", "operators/reconstruct.py", "session.py", "cli.py"} <= names
    assert {"closeint_core/worker/client.py", "closeint_core/worker/install.py"} <= inside
    for network in ("movenet_multipose", "blazepose_full"):
        assert f"closeint_core/perception/weights/{network}.onnx" in inside
    for network in ("denoiser", "prior"):
        assert f"closeint_core/denoiser/weights/{network}.safetensors" in inside
    assert wheel.startswith("wheels/closeint_core-")
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert "closeint_core/clip.py" in inside
    if DEFAULT_BODY_FILE.is_file():
        assert "closeint_core/body/default_body.npz" in inside
    assert not [name for name in inside if not name.startswith("closeint_core")]


def test_repository(extension: Path, newest_runtime: BlenderRuntime, tmp_path: Path) -> None:
    index = build_repository(extension, tmp_path / "site", newest_runtime)
    listing = json.loads(index.read_text())
    (entry,) = listing["data"]
    assert entry["id"] == "closeint"
    assert entry["blender_version_min"] == "4.2.0"
    assert entry["archive_size"] == extension.stat().st_size
    assert (index.parent / Path(entry["archive_url"]).name).read_bytes() == extension.read_bytes()
    assert "closeint" in (index.parent / "index.html").read_text()


@pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")
def test_installs(runtime: BlenderRuntime, extension: Path, tmp_path: Path) -> None:
    random_clip(4, frames=5).save(tmp_path / "a.closeint.npz")
    user = tmp_path / "user"
    user.mkdir()
    script = Path(__file__).parent / "inside" / "install_extension.py"
    out = tmp_path / "facts.json"
    command = runtime.python_command(script, [str(extension), str(tmp_path / "a.closeint.npz"), str(out)])
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(user)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(out.read_text())
    assert facts["installed"] == ["FINISHED"]
    assert Path(facts["core"]).is_relative_to(user), "closeint_core is not the wheel's"
    assert not Path(facts["core"]).is_relative_to(ROOT)
    assert facts["imported"] == ["FINISHED"]
    assert facts["people"] == 2
    assert facts["policy_warnings"] == []
    assert facts["gone"]
    assert facts["back"]
    assert not facts["torch"]
