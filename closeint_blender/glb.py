# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's exporter gets wrong in a GLB file, put right. No bpy here."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_PATHS = {"translation": [0.0, 0.0, 0.0], "rotation": [0.0, 0.0, 0.0, 1.0], "scale": [1.0, 1.0, 1.0]}
_STILL = {"translation": 1e-6, "rotation": 1e-6, "scale": 1e-5}
"""Difference from a node's own value, metres and ratio, below which a channel says nothing."""


def read_glb(path: Path) -> tuple[dict[str, Any], bytearray]:
    """The JSON and the binary part of a GLB file."""
    content = path.read_bytes()
    parts: dict[int, bytes] = {}
    at = 12
    while at < len(content):
        length, kind = struct.unpack_from("<II", content, at)
        parts[kind] = content[at + 8 : at + 8 + length]
        at += 8 + length
    return json.loads(parts[_JSON]), bytearray(parts.get(_BINARY, b""))


def write_glb(path: Path, document: dict[str, Any], binary: bytes) -> None:
    """Write a GLB file of the two parts."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = bytes(binary) + bytes(-len(binary) % 4)
    length = 12 + 8 + len(text) + (8 + len(binary) if binary else 0)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, length))
        file.write(struct.pack("<II", len(text), _JSON) + text)
        if binary:
            file.write(struct.pack("<II", len(binary), _BINARY) + binary)


def floats_of(document: dict[str, Any], binary: bytearray, number: int) -> np.ndarray:
    """A view of the floats of accessor ``number``, (count, components)."""
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    return np.frombuffer(binary, np.float32, accessor["count"] * width, start).reshape(-1, width)


def tidy_glb(path: Path, seconds: float) -> None:
    """Put the times right and drop what does not move, in place.

    Blender's exporter multiplies by ``fps_base`` where it should divide, so that 29.97 frames a second become 30.03.

    Args:
        path: the file. seconds: that the animation lasts.
    """
    document, binary = read_glb(path)
    animations = document.get("animations", [])
    inputs = {sampler["input"] for animation in animations for sampler in animation["samplers"]}
    if not inputs:
        return
    times = {number: floats_of(document, binary, number) for number in inputs}
    last = max(float(values.max()) for values in times.values())
    for number, values in times.items():
        if last > 0:
            values *= np.float32(seconds / last)
        accessor = document["accessors"][number]
        accessor["min"], accessor["max"] = [float(values.min())], [float(values.max())]
    for animation in animations:
        _drop_still_channels(document, binary, animation)
    document["animations"] = [animation for animation in animations if animation["channels"]]
    if not document["animations"]:
        del document["animations"]
    write_glb(path, *_without_unused(document, binary))


def _drop_still_channels(document: dict[str, Any], binary: bytearray, animation: dict[str, Any]) -> None:
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        path = channel["target"]["path"]
        if path in _PATHS and "node" in channel["target"]:
            rest = document["nodes"][channel["target"]["node"]].get(path, _PATHS[path])
            values = floats_of(document, binary, sampler["output"])
            if np.abs(values - np.array(rest, np.float32)).max() <= _STILL[path]:
                continue
        channel["sampler"] = len(samplers)
        channels.append(channel)
        samplers.append(sampler)
    animation["channels"], animation["samplers"] = channels, samplers


def _without_unused(document: dict[str, Any], binary: bytearray) -> tuple[dict[str, Any], bytes]:
    """The file without the accessors and bytes that nothing refers to any more."""
    owners: list[tuple[Any, Any]] = []
    for animation in document.get("animations", []):
        owners += [(sampler, key) for sampler in animation["samplers"] for key in ("input", "output")]
    owners += [(skin, "inverseBindMatrices") for skin in document.get("skins", []) if "inverseBindMatrices" in skin]
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            owners += [(primitive, "indices")] if "indices" in primitive else []
            for attributes in (primitive["attributes"], *primitive.get("targets", [])):
                owners += [(attributes, key) for key in attributes]
    used = sorted({owner[key] for owner, key in owners})
    accessors = [document["accessors"][number] for number in used]
    place = {number: i for i, number in enumerate(used)}
    for owner, key in owners:
        owner[key] = place[owner[key]]
    views = sorted(
        {a["bufferView"] for a in accessors if "bufferView" in a}
        | {image["bufferView"] for image in document.get("images", []) if "bufferView" in image}
        | {a["sparse"][part]["bufferView"] for a in accessors if "sparse" in a for part in ("indices", "values")}
    )
    moved = {number: i for i, number in enumerate(views)}
    packed = bytearray()
    new_views = []
    for number in views:
        view = dict(document["bufferViews"][number])
        start = view.get("byteOffset", 0)
        packed += bytes(-len(packed) % 4)
        content = binary[start : start + view["byteLength"]]
        view["byteOffset"] = len(packed)
        packed += content
        new_views.append(view)
    holders = [a for a in accessors if "bufferView" in a]
    holders += [image for image in document.get("images", []) if "bufferView" in image]
    holders += [a["sparse"][part] for a in accessors if "sparse" in a for part in ("indices", "values")]
    for holder in holders:
        holder["bufferView"] = moved[holder["bufferView"]]
    document["accessors"], document["bufferViews"] = accessors, new_views
    document["buffers"] = [{"byteLength": len(packed)}]
    return document, bytes(packed)
