# SPDX-License-Identifier: Apache-2.0
"""The checked readers against numpy's own and the standard library's, and what they refuse."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from closeint_core.cli import app, run
from closeint_core.errors import CloseintError
from closeint_core.foreign_files import parse_json, read_array, read_arrays, read_bytes, read_json, read_text, said

KINDS = st.sampled_from(["f2", "<f4", ">f4", "f8", "i1", "<i8", ">u4", "?", "<U5", "S3"])


@given(
    KINDS.flatmap(lambda kind: arrays.arrays(np.dtype(kind), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0))),
    st.booleans(),
)
@settings(max_examples=150)
def test_arrays_come_back_as_numpy_reads_them(
    tmp_path_factory: pytest.TempPathFactory, value: np.ndarray, fortran: bool
) -> None:
    path = tmp_path_factory.mktemp("a") / "a.npz"
    value = np.asfortranarray(value) if fortran else value
    np.savez_compressed(path, a=value, b=np.arange(3), hidden=np.array([None]))
    found = read_arrays(path, "an archive", ("a", "b", "missing"))
    assert set(found) == {"a", "b"}
    assert found["a"].dtype == value.dtype
    np.testing.assert_array_equal(found["a"], value)
    assert found["b"].flags.writeable
    np.save(path.with_suffix(".npy"), value)
    np.testing.assert_array_equal(read_array(path.with_suffix(".npy"), "an array"), value)


def test_arrays_of_other_versions_are_read(tmp_path: Path) -> None:
    value = np.arange(6.0).reshape(2, 3)
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(tmp_path / "a.npy", "wb") as file:
            np.lib.format.write_array(file, value, version)
        np.testing.assert_array_equal(read_array(tmp_path / "a.npy", "an array"), value)
    # As Python 2 wrote it, with long integers.
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 3L), }\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "a.npy").write_bytes(start + value.tobytes())
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy", "an array"), value)


def test_a_claim_of_terabytes_takes_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(80)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    tracemalloc.start()
    try:
        for read in (read_array, read_arrays):
            with pytest.raises(CloseintError, match="1000000 x 1000000"):
                read(tmp_path / ("a.npy" if read is read_array else "a.npz"), "an array")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_much_that_packs_well_is_read_and_a_bomb_is_not(tmp_path: Path) -> None:
    """Motion that stands still packs to a thousandth; gigabytes out of a megabyte do not come from anybody."""
    still = np.zeros((2, 20_000, 24, 3), np.float32)
    np.savez_compressed(tmp_path / "a.npz", poses=still)
    assert read_arrays(tmp_path / "a.npz", "a clip")["poses"].shape == still.shape
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        file.write(b"\x93NUMPY\x01\x00")
        for _ in range(300):
            file.write(bytes(1 << 20))
    (tmp_path / "b.npz").write_bytes(stream.getvalue())
    with pytest.raises(CloseintError, match=r"claims to unpack to 0\.3 GB"):
        read_arrays(tmp_path / "b.npz", "a clip")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    for path, what in (
        (tmp_path, "not a file"),
        (tmp_path / "x", "no file of this name"),
        ("a" * 5000, "no file"),
        ("a\0b", "no file"),
    ):
        for read in (read_bytes, read_text, read_json, read_arrays, read_array):
            with pytest.raises(CloseintError, match=what):
                read(path, "a thing")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
        with pytest.raises(CloseintError, match="not a file"):
            read_bytes(tmp_path / "pipe", "a thing")
    (tmp_path / "long").write_bytes(bytes(100))
    with pytest.raises(CloseintError, match="too long"):
        read_bytes(tmp_path / "long", "a thing", 99)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_json_is_as_the_standard_library_reads_it(value: object) -> None:
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text)


@given(st.integers() | st.text() | st.binary() | st.lists(st.integers()) | st.just(10**10_000))
def test_what_is_said_is_short(value: object) -> None:
    assert 0 < len(said(value)) <= 60


@pytest.mark.parametrize("command", ["metrics", "preview", "export", "import", "train"])
def test_commands_end_in_a_sentence_and_exit_code_2(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, content in enumerate(
        (b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00" + bytes(30), b"[" * 100_000, b"\x80\x02}.")
    ):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        rest = {"metrics": [], "train": [], "export": ["--format", "amass"]}.get(command, [])
        output = [] if command in ("metrics", "train") else ["-o", str(tmp_path / "out")]
        name = ["--config", str(path)] if command == "train" else [str(path)]
        code = run(lambda given=[command, *name, *rest, *output]: app(given, standalone_mode=False))
        assert code == 2
        said_so = " ".join(capsys.readouterr().err.split())
        assert said_so.startswith("Error:")
        assert "Traceback" not in said_so
    assert not (tmp_path / "out").exists()
