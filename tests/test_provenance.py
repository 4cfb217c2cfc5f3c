# SPDX-License-Identifier: Apache-2.0
"""Marks: found in what we write, lost in what others save, and harmless to other readers."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clips import random_clip

from closeint_core.exchange.export import export_clip
from closeint_core.provenance import KINDS, MARK, is_ours, put_mark
from closeint_core.video.source import open_source
from closeint_core.video.writer import VideoWriter


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures(tmp_path, suffix):
    image = np.random.default_rng(0).integers(0, 255, (31, 47, 3), dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), image)
    before = cv2.imread(str(path))
    assert not is_ours(path, "picture")
    put_mark(path, "picture")
    assert is_ours(path, "picture")
    assert np.array_equal(cv2.imread(str(path)), before)
    cv2.imwrite(str(path), before)  # somebody drew on it and saved it
    assert not is_ours(path, "picture")


def test_the_mark_of_a_png_is_a_chunk_as_its_format_asks_for(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 5, 3), np.uint8))
    put_mark(tmp_path / "a.png", "picture")
    data, at, names = (tmp_path / "a.png").read_bytes(), 8, []
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(data[at + 4 : at + 8 + size])
        names.append(data[at + 4 : at + 8])
        at += 12 + size
    assert names[:2] == [b"IHDR", b"tEXt"]
    assert names[-1] == b"IEND"


def test_videos(tmp_path):
    with VideoWriter(tmp_path / "ours.mp4", 25) as writer:
        for value in range(3):
            writer.write(np.full((32, 48, 3), 80 * value, np.uint8))
    assert is_ours(tmp_path / "ours.mp4", "video")
    assert len(list(open_source(tmp_path / "ours.mp4"))) == 3
    sample = Path(__file__).resolve().parents[1] / "closeint_core" / "samples" / "greeting.mp4"
    assert not is_ours(sample, "video")


def test_npz_files(tmp_path):
    clip = random_clip(frames=2)
    clip.save(tmp_path / "a.closeint.npz")
    (joints,) = export_clip(clip, tmp_path / "joints.npz", "joints")
    assert is_ours(tmp_path / "a.closeint.npz", "clip")
    assert not is_ours(joints, "clip")
    assert is_ours(joints, "npz")
    with np.load(joints) as archive:
        arrays = dict(archive)
    np.savez(joints, **arrays)
    assert not is_ours(joints, "npz")


def _glb(content: dict) -> bytes:
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    rest = struct.pack("<I4s", 4, b"BIN\0") + b"1234"
    return (
        struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + rest
    )


def test_glb(tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(_glb({"asset": {"version": "2.0"}, "nodes": [{"name": "Häns"}]}))
    assert not is_ours(path, "glb")
    put_mark(path, "glb")
    assert is_ours(path, "glb")
    data = path.read_bytes()
    magic, version, total, length = struct.unpack("<4sIII", data[:16])
    assert (magic, version, total) == (b"glTF", 2, len(data))
    content = json.loads(data[20 : 20 + length])
    assert content["nodes"][0]["name"] == "Häns"
    assert length % 4 == 0
    assert data[20 + length :] == struct.pack("<I4s", 4, b"BIN\0") + b"1234"


def _zstd_file(frames: int) -> bytes:
    """As Blender writes it: frames, then a seek table (the frames' content does not matter here)."""
    body = b"".join(struct.pack("<I", 0xFD2FB528) + bytes([i]) * 20 for i in range(frames))
    entries = struct.pack("<II", 24, 100) * frames
    table = entries + struct.pack("<IBI", frames, 0, 0x8F92EAB1)
    return body + struct.pack("<II", 0x184D2A5E, len(table)) + table


@pytest.mark.parametrize("frames", [1, 7])
def test_the_mark_of_a_blend_lies_before_its_seek_table(tmp_path, frames):
    path, data = tmp_path / "a.blend", _zstd_file(frames)
    path.write_bytes(data)
    assert not is_ours(path, "blend")
    put_mark(path, "blend")
    assert is_ours(path, "blend")
    table = len(data) - 24 * frames
    marked = path.read_bytes()
    assert (marked[: 24 * frames], marked[-table:]) == (data[: 24 * frames], data[-table:])
    # a frame to skip: magic 0x184D2A50 to 5F and the size of what follows, so that readers step over it
    magic, size = struct.unpack("<II", marked[24 * frames : 24 * frames + 8])
    assert magic & 0xFFFFFFF0 == 0x184D2A50
    assert 24 * frames + 8 + size == len(marked) - table


HEADS = [b"", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"glTF", b"{", b"\0\0\0\x08moov", b"PXR-USDC", b"Kaydara FBX Binary"]


@pytest.mark.parametrize("kind", KINDS)
@hypothesis.settings(max_examples=30)
@given(data=st.binary(max_size=200).filter(lambda data: MARK not in data), head=st.sampled_from(HEADS))
def test_anything_else_is_not_ours(tmp_path_factory, kind, head, data):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + data)
    assert not is_ours(path, kind)
    assert not is_ours(path.with_name("missing"), kind)
