# SPDX-License-Identifier: Apache-2.0
"""Which files closeint wrote: a mark in each, where its format has room for one, and the reading of it.

Only a file with the mark is ever written over. The marks lie where other programs do not look, and where they do not
survive another program's saving: what somebody edited and saved is theirs. The standard library only.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

MARK = b"closeint"
_HEAD = 65536
"""Bytes of a text file in which its mark is looked for."""
_LARGEST_INDEX = 64 * 2**20
"""Bytes of an mp4's index, or of a glb's JSON, beyond which the file is not looked into."""


def put_mark(path: Path, kind: str) -> None:
    """Put the mark into a file that was just written. Clips, videos, JSON and pages are written with theirs.

    Args:
        kind: one of ``KINDS``.
    """
    writer = {"npz": _mark_zip, "picture": _mark_picture, "blend": _mark_blend, "fbx": _mark_fbx, "glb": _mark_glb,
              "usd": _mark_tail}.get(kind)  # fmt: skip
    if writer is not None:
        writer(path)


def is_ours(path: Path, kind: str) -> bool:
    """Whether a file is of a kind (one of ``KINDS``) and has the mark; False for what cannot be read as it."""
    try:
        return KINDS[kind][1](path)
    except (OSError, ValueError, KeyError, RecursionError, NotImplementedError, struct.error, zipfile.BadZipFile,
            zlib.error):  # fmt: skip
        return False


# -- zip archives: clips and other npz files, the extension ------------------------------------------------------


def _is_clip(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive, archive.open("format.npy") as member:
        head = member.read(512)
    return any("closeint-clip/".encode(code) in head for code in ("utf-32-le", "utf-32-be"))


def _mark_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = MARK


def _is_marked_zip(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return archive.comment == MARK


def _is_extension(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive, archive.open("blender_manifest.toml") as member:
        return re.search(rb'^id = "closeint"', member.read(_HEAD), re.MULTILINE) is not None


# -- pictures and videos -----------------------------------------------------------------------------------------

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXT = b"tEXtSoftware\0" + MARK
_PNG_HEADER = len(_PNG) + 25
"""Bytes of the signature and the first chunk, which every PNG begins with."""
_JPEG = b"\xff\xd8"
_JPEG_COMMENT = b"\xff\xfe" + struct.pack(">H", 2 + len(MARK)) + MARK


def _mark_picture(path: Path) -> None:
    data = path.read_bytes()
    if data.startswith(_PNG):
        chunk = struct.pack(">I", len(_PNG_TEXT) - 4) + _PNG_TEXT + struct.pack(">I", zlib.crc32(_PNG_TEXT))
        path.write_bytes(data[:_PNG_HEADER] + chunk + data[_PNG_HEADER:])
    elif data.startswith(_JPEG):
        path.write_bytes(_JPEG + _JPEG_COMMENT + data[len(_JPEG) :])


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_PNG_HEADER + 4 + len(_PNG_TEXT))
    return (head.startswith(_PNG) and head.endswith(_PNG_TEXT)) or head.startswith(_JPEG + _JPEG_COMMENT)


def _is_video(path: Path) -> bool:
    """Whether the index of an mp4 holds the comment that ``VideoWriter`` puts there."""
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            size, name = struct.unpack(">I4s", header)
            content = size - 8
            if size == 1:
                content = struct.unpack(">Q", file.read(8))[0] - 16
            if content < 0 or (name == b"moov" and content > _LARGEST_INDEX):
                return False
            if name == b"moov":
                index = file.read(content)
                comment = index.find(b"\xa9cmt")
                return comment >= 0 and MARK in index[comment : comment + 64]
            file.seek(content, 1)
    return False


# -- scenes ------------------------------------------------------------------------------------------------------

_ZSTD_SKIPPABLE = 0x184D2A5D
"""Magic number of a frame that readers of Zstandard skip (RFC 8878, 3.1.2)."""
_FRAME = struct.pack("<II", _ZSTD_SKIPPABLE, len(MARK)) + MARK
_SEEK_TABLE = 0x8F92EAB1
"""Last four bytes of a file in Zstandard's seekable format, as Blender writes it."""


def _mark_blend(path: Path) -> None:
    """A frame of Zstandard to skip, in front of the seek table; or, in a file without compression, after its end."""
    data = path.read_bytes()
    end = len(data) - _seek_table_size(data[-9:])
    path.write_bytes(data[:end] + _FRAME + data[end:])


def _seek_table_size(tail: bytes) -> int:
    """Bytes of the seek table that a file with this tail ends with: 8 of header, 8 or 12 an entry, 9 of footer."""
    if len(tail) < 9 or struct.unpack("<I", tail[-4:])[0] != _SEEK_TABLE:
        return 0
    frames, flags = struct.unpack("<IB", tail[:5])
    return int(17 + frames * (12 if flags & 0x80 else 8))


def _is_blend(path: Path) -> bool:
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(end - 9, 0))
        start = end - _seek_table_size(file.read(9)) - len(_FRAME)
        if start < 0:
            return False
        file.seek(start)
        return file.read(len(_FRAME)) == _FRAME


_FBX_PLACEHOLDER, _FBX_MARK = b"/foobar.fbx", b"/" + MARK + b"/1"
"""What Blender's exporter writes for the name of the document, and what stands there in ours; of one length, since the
places in the file are counted in bytes."""


def _mark_fbx(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(_FBX_PLACEHOLDER, _FBX_MARK))


def _is_fbx(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith(b"Kaydara FBX Binary") and _FBX_MARK in head


def _mark_glb(path: Path) -> None:
    """A word in ``asset.extras``."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    content = json.loads(data[20 : 20 + length])
    content["asset"].setdefault("extras", {})["writer"] = MARK.decode()
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    header = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest)) + struct.pack("<I4s", len(text), b"JSON")
    path.write_bytes(header + text + rest)


def _is_glb(path: Path) -> bool:
    with path.open("rb") as file:
        magic, _, _, length = struct.unpack("<4sIII", file.read(16))
        if magic != b"glTF" or length > _LARGEST_INDEX:
            return False
        content = json.loads(file.read(length + 4)[4:])
    extras = content.get("asset", {}).get("extras") if isinstance(content, dict) else None
    return isinstance(extras, dict) and extras.get("writer") == MARK.decode()


def _mark_tail(path: Path) -> None:
    """After the end; a reader of USD finds everything from the table that the header names."""
    with path.open("ab") as file:
        file.write(MARK)


def _is_usd(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(8) != b"PXR-USDC":
            return False
        file.seek(-len(MARK), 2)
        return file.read() == MARK


# -- text --------------------------------------------------------------------------------------------------------


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return re.match(rb'\s*\{\s*"(closeint"|format": "closeint-)', head) is not None


GENERATOR = f'<meta name="generator" content="{MARK.decode()}">'
"""What a page has in its head."""


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(_HEAD)


KINDS: dict[str, tuple[str, Callable[[Path], bool]]] = {
    "clip": ("a clip", _is_clip),
    "npz": ("an npz file", _is_marked_zip),
    "picture": ("a picture", _is_picture),
    "video": ("a video", _is_video),
    "blend": ("a .blend file", _is_blend),
    "fbx": ("an FBX file", _is_fbx),
    "glb": ("a GLB file", _is_glb),
    "usd": ("a USD file", _is_usd),
    "json": ("a JSON file", _is_json),
    "page": ("a page", _is_page),
    "extension": ("an extension", _is_extension),
}
"""Kind of file: its name in a sentence, and how ours is known."""
