#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a release, or change the version.

    python3 scripts/release.py build [--out DIR]     the extension's zip, the wheel, the repository's index, hashes
    python3 scripts/release.py verify DIR            whether a folder is a whole release
    python3 scripts/release.py version [X.Y.Z]       print the version, or write it into every file that has it

The folder that ``build`` makes is a static extension repository: on any web server, the address of its ``index.json``
is what users add under Preferences > Get Extensions > Repositories. The same commit gives the same bytes on the same
versions of Python, setuptools and Blender.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from blender_runtimes import ROOT, BlenderRuntime
from build_extension import BuildError, build_extension, build_repository

sys.path.insert(0, str(ROOT))
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path, require_writable
from closeint_core.streams import guard_output

SUMS = "SHA256SUMS"
"""The file of hashes, as ``sha256sum --check`` reads it."""
SOURCE = "closeint_core/__init__.py"
"""The one place of the version; ``COPIES`` repeat it because their readers run no Python."""
COPIES: dict[str, tuple[str, ...]] = {
    "blender_manifest.toml": (r'^(version = ")([^"]+)', r"^(wheels = .*closeint_core-)([^-]+)(?=-py3)"),
    "CITATION.cff": (r"^(version: )(\S+)",),
}
"""Each file with patterns of two groups, what comes before the version and the version itself."""
_BUILT_AT = re.compile(r"<center><p>Built [^<]*</p></center>\n")
"""The moment that Blender's tool writes into ``index.html``, of which the bytes of a release do not depend."""
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_INDEX_FIELDS = {
    "schema_version", "id", "name", "tagline", "version", "type", "maintainer", "license", "blender_version_min",
    "archive_url", "archive_size", "archive_hash",
}  # fmt: skip
"""What Blender needs to know of an extension in a repository (api version v1)."""


def read_version(root: Path = ROOT) -> str:
    """``closeint_core.__version__`` of a working tree, read without importing it.

    Raises:
        BuildError: there is none.
    """
    for node in ast.parse((root / SOURCE).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__version__" for t in node.targets
        ):
            return str(ast.literal_eval(node.value))
    raise BuildError(f"{SOURCE} has no __version__.")


def other_versions(root: Path = ROOT) -> dict[str, list[str]]:
    """The versions that each file of ``COPIES`` names."""
    return {
        name: [
            found[1]
            for pattern in patterns
            for found in re.findall(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        ]
        for name, patterns in COPIES.items()
    }


def write_version(version: str, root: Path = ROOT) -> None:
    """Write the version into ``SOURCE`` and ``COPIES``.

    Raises:
        BuildError: it is not three numbers, or a file does not name a version where it should.
    """
    if not _VERSION.fullmatch(version):
        raise BuildError(f"{version!r} is no version: three numbers are needed, such as 0.3.0.")
    places = {SOURCE: (r'^(__version__ = ")([^"]+)',), **COPIES}
    texts = {name: (root / name).read_text(encoding="utf-8") for name in places}
    for name, patterns in places.items():
        for pattern in patterns:
            texts[name], count = re.subn(pattern, rf"\g<1>{version}", texts[name], flags=re.MULTILINE)
            if count != 1:
                raise BuildError(f"{name} names its version {count} times where it should once.")
    for name, text in texts.items():
        with atomic_path(root / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def changes_of(version: str, root: Path = ROOT) -> str:
    """What ``CHANGELOG.md`` says of a version; empty if it says nothing."""
    parts = re.split(r"^## (.+)\n", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {title.split()[0]: text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    return sections.get(version, "")


def check_tree(root: Path = ROOT) -> str:
    """See that a working tree can be released, and return its version.

    Raises:
        BuildError: a file is changed or not committed, the files disagree on the version, or the changelog lacks it.
    """
    version = read_version(root)
    for name, versions in other_versions(root).items():
        if set(versions) != {version} or len(versions) != len(COPIES[name]):
            said = " and ".join(versions) or "no version"
            raise BuildError(
                f"{name} says {said}, closeint_core says {version}. Run scripts/release.py version {version}."
            )
    if not changes_of(version, root):
        raise BuildError(f"CHANGELOG.md has no section '## {version}', or an empty one. Write what changed there.")
    changed = _git(["status", "--porcelain"], root).splitlines()
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise BuildError(f"The working tree is not clean: {changed[0][3:]}{more}. Commit or remove it first.")
    return version


def _git(arguments: list[str], root: Path) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"git cannot be run ({error.strerror}).") from error
    if done.returncode != 0:
        raise BuildError(f"git says: {done.stderr.strip() or 'nothing'}.")
    return done.stdout


def build_release(out: Path, runtime: BlenderRuntime | None = None, root: Path = ROOT) -> list[Path]:
    """Make the folder of a release.

    Args:
        out: new, or empty. It is written whole or not at all.
        runtime: the Blender whose tool is used; the newest of this machine by default.
        root: the working tree, which has to be committed.

    Returns:
        Its files.

    Raises:
        BuildError: the tree cannot be released, there is no Blender, or its tool refuses something.
        CloseintError: the folder holds something, or cannot be written to.
    """
    check_tree(root)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CloseintError(f"{out} is not an empty folder.", "Choose a new folder as --out, or move that one away.")
    require_writable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".closeint-release-", dir=out.parent) as name:
        folder = Path(name) / "release"
        archive = build_extension(folder, runtime, root)
        with zipfile.ZipFile(archive) as content:
            (wheel,) = [entry for entry in content.namelist() if entry.endswith(".whl")]
            (folder / Path(wheel).name).write_bytes(content.read(wheel))
        build_repository(archive, folder, runtime)
        page = folder / "index.html"
        page.write_text(_BUILT_AT.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")
        files = sorted(path for path in folder.iterdir() if path.is_file())
        (folder / SUMS).write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in files), encoding="utf-8")
        verify_release(folder)
        if out.exists():
            out.rmdir()
        os.replace(folder, out)
    return sorted(out.iterdir())


def verify_release(folder: Path) -> str:
    """See that a folder is a whole release, and return its version: hashes, index, and that the zip holds the wheel.

    Raises:
        BuildError: naming the first thing that does not fit.
    """
    listed = _read_sums(folder)
    for path in sorted(folder.iterdir()):
        if path.name != SUMS and path.name not in listed:
            raise BuildError(f"{path.name} is not in {SUMS}.")
    for name, wanted in listed.items():
        path = folder / name
        if not path.is_file():
            raise BuildError(f"{name} is missing from {folder}.")
        if _sha256(path) != wanted:
            raise BuildError(f"{name} is damaged: its sha256 is not the one in {SUMS}.")
    entry = _only_entry(folder)
    archive = folder / str(entry["archive_url"]).removeprefix("./")
    if not archive.is_file() or archive.parent != folder:
        raise BuildError(f"index.json points to {entry['archive_url']}, which is not in {folder}.")
    if entry["archive_size"] != archive.stat().st_size or entry["archive_hash"] != f"sha256:{_sha256(archive)}":
        raise BuildError(f"index.json gives another size or hash than {archive.name} has.")
    wheel = f"closeint_core-{entry['version']}-py3-none-any.whl"
    with zipfile.ZipFile(archive) as content:
        inside = content.read(f"wheels/{wheel}") if f"wheels/{wheel}" in content.namelist() else b""
    if not (folder / wheel).is_file() or (folder / wheel).read_bytes() != inside:
        raise BuildError(f"{wheel} is not the wheel in {archive.name}.")
    return str(entry["version"])


def _read_sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BuildError(f"{folder} has no readable {SUMS}, so it is no release.") from error
    found = [re.fullmatch(r"([0-9a-f]{64})  ([^/\\]+)", line) for line in lines]
    if not all(found):
        raise BuildError(f"{SUMS} has a line that is no hash with a name.")
    return {match[2]: match[1] for match in found if match}


def _only_entry(folder: Path) -> dict[str, Any]:
    """The extension in ``index.json``.

    Raises:
        BuildError: it is no index of a repository (api version v1) with this extension alone.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{folder} has no readable index.json.") from error
    known = isinstance(index, dict) and index.get("version") == "v1" and isinstance(index.get("blocklist"), list)
    if not known or not isinstance(index.get("data"), list) or len(index["data"]) != 1:
        raise BuildError("index.json is no index of one extension (api version v1).")
    entry: dict[str, Any] = index["data"][0]
    missing = sorted(_INDEX_FIELDS - entry.keys())
    if missing:
        raise BuildError(f"index.json lacks {', '.join(missing)}.")
    return entry


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="make a release from a clean working tree")
    build.add_argument("--out", type=Path, help="a new folder (default: dist/VERSION)")
    verify = commands.add_parser("verify", help="see whether a folder is a whole release")
    verify.add_argument("folder", type=Path)
    version = commands.add_parser("version", help="print the version, or change it everywhere")
    version.add_argument("new", nargs="?", metavar="X.Y.Z")
    options = parser.parse_args(arguments)
    guard_output()
    try:
        if options.command == "build":
            for path in build_release(options.out or ROOT / "dist" / read_version()):
                print(path)
        elif options.command == "verify":
            print(f"{options.folder} is the whole release {verify_release(options.folder)}.")
        else:
            if options.new:
                write_version(options.new)
            print(read_version())
    except (BuildError, CloseintError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
