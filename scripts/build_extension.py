#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build the Blender extension: ``python3 scripts/build_extension.py [--out dist] [--repository DIR]``.

The zip's root is the content of ``closeint_blender`` with ``blender_manifest.toml`` and ``wheels/`` beside it; the
wheel is ``closeint_core``. Blender's own tool builds and checks the zip, so a Blender or a Python with bpy is needed.

``--repository`` makes a folder to put on any web server: the zip, ``index.json`` (its address is what users add under
Preferences > Get Extensions > Repositories) and a page to drag the zip from.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from blender_runtimes import ROOT, BlenderRuntime, find_runtimes

sys.path.insert(0, str(ROOT))
from closeint_core.errors import CloseintError
from closeint_core.files import check_output, require_writable
from closeint_core.streams import guard_output

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache", ".DS_Store")


class BuildError(Exception):
    """The extension cannot be built: one sentence."""


def build_wheel(folder: Path) -> Path:
    """Build the wheel of ``closeint_core`` into ``folder`` and return its path.

    From a copy of the sources: setuptools packs whatever an earlier build left in ``build/`` beside them.
    """
    with tempfile.TemporaryDirectory(prefix="closeint-wheel-") as name:
        source = Path(name)
        shutil.copytree(ROOT / "closeint_core", source / "closeint_core", ignore=_IGNORED)
        for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            if (ROOT / file).is_file():
                shutil.copy2(ROOT / file, source / file)
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            str(folder),
            str(source),
        ]
        if _has_setuptools():
            command.insert(4, "--no-build-isolation")  # nothing to download then
        _run(command, "closeint_core's wheel cannot be built")
    wheels = list(folder.glob("closeint_core-*.whl"))
    if len(wheels) != 1:
        raise BuildError(f"Expected one wheel of closeint_core in {folder}, found {len(wheels)}.")
    return wheels[0]


def stage(folder: Path) -> None:
    """Put the extension's content into ``folder``."""
    shutil.copytree(ROOT / "closeint_blender", folder, ignore=_IGNORED, dirs_exist_ok=True)
    shutil.copy2(ROOT / "blender_manifest.toml", folder)
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel = build_wheel(wheels)
    manifest = (ROOT / "blender_manifest.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    if not version or f"./wheels/{wheel.name}" not in manifest or f"-{version[1]}-" not in wheel.name:
        raise BuildError(f"blender_manifest.toml does not name this wheel or its version: {wheel.name}.")


def build_extension(out: Path, runtime: BlenderRuntime | None = None) -> Path:
    """Build the zip into the folder ``out``, check it, and return its path.

    Args:
        out: folder, made when missing.
        runtime: the Blender whose tool is used; the newest of this machine by default.

    Raises:
        BuildError: there is no Blender, or its tool refuses the extension.
    """
    runtime = runtime or _newest_runtime()
    check_output(out / f"closeint-{_version()}.zip", "extension")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".closeint-extension-", dir=out) as name:
        staged, packed = Path(name) / "closeint", Path(name) / "packed"
        packed.mkdir()
        stage(staged)
        build = ["build", f"--source-dir={staged}", f"--output-dir={packed}"]
        _run(runtime.extension_command(build), "Blender's tool cannot build the extension")
        made = next(packed.glob("*.zip"), None)
        if made is None:
            raise BuildError("Blender's tool wrote no zip.")
        _run(runtime.extension_command(["validate", str(made)]), "Blender's tool finds the extension invalid")
        target = check_output(out / made.name, "extension")
        os.replace(made, target)
    return target


def build_repository(archive: Path, folder: Path, runtime: BlenderRuntime | None = None) -> Path:
    """Make the static files of an extension repository, and return the path of ``index.json``.

    Zips of other versions that are in the folder already stay, and are listed.

    Args:
        archive: the extension's zip.
        folder: made when missing.
        runtime: the Blender whose tool is used; the newest of this machine by default.

    Raises:
        BuildError: there is no Blender, or its tool fails.
    """
    runtime = runtime or _newest_runtime()
    require_repository(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / archive.name
    if not (copy.exists() and os.path.samefile(copy, archive)):
        shutil.copy2(archive, check_output(copy, "extension", [archive]))
    generate = ["server-generate", f"--repo-dir={folder}", "--html"]
    _run(runtime.extension_command(generate), "Blender's tool cannot make the repository")
    index = folder / "index.json"
    if not index.is_file():
        raise BuildError("Blender's tool wrote no index.json.")
    return index


def require_repository(folder: Path) -> None:
    """See that a folder may become, or is, an extension repository.

    Raises:
        CloseintError: it is a file, or has an index of something else.
    """
    if folder.exists() and not folder.is_dir():
        raise CloseintError(f"{folder} is a file, not a folder.", "Choose another folder as --repository.")
    index, page = folder / "index.json", folder / "index.html"
    try:
        found = json.loads(index.read_text(encoding="utf-8")) if index.exists() else None
    except (OSError, ValueError):
        found = None
    ours = isinstance(found, dict) and {"version", "blocklist", "data"} <= found.keys()
    if not ours and (index.exists() or page.exists()):
        raise CloseintError(
            f"The folder {folder} has an index of something else, which would be lost.",
            "Choose another folder as --repository.",
        )
    require_writable(folder)


def _version() -> str:
    """The extension's version.

    Raises:
        BuildError: its manifest names none.
    """
    version = re.search(r'^version = "(.+)"$', (ROOT / "blender_manifest.toml").read_text("utf-8"), re.MULTILINE)
    if version is None:
        raise BuildError("blender_manifest.toml names no version.")
    return version[1]


def _newest_runtime() -> BlenderRuntime:
    runtimes = find_runtimes()
    if not runtimes:
        raise BuildError(
            "No Blender 4.2 or later was found: put one on PATH, or name a Python with bpy in CLOSEINT_BPY_PYTHONS."
        )
    return runtimes[-1]


def _has_setuptools() -> bool:
    command = [sys.executable, "-c", "import setuptools, sys; sys.exit(int(setuptools.__version__.split('.')[0]) < 77)"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _run(command: list[str], problem: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BuildError(f"{problem}:\n{(done.stdout + done.stderr).strip()}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the closeint extension for Blender.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the zip (default: dist)")
    parser.add_argument("--repository", type=Path, metavar="DIR", help="also make a static extension repository there")
    arguments = parser.parse_args()
    guard_output()
    try:
        if arguments.repository:
            require_repository(arguments.repository)
        path = build_extension(arguments.out)
        index = build_repository(path, arguments.repository) if arguments.repository else None
    except (BuildError, CloseintError) as error:
        print(f"build_extension: {error}", file=sys.stderr)
        return 2
    print(path)
    if index is not None:
        print(index)
    return 0


if __name__ == "__main__":
    sys.exit(main())
