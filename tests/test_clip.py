# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import random_clip

from closeint_core.clip import FORMAT, InteractionClip
from closeint_core.errors import CloseintError


def same(a: InteractionClip, b: InteractionClip) -> bool:
    for f in dataclasses.fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        equal = np.array_equal(x, y, equal_nan=True) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else None
        if equal is None:
            equal = np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y
        if not equal:
            return False
    return True


@settings(max_examples=20, deadline=None)
@given(people=st.integers(1, 3), frames=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_saved_clip_comes_back_unchanged(tmp_path_factory, people, frames, seed):
    clip = random_clip(people, frames, seed=seed)
    path = tmp_path_factory.mktemp("clip") / "a.closeint.npz"
    assert clip.save(path) == path
    assert same(clip, InteractionClip.load(path))
    assert os.listdir(path.parent) == [path.name]


def test_the_file_is_as_documented(tmp_path):
    random_clip().save(tmp_path / "a.closeint.npz")
    with np.load(tmp_path / "a.closeint.npz", allow_pickle=False) as data:
        assert str(data["format"]) == FORMAT == "closeint-clip/1"
        kinds = {key: data[key].dtype.kind + str(data[key].dtype.itemsize) for key in data.files}
    for key in (
        "poses",
        "transl",
        "betas",
        "camera_K",
        "camera_R",
        "camera_t",
        "keypoints2d",
        "contacts",
        "foot_contacts",
    ):
        assert kinds[key] == "f4"
    assert (kinds["fps"], kinds["frame_start"], kinds["image_size"], kinds["visible"]) == ("f8", "i8", "i8", "b1")
    assert all(kinds[key].startswith("U") for key in ("format", "body", "video", "metadata"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"poses": np.zeros((2, 5, 24))}, "poses has shape"),
        ({"poses": np.zeros((2, 0, 24, 3))}, "poses has shape"),
        ({"transl": np.zeros((2, 4, 3))}, "transl has shape"),
        ({"camera_K": np.zeros((3, 3, 3))}, "camera_K has shape"),
        ({"betas": np.zeros(10)}, "betas has shape"),
        ({"poses": np.full((2, 5, 24, 3), np.nan)}, "not finite"),
        ({"body": "mannequin"}, "unknown"),
        ({"fps": 0.0}, "fps"),
        ({"image_size": np.array([0, 5])}, "not positive"),
        ({"transl": "somewhere"}, "transl"),
        ({"transl": np.full((2, 5, 3), "1.0")}, "transl does not convert"),
        ({"transl": None}, "transl does not convert"),
        ({"transl": [[1, 2], [3]]}, "transl does not convert"),
        ({"transl": np.full((2, 5, 3), 1e30)}, "transl holds values above"),
        ({"poses": np.zeros((2, 5, 52, 3)), "contacts": np.zeros((2, 5, 52))}, "52 joints and 10 shape coefficients"),
        ({"betas": np.zeros((2, 16))}, "24 joints and 16 shape coefficients; the body .* has 24 and 10"),
        ({"body": None}, "the body None is unknown"),
        ({"fps": "25"}, "fps is '25', not a number"),
        ({"fps": None}, "fps is None, not a number"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"frame_start": 0.5}, "frame_start is 0.5, not a whole number"),
        ({"frame_start": float("inf")}, "frame_start is inf"),
        ({"frame_start": "x"}, "frame_start is 'x', not a number"),
        ({"image_size": np.array([np.nan, 5])}, "image_size does not convert"),
        ({"image_size": np.array([10**9, 5])}, "image_size is .* beyond 100000"),
        ({"camera_K": np.diag([0.0, 800.0, 1.0])[None]}, "focal length 0, not a positive one"),
        ({"camera_K": np.diag([800.0, -800.0, 1.0])[None]}, "focal length -800"),
        ({"camera_K": np.diag([800.0, 800.0, 0.0])[None]}, "last row of camera_K"),
        ({"camera_R": np.zeros((1, 3, 3))}, "camera_R is not a rotation"),
        ({"camera_R": np.diag([1.0, 1.0, -1.0])[None]}, "camera_R is not a rotation"),
        ({"metadata": ["x"]}, "metadata is not a JSON object"),
    ],
)
def test_an_invalid_clip_is_refused_by_name(change, says):
    with pytest.raises(CloseintError, match=says):
        random_clip().copy(**change).validate()


def test_an_unknown_format_says_what_was_found(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, format="closeint-clip/9")
    with pytest.raises(CloseintError, match="closeint-clip/9"):
        InteractionClip.load(path)
    np.savez(path, other=1)
    with pytest.raises(CloseintError, match="names no format"):
        InteractionClip.load(path)


def test_damaged_files_are_refused(tmp_path):
    good = tmp_path / "good.closeint.npz"
    random_clip().save(good)
    data = good.read_bytes()
    bad = tmp_path / "bad.closeint.npz"
    rng = np.random.default_rng(0)
    for size in (0, 10, len(data) // 2, len(data) - 30):
        bad.write_bytes(data[:size])
        with pytest.raises(CloseintError):
            InteractionClip.load(bad)
    for _ in range(20):
        broken = bytearray(data)
        for position in rng.integers(200, len(data), 50):
            broken[position] ^= 0xFF
        bad.write_bytes(broken)
        with pytest.raises(CloseintError):
            InteractionClip.load(bad)
    with pytest.raises(CloseintError, match="no clip file"):
        InteractionClip.load(tmp_path / "missing.npz")


class _Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_pickle_in_a_clip_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = tmp_path / "good.closeint.npz"
    random_clip().save(good)
    evil = tmp_path / "evil.closeint.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(evil, "w") as target:
        for name in source.namelist():
            content = header.getvalue() + pickle.dumps(_Runs()) if name == "metadata.npy" else source.read(name)
            target.writestr(name, content)
    with pytest.raises(CloseintError):
        InteractionClip.load(evil)
    evil.write_bytes(pickle.dumps(_Runs()))
    with pytest.raises(CloseintError):
        InteractionClip.load(evil)
    assert not Path("ran").exists()


def test_a_clip_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.closeint.npz"
    random_clip(seed=1).save(path)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(CloseintError, match="No space left"):
        random_clip(seed=2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_projection_is_the_pinhole_camera():
    clip = random_clip()
    point = np.array([0.3, 1.0, 0.9])
    x, y, z = clip.camera_R[0] @ point + clip.camera_t[0]
    pixels = clip.project(np.broadcast_to(point, (5, 1, 3)))
    assert np.allclose(pixels, [800 * x / z + 320, 800 * y / z + 240], atol=1e-3)


def test_reading_a_clip_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, closeint_core, closeint_core.clip, closeint_core.body.data, closeint_core.body.skinning;"
        "assert not {'torch', 'scipy', 'cv2'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metadata_that_json_has_not_is_refused_before_anything_is_written(tmp_path):
    for value in (float("nan"), np.zeros(2), {1, 2}):
        with pytest.raises(CloseintError, match="metadata holds what JSON does not"):
            random_clip().copy(metadata={"x": value}).save(tmp_path / "a.closeint.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000, "nonsense"])
def test_metadata_that_is_no_object_is_refused(tmp_path, text):
    path = tmp_path / "a.closeint.npz"
    random_clip().save(path)
    with np.load(path) as data:
        arrays = dict(data)
    np.savez(path, **{**arrays, "metadata": text})
    with pytest.raises(CloseintError, match="metadata"):
        InteractionClip.load(path)
    np.savez(path, **{**arrays, "metadata": '{"a": NaN, "b": [Infinity]}'})  # as Python writes it
    assert InteractionClip.load(path).metadata == {"a": None, "b": [None]}
    InteractionClip.load(path).save(path)
