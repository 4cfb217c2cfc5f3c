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
import zipfile
from pathlib import Path

from blender_runtimes import ROOT, BlenderRuntime, find_runtimes

sys.path.insert(0, str(ROOT))
from closeint_core.errors import CloseintError
from closeint_core.files import check_output, require_writable
from closeint_core.streams import guard_output

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name."""
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache", ".DS_Store")


class BuildError(Exception):
    """The extension cannot be built: one sentence."""


def build_wheel(folder: Path, root: Path = ROOT) -> Path:
    """Build the wheel of ``closeint_core`` in the working tree ``root`` into ``folder`` and return its path.

    From a copy of the sources: setuptools packs whatever an earlier build left in ``build/`` beside them.
    """
    with tempfile.TemporaryDirectory(prefix="closeint-wheel-") as name:
        source = Path(name)
        shutil.copytree(root / "closeint_core", source / "closeint_core", ignore=_IGNORED)
        for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            if (root / file).is_file():
                shutil.copy2(root / file, source / file)
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
    repack(wheels[0])
    return wheels[0]


def repack(path: Path) -> None:
    """Write a zip again so that the same content is the same bytes: sorted, with one time and the same permissions."""
    again = path.with_name(f".{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as new:
        new.comment = old.comment
        for name in sorted(name for name in old.namelist() if not name.endswith("/")):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # as an ordinary file of Unix, everywhere
            new.writestr(entry, old.read(name))
    os.replace(again, path)


def stage(folder: Path, root: Path = ROOT) -> None:
    """Put the content of the extension in the working tree ``root`` into ``folder``."""
    shutil.copytree(root / "closeint_blender", folder, ignore=_IGNORED, dirs_exist_ok=True)
    shutil.copy2(root / "blender_manifest.toml", folder)
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel = build_wheel(wheels, root)
    manifest = (root / "blender_manifest.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    if not version or f"./wheels/{wheel.name}" not in manifest or f"-{version[1]}-" not in wheel.name:
        raise BuildError(f"blender_manifest.toml does not name this wheel or its version: {wheel.name}.")


def build_extension(out: Path, runtime: BlenderRuntime | None = None, root: Path = ROOT) -> Path:
    """Build the zip into the folder ``out``, check it, and return its path.

    Args:
        out: folder, made when missing.
        runtime: the Blender whose tool is used; the newest of this machine by default.
        root: the working tree.

    Raises:
        BuildError: there is no Blender, or its tool refuses the extension.
    """
    runtime = runtime or _newest_runtime()
    check_output(out / f"closeint-{_version(root)}.zip", "extension")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".closeint-extension-", dir=out) as name:
        staged, packed = Path(name) / "closeint", Path(name) / "packed"
        packed.mkdir()
        stage(staged, root)
        build = ["build", f"--source-dir={staged}", f"--output-dir={packed}"]
        _run(runtime.extension_command(build), "Blender's tool cannot build the extension")
        made = next(packed.glob("*.zip"), None)
        if made is None:
            raise BuildError("Blender's tool wrote no zip.")
        repack(made)
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


def _version(root: Path) -> str:
    """The extension's version.

    Raises:
        BuildError: its manifest names none.
    """
    version = re.search(r'^version = "(.+)"$', (root / "blender_manifest.toml").read_text("utf-8"), re.MULTILINE)
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
