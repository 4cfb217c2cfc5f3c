# SPDX-License-Identifier: Apache-2.0
"""Outputs: whole or not at all, never over somebody else's file, folders only when there is something to put in."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import random_clip

from closeint_core.errors import CloseintError
from closeint_core.files import (
    atomic_folder,
    atomic_path,
    check_folder,
    check_output,
    folder_kind,
    mark_folder,
    require_writable,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """What must never be lost."""
    path = tmp_path / "Wedding.mp4"
    path.write_bytes(b"the only copy")
    return path


def refused(path: Path | str, kind: str = "clip", inputs: tuple = ()) -> str:
    with pytest.raises(CloseintError) as caught:
        check_output(path, kind, inputs)
    assert caught.value.fix
    return caught.value.message


def test_a_new_file_in_a_new_folder_makes_nothing(tmp_path, video):
    assert check_output(tmp_path / "a" / "b" / "c.npz", "clip", [video]) == tmp_path / "a" / "b" / "c.npz"
    assert list(tmp_path.iterdir()) == [video]


def test_the_input_itself(tmp_path, video, monkeypatch):
    assert "is the input itself" in refused(video, inputs=(video,))
    monkeypatch.chdir(tmp_path)
    assert "is the input itself" in refused("Wedding.mp4", inputs=(video,))
    assert "is the input itself" in refused(tmp_path / "." / "Wedding.mp4", inputs=("Wedding.mp4",))


@POSIX
def test_the_input_by_another_name(tmp_path, video):
    (tmp_path / "soft.npz").symlink_to(video)
    os.link(video, tmp_path / "hard.npz")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("soft.npz", "hard.npz", "folder/Wedding.mp4"):
        assert "is the input itself" in refused(tmp_path / name, inputs=(video,))


def test_the_input_in_other_letters(tmp_path, video):
    other = tmp_path / "WEDDING.MP4"
    if not other.exists():
        pytest.skip("this file system tells capital letters apart")
    assert "is the input itself" in refused(other, inputs=(video,))


def test_a_clip_of_ours_is_replaced_but_not_the_one_that_is_read(tmp_path):
    path = random_clip(frames=2).save(tmp_path / "a.closeint.npz")
    check_output(path, "clip")
    assert "is the input itself" in refused(path, inputs=(path,))
    assert "not an npz file" in refused(path, "npz")


@pytest.mark.parametrize("content", [b"", b"notes", b"PK\x03\x04 damaged"])
def test_a_file_of_somebody_else(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert "not a clip that closeint wrote" in refused(tmp_path / "a.npz")


def test_somebody_elses_npz(tmp_path):
    np.savez(tmp_path / "a.npz", format="closeint", poses=np.zeros(3))
    refused(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", poses=np.zeros(3))
    refused(tmp_path / "b.npz")


def test_a_picture_among_the_input(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "0001.png"), np.zeros((4, 4, 3), np.uint8))
    refused(frames / "0001.png", "clip", (frames,))
    refused(frames / "0001.png", "picture", (frames,))
    assert "would become a picture of the input" in refused(frames / "preview.png", "picture", (frames,))
    check_output(frames / "result.closeint.npz", "clip", [frames])


def test_folders_and_names_that_are_none(tmp_path):
    assert "is a folder" in refused(tmp_path)
    for name in ("", ".", "..", "-", "/"):
        refused(name)
    assert "null" in refused("a\0b.npz")
    assert "too long" in refused(tmp_path / f"{'n' * 300}.npz")


@POSIX
def test_devices_are_not_replaced():
    before = os.stat(os.devnull)
    assert "not an ordinary file" in refused(os.devnull)
    with pytest.raises(CloseintError, match="not a file"), atomic_path(os.devnull) as temporary:
        temporary.write_bytes(b"x")
    assert os.stat(os.devnull).st_mode == before.st_mode


def test_a_file_where_a_folder_should_be(tmp_path, video):
    assert "is a file, not a folder" in refused(video / "a.npz")
    assert "is a file, not a folder" in refused(video / "b" / "a.npz")
    with pytest.raises(CloseintError, match="is a file, not a folder"):
        require_writable(video / "b")


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_folders_that_take_nothing(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    assert "Cannot write" in refused(locked / "a.npz")
    assert "Cannot write" in refused(locked / "new" / "a.npz")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = random_clip(frames=2).save(tmp_path / "a.closeint.npz")
    before = path.read_bytes()
    with pytest.raises(CloseintError, match="No space left"), atomic_path(path), open("/dev/full", "wb", 0) as file:
        file.write(b"x")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@POSIX
def test_a_link_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.npz").symlink_to(tmp_path / "disk" / "a.npz")
    check_output(tmp_path / "a.npz", "clip")
    random_clip(frames=2).save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["a.npz"]


@POSIX
def test_everything_is_written_with_the_users_umask(tmp_path):
    import torch

    from closeint_core.denoiser.checkpoint import save_weights
    from closeint_core.exchange.export import export_clip
    from closeint_core.preview.preview import write_preview

    clip, umask = random_clip(frames=1), 0o027
    before = os.umask(umask)
    try:
        clip.save(tmp_path / "a.closeint.npz")
        save_weights(tmp_path / "a.safetensors", "toy", {}, {"w": torch.ones(2)}, torch.float32)
        write_preview(clip, tmp_path / "preview.mp4", tmp_path / "preview.png", None)
        for kind in ("amass", "joints", "closeint-pkl", "obj"):
            export_clip(clip, tmp_path / kind, kind)
        with atomic_path(tmp_path / "renamed.npz") as temporary:  # a library that writes a private file and renames it
            private = temporary.with_name("private")
            private.touch(0o600)
            os.replace(private, temporary)
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 5 + 2 + 1 + 3 + 3


def test_a_folder_of_ours_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "meshes"
    for names in (("1_0.obj", "2_0.obj"), ("3_0.obj",)):
        with atomic_folder(folder, "obj", ["[0-9]*_[0-9]*.obj"]) as temporary:
            for name in names:
                (temporary / name).write_text(name)
    assert sorted(path.name for path in folder.iterdir()) == ["3_0.obj", "closeint.json"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failure_leaves_the_folder_as_it_was(tmp_path):
    folder = tmp_path / "meshes"
    with atomic_folder(folder, "obj", ["*.obj"]) as temporary:
        (temporary / "1.obj").write_text("one")

    def interrupted() -> None:
        with atomic_folder(folder, "obj", ["*.obj"]) as temporary:
            (temporary / "2.obj").write_text("two")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert sorted(path.name for path in folder.iterdir()) == ["1.obj", "closeint.json"]
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "new", "obj", ["*.obj"]):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_somebody_else(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    check_folder(folder, "obj", own=["*.obj"])
    (folder / "head.obj").write_text("sculpted for a week")
    with pytest.raises(CloseintError, match="not one that closeint wrote"):
        check_folder(folder, "obj", own=["*.obj"])
    mark_folder(folder, "obj")
    check_folder(folder, "obj", own=["*.obj"])
    with pytest.raises(CloseintError, match="not one that closeint wrote"):
        check_folder(folder, "closeint-pkl", own=["*.obj"])
    (folder / "deeper").mkdir()
    (folder / "deeper" / "notes.txt").write_text("mine")
    with pytest.raises(CloseintError, match=r"deeper/notes\.txt"):
        check_folder(folder, "obj", own=["*.obj"])
    with pytest.raises(CloseintError, match="is a file"):
        check_folder(folder / "head.obj", "obj", own=["*.obj"])
    assert (folder / "head.obj").read_text() == "sculpted for a week"


def test_folders_in_which_others_may_keep_things(tmp_path):
    """Runs go on in a folder where somebody put a log beside them, but do not begin in one."""
    (tmp_path / "train.log").write_text("...")
    with pytest.raises(CloseintError, match=r"train\.log"):
        check_folder(tmp_path, "training", signs=["prior_checkpoint.pt"])
    (tmp_path / "prior_checkpoint.pt").write_text("of an earlier version")
    check_folder(tmp_path, "training", signs=["prior_checkpoint.pt"])
    (tmp_path / "prior_checkpoint.pt").unlink()
    mark_folder(tmp_path, "training")
    assert folder_kind(tmp_path) == "training"
    check_folder(tmp_path, "training")
    (tmp_path / "closeint.json").write_text("[" * 100_000)
    assert folder_kind(tmp_path) is None


def test_the_standard_library_is_enough():
    """Blender and the scripts check outputs where nothing is installed."""
    import subprocess

    code = "import sys; import closeint_core.files; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
