# SPDX-License-Identifier: Apache-2.0
"""Versions, and whole releases: what is in them, their hashes, and that Blender reads the repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import release
from blender_runtimes import ROOT, BlenderRuntime, find_runtimes
from build_extension import BuildError

import closeint_core

FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore", "CHANGELOG.md", *release.COPIES)


def make_tree(root: Path) -> Path:
    """A committed working tree like this one but for the models and samples, which are large."""
    large = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.onnx", "*.mp4", "*.npz")
    for name in ("closeint_core", "closeint_blender"):
        shutil.copytree(ROOT / name, root / name, ignore=large)
    for name in FILES:
        shutil.copy2(ROOT / name, root / name)
    git(root, "init", "--quiet")
    commit(root)
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "as it is")


def test_one_version() -> None:
    assert release.read_version() == closeint_core.__version__
    assert release.other_versions() == {
        "blender_manifest.toml": [closeint_core.__version__] * 2, "CITATION.cff": [closeint_core.__version__],
    }  # fmt: skip
    assert release.changes_of(closeint_core.__version__), "the changelog lacks this version"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'version = {attr = "closeint_core.__version__"}' in project


def test_the_tree_is_checked(tree: Path) -> None:
    assert release.check_tree(tree) == closeint_core.__version__
    (tree / "note.txt").write_text("precious")
    with pytest.raises(BuildError, match=r"not clean: note\.txt\. Commit"):
        release.check_tree(tree)
    (tree / "note.txt").unlink()
    release.write_version("9.8.7", tree)
    assert release.read_version(tree) == "9.8.7"
    assert (tree / "blender_manifest.toml").read_text().count("9.8.7") == 2
    assert 'wheels = ["./wheels/closeint_core-9.8.7-py3-none-any.whl"]' in (tree / "blender_manifest.toml").read_text()
    with pytest.raises(BuildError, match=r"no section '## 9\.8\.7'"):
        release.check_tree(tree)
    changes = (tree / "CHANGELOG.md").read_text()
    (tree / "CHANGELOG.md").write_text(changes.replace("## Unreleased\n", "## 9.8.7\n\n## 9.8.6\n", 1))
    with pytest.raises(BuildError, match="or an empty one"):
        release.check_tree(tree)
    (tree / "CHANGELOG.md").write_text(changes.replace("## Unreleased\n", "## 9.8.7\n\n- More.\n", 1))
    with pytest.raises(BuildError, match=r"not clean: .* and 3 more"):
        release.check_tree(tree)
    commit(tree)
    assert release.check_tree(tree) == "9.8.7"
    citation = tree / "CITATION.cff"
    citation.write_text(citation.read_text().replace("9.8.7", "9.8.6"))
    with pytest.raises(BuildError, match=r"CITATION\.cff says 9\.8\.6, closeint_core says 9\.8\.7"):
        release.check_tree(tree)


def test_what_is_no_version(tree: Path) -> None:
    for version in ("1.2", "v1.2.3", "1.2.3\n", "../1", "1.2.3-py3"):
        with pytest.raises(BuildError, match="is no version"):
            release.write_version(version, tree)
    assert release.read_version(tree) == closeint_core.__version__
    (tree / "CITATION.cff").write_text("title: nothing\n")
    with pytest.raises(BuildError, match=r"CITATION\.cff names its version 0 times"):
        release.write_version("1.2.3", tree)
    assert release.read_version(tree) == closeint_core.__version__, "some files were changed and others not"


# -- a whole release ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runtime() -> BlenderRuntime:
    found = find_runtimes()
    if not found:
        pytest.skip("no Blender: set CLOSEINT_BPY_PYTHONS, make .envs/bpy-*, or put blender on PATH")
    return found[-1]


@pytest.fixture(scope="module")
def folder(runtime: BlenderRuntime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("release")
    release.build_release(place / "dist" / "new", runtime, make_tree(place / "tree"))
    return place / "dist" / "new"


def test_a_release(folder: Path) -> None:
    version = closeint_core.__version__
    archive, wheel = folder / f"closeint-{version}.zip", folder / f"closeint_core-{version}-py3-none-any.whl"
    names = {archive.name, wheel.name, "index.json", "index.html", "SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == names
    assert release.verify_release(folder) == version
    (entry,) = json.loads((folder / "index.json").read_text())["data"]
    assert entry["archive_hash"] == f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    assert entry["archive_size"] == archive.stat().st_size
    assert (entry["id"], entry["type"], entry["version"]) == ("closeint", "add-on", version)
    checked = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert checked.returncode == 0, checked.stdout
    left = [path.name for path in folder.parent.iterdir()]
    assert left == ["new"], "something temporary was left"


def test_the_same_bytes_twice(folder: Path, runtime: BlenderRuntime, tree: Path, tmp_path: Path) -> None:
    for path in tree.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
    release.build_release(tmp_path / "again", runtime, tree)
    assert (tmp_path / "again" / "SHA256SUMS").read_bytes() == (folder / "SHA256SUMS").read_bytes()


def test_blender_reads_the_repository(folder: Path, runtime: BlenderRuntime, tmp_path: Path) -> None:
    """Blender's own tool, as behind Get Extensions: it lists the repository, downloads the zip and checks its hash."""

    def tool(command: str, *arguments: str) -> str:
        options = [command, *arguments, f"--remote-url={(folder / 'index.json').as_uri()}", f"--local-dir={tmp_path}"]
        if not runtime.is_module:
            pytest.skip("only the module's tool takes addresses")
        done = subprocess.run(runtime.extension_command(options), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "error" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
        return done.stdout

    tool("sync", "--online-user-agent=test", "--access-token=")
    assert "closeint" in (tmp_path / ".blender_ext" / "index.json").read_text()
    tool("install", "closeint", "--local-cache=0", "--blender-version=4.5.0")
    manifest = (tmp_path / "closeint" / "blender_manifest.toml").read_text()
    assert f'version = "{closeint_core.__version__}"' in manifest


def test_damage_is_noticed(folder: Path, tmp_path: Path) -> None:
    def damaged(name: str, content: bytes | None) -> Path:
        copy = tmp_path / name.replace(".", "-")
        shutil.copytree(folder, copy)
        (copy / name).unlink(missing_ok=True)
        if content is not None:
            (copy / name).write_bytes(content)
        return copy

    wheel = next(folder.glob("*.whl")).name
    archive = next(folder.glob("*.zip")).name
    with pytest.raises(BuildError, match=r"\.whl is damaged"):
        release.verify_release(damaged(wheel, b"PK"))
    with pytest.raises(BuildError, match=r"\.zip is missing"):
        release.verify_release(damaged(archive, None))
    with pytest.raises(BuildError, match="no readable SHA256SUMS"):
        release.verify_release(damaged("SHA256SUMS", None))
    with pytest.raises(BuildError, match=r"more\.txt is not in SHA256SUMS"):
        release.verify_release(damaged("more.txt", b""))
    # An index that its own hash confirms, but which describes another zip.
    copy = tmp_path / "index"
    shutil.copytree(folder, copy)
    index = json.loads((copy / "index.json").read_text())
    index["data"][0]["archive_size"] += 1
    (copy / "index.json").write_text(json.dumps(index))
    sums = (copy / "SHA256SUMS").read_text().splitlines()
    new = hashlib.sha256((copy / "index.json").read_bytes()).hexdigest()
    lines = [f"{new}  index.json" if line.endswith("  index.json") else line for line in sums]
    (copy / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    with pytest.raises(BuildError, match=r"another size or hash than closeint-.*\.zip has"):
        release.verify_release(copy)


def test_nothing_is_written_over(folder: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(release.CloseintError, match="is not an empty folder"):
        release.build_release(tmp_path, root=tree)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "tree"}
    assert release.main(["verify", str(tmp_path)]) == 2
    assert "so it is no release" in capsys.readouterr().err
    assert release.main(["verify", str(folder)]) == 0
    assert release.main(["version"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == closeint_core.__version__
