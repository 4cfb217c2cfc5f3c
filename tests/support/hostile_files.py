# SPDX-License-Identifier: Apache-2.0
"""Good files of every kind that the product reads, and broken and hostile ones made of them."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from closeint_core.denoiser.checkpoint import save_denoiser
from closeint_core.denoiser.hmr2 import HMR2, HMR2Config
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.denoiser.prior import InteractionPrior, PriorConfig, save_prior
from closeint_core.perception.observations import Observations
from closeint_core.perception.store import save_observations
from closeint_core.training.checkpointing import RunState, save_state
from closeint_core.training.config import TrainingConfig, to_dict
from support.clips import random_clip
from support.official_files import model_fields, official_pickle

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 2 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.02
1 2 3 0 0 0 0 0 0
0 0 0 90 0 0 0 90 0
"""
ASF = """:version 1.10
:root
  order TX TY TZ RX RY RZ
:bonedata
  begin
    name thorax
    direction 0 1 0
    length 2
    axis 0 0 90 XYZ
    dof rx
  end
  begin
    name head
    direction 1 0 0
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thorax
    thorax head
  end
"""
AMC = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 1 0 0 0 0 0\nthorax 0\n2\nroot 0 0 0 0 0 90\nthorax 90\n"
SMALL_HMR2 = HMR2Config(16, 1, 2, 16, 192, 16, 1, 2, 8, 16)


class Runs:
    """Unpickled freely, it makes a folder named by CLOSEINT_CANARY."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ.get("CLOSEINT_CANARY", "canary"),)


def annotation_record(frames: int = 4, people: int = 2) -> dict[str, list[Any]]:
    """One sequence in the published layout, of random numbers."""
    rng = np.random.default_rng(0)
    return {
        "pose2ds": [rng.normal(size=(frames, people, 26, 3))],
        "pose2ds_pred": [rng.normal(size=(frames, people, 26, 3))],
        "imnames": [[f"images/{i:06d}.jpg" for i in range(frames)]], "img_size": [[[1280, 940]] * frames],
        "intris": [np.tile(np.diag([1500.0, 1500.0, 1.0]), (frames, people, 1, 1))],
        "features": [rng.normal(size=(frames, people, 1024)).astype(np.float32)],
        "center": [rng.normal(size=(frames, people, 2)).tolist()], "patch_scale": [np.ones((frames, people))],
        "genders": [[[0, 1][:people]] * frames], "init_poses": [rng.normal(size=(frames, people, 72))],
        "poses": [[list(row) for row in rng.normal(size=(frames, people, 72))]],
        "shapes": [rng.normal(size=(frames, people, 10))], "bbox": [None],
    }  # fmt: skip


def good_files(folder: Path) -> dict[str, bytes]:
    """One good file for each reader of ``read_hostile_files.READERS``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)

    def saved(name: str, write: Callable[[Path], object]) -> bytes:
        path = folder / name
        write(path)
        return path.read_bytes()

    def npz(**arrays: Any) -> bytes:
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        return stream.getvalue()

    def npy(array: np.ndarray) -> bytes:
        stream = io.BytesIO()
        np.save(stream, array)
        return stream.getvalue()

    person = {
        "root_orient": rng.normal(size=(5, 3)), "pose_body": rng.normal(size=(5, 63)), "trans": rng.normal(size=(5, 3)),
        "betas": rng.normal(size=10), "gender": "male",
    }  # fmt: skip
    torch.manual_seed(0)
    small = DenoiserConfig(dim=16, depth=1, hidden=16)
    hmr2 = HMR2(SMALL_HMR2)
    config = TrainingConfig("denoiser", "out")
    fields = model_fields()
    seen = Observations(
        keypoints2d=rng.normal(size=(2, 3, 26, 3)).astype(np.float32),
        landmarks3d=rng.normal(size=(2, 3, 26, 3)).astype(np.float32),
        landmarks3d_confidence=rng.random((2, 3, 26)).astype(np.float32), visible=np.ones((2, 3), bool),
        boxes=rng.normal(size=(2, 3, 4)).astype(np.float32), peaks=rng.normal(size=(3, 17, 4, 3)).astype(np.float32),
        fps=30.0, frame_start=0, image_size=(640, 480), people=(0, 1),
    )  # fmt: skip
    pins = [
        {"type": "rotation", "person": 0, "frame": 1, "joint": "left_knee", "rotation": [0.0, 0.1, 0.2]},
        {"type": "contact", "frame": 0, "last": 2, "person": 0, "part": "left_hand", "other_part": "spine1"},
    ]
    published = {"model": {f"module.{name}": value for name, value in Denoiser(small).state_dict().items()}}
    state = RunState("denoiser", 3, 1.0, {"w": torch.zeros(3)}, {}, {}, {}, 0, to_dict(config))
    own = "what: denoiser\noutput: out\nsteps: 20\noptimizer: {learning_rate: 1e-4}\ndata:\n  frames: 8\n"
    theirs = "trainset: Hi4D\nepoch: 20\nlr: 0.0001\nbatchsize: 32\nuse_sch: True\ndata_folder: data\n"
    return {
        "clip": saved("a.closeint.npz", random_clip().save),
        "amass": npz(poses=rng.normal(size=(5, 156)), trans=rng.normal(size=(5, 3)), betas=rng.normal(size=16),
                     gender="female", mocap_framerate=60.0, body="closeint-default/1"),
        "amass_motion": npz(poses=rng.normal(size=(5, 72)), trans=rng.normal(size=(5, 3)), betas=rng.normal(size=10),
                            gender="male", mocap_framerate=60.0),
        "result": pickle.dumps({"pose": rng.normal(size=(2, 72)).astype(np.float32), "betas": np.zeros((2, 10)),
                                "trans": rng.normal(size=(2, 3))}, protocol=2),
        "camera": b"0\n800 0 320\n0 800 240\n0 0 1\n0 0\n1 0 0 0\n0 1 0 0\n0 0 1 0\n",
        "interhuman": pickle.dumps({"person1": person, "person2": person, "mocap_framerate": 59.94}, protocol=4),
        "interhuman_npz": npz(**{f"{who}_{key}": value for who in ("person1", "person2")
                                 for key, value in person.items()}),
        "annotations": pickle.dumps(annotation_record(), protocol=2),
        "smpl": official_pickle(fields),
        "smpl_npz": npz(**{key: value for key, value in fields.items() if isinstance(value, np.ndarray)}),
        "regressor": npy(rng.dirichlet(np.ones(60), 26)),
        "means": npz(pose=rng.normal(size=144), shape=np.zeros(10), cam=np.ones(3)),
        "denoiser": saved("denoiser.pkl", lambda path: torch.save(published, path)),
        "denoiser_own": saved("d.safetensors", lambda path: save_denoiser(Denoiser(small), path)),
        "prior": saved("p.safetensors", lambda path: save_prior(
            InteractionPrior(PriorConfig(16, 2, 1, 4, 2, 2, 1)), path)),
        "hmr2": saved("hmr2.ckpt", lambda path: torch.save({"state_dict": hmr2.state_dict(), "epoch": 35}, path)),
        "state": saved("state.pt", lambda path: save_state(state, path)),
        "observations": saved("a.observed.npz", lambda path: save_observations(path, seen, "key")),
        "corrections": json.dumps({"format": "closeint-corrections/1", "pins": pins}).encode(),
        "deepmimic": json.dumps({"Loop": "wrap", "Frames": [[0.03, *[1.0] * 43], [0.03, *[0.9] * 43]]}).encode(),
        "record": b'{"method": "a", "values": {"mpjpe": 3.0}}',
        "log": b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n',
        "message": b'{"id": 1, "command": "doctor"}',
        "config": own.encode(),
        "published": theirs.encode(),
        "bvh": BVH.encode(),
        "asf": ASF.encode(),
        "amc": AMC.encode(),
    }  # fmt: skip


def mutations(kind: str, good: bytes, others: list[bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """(what was done, content) of every mutation of one good file."""
    rng = np.random.default_rng(seed)
    yield "nothing", good
    yield "empty", b""
    for share in (0.1, 0.5, 0.9):
        yield f"cut to {share}", good[: int(share * len(good))]
    yield "last byte gone", good[:-1]
    for number in range(3):
        yield f"bits flipped {number}", _flipped(good, rng, len(good), 1 + 4 * number)
    yield "bits of the header flipped", _flipped(good, rng, 200, 3)
    yield "bits of the end flipped", good[:-200] + _flipped(good[-200:], rng, 200, 3)
    other = others[int(rng.integers(len(others)))]
    at = int(rng.integers(1, len(good)))
    yield "another file in the middle", good[:at] + other[:5000] + good[at:]
    yield "another file's end", good[:at] + other[len(other) // 2 :]
    yield "another file", other
    yield "zeros in the middle", good[: at // 2] + bytes(min(64, len(good) // 2)) + good[at // 2 + 64 :]
    yield "a text", "Grüße".encode("latin-1")
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(64)
    if good[:2] == b"PK" and kind not in ("denoiser", "hmr2", "state"):
        yield from _npz_mutations(good, rng)
    elif good[:6] == b"\x93NUMPY":
        yield from _headers(good)
    elif good[:1] == b"\x80":
        yield from _pickles(good)
    elif good[:2] == b"PK":
        yield from _torch_files(good)
    elif kind in ("denoiser_own", "prior"):
        yield from _safetensors(good)
    else:
        yield from _texts(kind, good.decode(), rng)


def _flipped(data: bytes, rng: np.random.Generator, within: int, count: int) -> bytes:
    out = bytearray(data)
    for at in rng.integers(0, max(1, min(within, len(data))), count):
        if out:
            out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _npz_mutations(good: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    names = list(members)
    arrays = {name: np.load(io.BytesIO(data)) for name, data in members.items()}

    def written(changes: dict[str, bytes | None]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
            for name, data in {**members, **changes}.items():
                if data is not None:
                    out.writestr(name, data)
        return stream.getvalue()

    def array(value: Any, allow_pickle: bool = False) -> bytes:
        stream = io.BytesIO()
        np.save(stream, value, allow_pickle=allow_pickle)
        return stream.getvalue()

    for name in names:
        value = arrays[name]
        yield f"{name} gone", written({name: None})
        yield f"{name} without dimensions", written({name: array(np.float32(0))})
        if value.dtype.kind not in "SU":
            changed = np.asarray(value)
            yield f"{name} as texts", written({name: array(changed.astype(str))})
            yield f"{name} one more axis", written({name: array(changed[None])})
            yield f"{name} emptied", written({name: array(changed.reshape(-1)[:0])})
            if changed.ndim:
                yield f"{name} shorter", written({name: array(changed[..., :-1])})
                yield f"{name} longer", written({name: array(np.concatenate([changed, changed], -1))})
            for bad in (np.nan, np.inf, 0, -1, 1e30):
                with np.errstate(invalid="ignore", over="ignore"):
                    filled = np.full_like(changed, bad, dtype=None if changed.dtype.kind == "f" else np.float64)
                yield f"{name} all {bad}", written({name: array(filled)})
            yield f"{name} complex", written({name: array(changed.astype(complex))})
        else:
            yield f"{name} of numbers", written({name: array(np.arange(3))})
            yield f"{name} deep JSON", written({name: array(np.array("[" * 100_000))})
            yield f"{name} strange", written({name: array(np.array("\0 é" * 10))})
        yield f"{name} None", written({name: array(np.array(None), True)})
    chosen = names[int(rng.integers(len(names)))]
    yield "objects that run", written({chosen: array(np.array([Runs()], object), True)})
    for what, content in _headers(members[chosen]):
        yield f"{chosen}: {what}", written({chosen: content})
    yield "bomb", _bomb(members, chosen)
    yield "bomb that claims little", _bomb(members, chosen, 100)


def _headers(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Arrays whose headers claim what is not there."""
    headers = [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (65536, 65536, 65536), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<U999999999', 'fortran_order': False, 'shape': (), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 100 + "), }",
        "{'descr': '<f4', 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': __import__('os').mkdir('canary'), 'shape': (2,), }",
        "(" * 20_000,
        "",
    ]
    for number, header in enumerate(headers):
        text = header.encode()
        yield f"header {number}", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data[128:]
    yield "header of 4 GB", b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFF0) + data[10:]
    yield "version 9", b"\x93NUMPY\x09\x00" + data[8:]


def _bomb(members: dict[str, bytes], chosen: str, claimed: int | None = None) -> bytes:
    """An archive one member of which unpacks to 8 GB of zeros, however little it claims."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000,), }"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + 477 * block + packer.flush()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            if name != chosen:
                out.writestr(name, data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as out:
        out.writestr(chosen, packed)
        info = out.getinfo(chosen)
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, claimed or 477 * (1 << 24) + len(start)
        out._didModify = True
        offset, filled = info.header_offset, info.file_size & 0xFFFFFFFF
        info.file_size = filled
    data = bytearray(stream.getvalue())
    # The local header says the same as the directory.
    data[offset + 8 : offset + 10] = struct.pack("<H", zipfile.ZIP_DEFLATED)
    data[offset + 22 : offset + 26] = struct.pack("<I", filled)
    return bytes(data)


def _pickles(good: bytes) -> Iterator[tuple[str, bytes]]:
    value = b"N."
    yield "runs", pickle.dumps(Runs())
    yield "runs inside", pickle.dumps({"pose": Runs(), "poses": [Runs()], "person1": Runs()})
    yield "old style run", b"cos\nsystem\n(S'mkdir canary'\ntR."
    yield "built-in", b"cbuiltins\neval\n(S'1'\ntR."
    for what, opcode, size in (
        ("bytes", b"\x8e", 1 << 40), ("text", b"\x8d", 1 << 40), ("bytearray", b"\x96", 1 << 40),
        ("frame", b"\x95", 1 << 40),
    ):  # fmt: skip
        yield f"claims {what}", b"\x80\x05" + opcode + struct.pack("<Q", size) + value
    yield "claims a long", b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + value
    yield "claims a memo", b"\x80\x02}r" + struct.pack("<I", 50_000_000) + b"."
    yield "deep lists", b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    yield "deep tuples", b"\x80\x02)" + b"\x85" * 200_000 + b"."
    tuples = b"\x80\x02)" + b"q\x00" + b"h\x00\x86q\x00" * 60
    yield "key without end", b"\x80\x02}" + tuples[2:] + b"K\x01s."
    lists = b"\x80\x02](K\x01K\x01K\x01eq\x00"
    for _ in range(10):
        lists += b"](" + b"h\x00" * 50 + b"eq\x00"
    yield "lists that multiply", b"\x80\x02}U\x05poses" + lists[2:] + b"s."
    yield "list in itself", b"\x80\x02]q\x00h\x00a."
    keys = ("pose", "poses", "shapes", "betas", "trans", "pose2ds", "genders", "v_template", "f", "person1", "img_size")
    for odd in (None, "x", 7, [], {}, [[None]], float("nan"), np.zeros((2, 0)), np.zeros(()), np.full((2, 72), np.nan)):
        yield f"all {str(odd)[:12]}", pickle.dumps(dict.fromkeys(keys, odd), protocol=2)
    whole = pickle.dumps(np.zeros((3, 3)), protocol=2)
    yield "array only", whole
    yield "array of another size", good.replace(struct.pack("<B", 72), struct.pack("<B", 73))
    yield "types changed", good.replace(b"f8", b"O8")
    yield "types unknown", good.replace(b"f8", b"z9")
    yield "a tuple of keys", pickle.dumps({("a", "b"): 1}, protocol=2)


def _torch_files(good: bytes) -> Iterator[tuple[str, bytes]]:
    def saved(value: Any, **options: Any) -> bytes:
        stream = io.BytesIO()
        torch.save(value, stream, **options)
        return stream.getvalue()

    content = torch.load(io.BytesIO(good), weights_only=True)
    key = "model" if "model" in content else "state_dict" if "state_dict" in content else "network"
    yield "runs", saved({key: Runs()})
    yield "runs, old layout", saved({key: Runs()}, _use_new_zipfile_serialization=False)
    yield "old layout", saved(content, _use_new_zipfile_serialization=False)
    yield "old layout, cut", saved(content, _use_new_zipfile_serialization=False)[:-200]
    yield "a bare pickle that runs", pickle.dumps({key: Runs()})
    weights = content[key]
    name = next(iter(weights))
    for what, tensor in (
        ("repeats itself", torch.zeros(1).expand(16000, 16000)), ("no dimensions", torch.tensor(0.0)),
        ("empty", torch.zeros(0, 5)),
        ("not finite", torch.full_like(weights[name], float("nan"))), ("numbers", 7), ("None", None), ("texts", "x"),
        ("sparse", torch.eye(3).to_sparse()), ("complex", torch.zeros(3, dtype=torch.complex64)),
    ):  # fmt: skip
        yield f"first weight {what}", saved({key: {**weights, name: tensor}})
        yield f"every weight {what}", saved({key: dict.fromkeys(weights, tensor)})
    yield (
        "a layer far away",
        saved({key: {**weights, "blocks.99999.x": torch.zeros(1), "module.blocks.9999.x": torch.zeros(1)}}),
    )
    yield "a list", saved([1, 2, 3])
    yield "weights None", saved({key: None})
    yield "numbers for names", saved({key: {3: torch.zeros(2)}})
    yield "nothing of it", saved({})
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as archive, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as out:
        for info in archive.infolist():
            out.writestr(info.filename, archive.read(info))
    yield "packed", stream.getvalue()


def _safetensors(good: bytes) -> Iterator[tuple[str, bytes]]:
    length = struct.unpack("<Q", good[:8])[0]
    header, body = json.loads(good[8 : 8 + length]), good[8 + length :]

    def written(value: Any, claimed: int | None = None) -> bytes:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return struct.pack("<Q", len(text) if claimed is None else claimed) + text + body

    yield "header of petabytes", written(header, 1 << 50)
    yield "deep header", written(b"[" * 100_000)
    inner = json.loads(header["__metadata__"]["closeint"])
    name = next(key for key in header if key != "__metadata__")
    for bad in ([], None, "x", -1, {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}):
        yield f"tensor {str(bad)[:10]}", written({**header, name: bad})
    for text in ("", "[]", "{", "[" * 100_000, "null", '{"format": 3}', json.dumps({**inner, "config": None})):
        yield f"configuration {text[:10]}", written({**header, "__metadata__": {"closeint": text}})
    config = inner["config"]
    plain = config if "dim" in config else config["prior"]
    for key in plain:
        for bad in (0, -1, 3, 10**9, 1.5, "x", None, 16384):
            changed = {**plain, key: bad}
            whole = changed if plain is config else {**config, "prior": changed}
            text = json.dumps({**inner, "config": whole})
            yield f"{key} = {bad}", written({**header, "__metadata__": {"closeint": text}})
    if plain is not config:
        for bad in ([1], [0, 0, 0], "abc", [16, 2, 10**9], 5):
            text = json.dumps({**inner, "config": {**config, "codes": bad}})
            yield f"codes = {bad}", written({**header, "__metadata__": {"closeint": text}})


def _texts(kind: str, good: str, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for what, text in (
        ("deep lists", "[" * 200_000), ("deep objects", '{"a":' * 100_000), ("null", "null"), ("number", "1e999"),
        ("NaN", "NaN"), ("list", "[1, 2]"), ("digits", "9" * 100_000), ("zero bytes", "\0" * 1000),
        ("words", "x " * 50_000),
    ):  # fmt: skip
        yield what, text.encode()
    words = good.split(" ")
    for bad in ("nan", "inf", "1e999", "-1", "0", "x", "999999999999", "null", "[]", "{", "}", "é", "9" * 5000):
        for _ in range(3):
            at = int(rng.integers(len(words)))
            yield f"word {at} = {bad[:12]}", " ".join([*words[:at], bad, *words[at + 1 :]]).encode()
    lines = good.splitlines()
    for at in range(min(len(lines), 30)):
        yield f"line {at} gone", "\n".join(lines[:at] + lines[at + 1 :]).encode()
        yield f"line {at} twice", "\n".join([*lines[: at + 1], *lines[at:]]).encode()
    if kind in ("corrections", "deepmimic", "record"):
        for path in _paths(json.loads(good)):
            for odd in (None, "x", -1, 1e300, 10**30, [], {}, [None], True):
                yield f"{path} = {odd}", json.dumps(_changed(json.loads(good), path, odd)).encode()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [(*path, key) for key, _ in parts] + [p for key, part in parts for p in _paths(part, (*path, key))]


def _changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return value
