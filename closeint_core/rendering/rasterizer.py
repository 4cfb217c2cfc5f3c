# SPDX-License-Identifier: Apache-2.0
"""The nearest triangle of each pixel, for a batch of pictures that share their triangles.

The kernel (``triangles.cu``) is compiled once a machine: by ``nvcc`` for a GPU, by a C++ compiler for the CPU. The
library is kept in the user's cache folder under the hash of its source and of the compiler's arguments.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path

SOURCE = Path(__file__).with_name("triangles.cu")
NEAREST = 0.1
"""Metres before the camera at which a triangle is left out whole."""
EMPTY_DEPTH = 1e3
"""Depth (metres) of a pixel without a triangle."""
_EMPTY = (1 << 63) - 1


class Rasterizer:
    """Rasterises on one device.

    Raises:
        CloseintError: there is no compiler, or it fails; its last words are named.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._library = ctypes.CDLL(str(_compiled(device)))

    def __call__(self, vertices: Tensor, faces: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Depth and face of each pixel.

        Args:
            vertices: (B, V, 3) x, y in pixels (centres at +0.5) and depth in metres. faces: (F, 3) int32.
            size: height, width.

        Returns:
            Depth (B, H, W), ``EMPTY_DEPTH`` where nothing is, and face (B, H, W) int64, -1 where nothing is.
        """
        vertices, faces = vertices.float().contiguous(), faces.to(torch.int32).contiguous()
        pictures, count, _ = vertices.shape
        height, width = size
        keys = torch.full((pictures, height, width), _EMPTY, dtype=torch.int64, device=vertices.device)
        stream = torch.cuda.current_stream().cuda_stream if self.device.type == "cuda" else 0
        status = self._library.draw(
            ctypes.c_void_p(vertices.data_ptr()), ctypes.c_void_p(faces.data_ptr()), ctypes.c_void_p(keys.data_ptr()),
            *(ctypes.c_int(number) for number in (pictures, len(faces), count, height, width)),
            ctypes.c_float(NEAREST), ctypes.c_void_p(stream),
        )  # fmt: skip
        if status:
            raise RuntimeError(f"The rasteriser's kernel did not start (CUDA error {status}).")
        hit = keys != _EMPTY
        depth = (keys >> 32).to(torch.int32).view(torch.float32)
        return torch.where(hit, depth, EMPTY_DEPTH), torch.where(hit, keys & 0xFFFFFFFF, -1)


def _compiler(device: torch.device) -> list[str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        arguments = ["-O3", "-shared", "-Xcompiler", "-fPIC", f"-arch=sm_{major}{minor}"]
        programs = [os.environ.get("NVCC", "nvcc"), "/usr/local/cuda/bin/nvcc"]
    else:
        arguments = ["-O3", "-shared", "-fPIC", "-x", "c++"]
        programs = [os.environ.get("CXX", "c++"), "g++", "clang++"]
    for program in programs:
        found = shutil.which(program)
        if found:
            return [found, *arguments]
    needed = "nvcc of the CUDA toolkit" if device.type == "cuda" else "a C++ compiler"
    raise CloseintError(f"Rendering needs {needed}, which is not on PATH.", "Install it; training alone needs it.")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = Path(base if base and os.path.isabs(base) else Path.home() / ".cache") / "closeint"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="closeint-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="closeint-"))


def _compiled(device: torch.device) -> Path:
    """The shared library of the kernel for a device."""
    command = _compiler(device)
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(command).encode()).hexdigest()[:16]
    path = _cache_folder() / f"triangles-{digest}.so"
    if path.exists():
        return path
    with atomic_path(path) as temporary:
        done = subprocess.run([*command, str(SOURCE), "-o", str(temporary)], capture_output=True, text=True)
        if done.returncode:
            last = " ".join(done.stderr.split()[-40:])
            raise CloseintError(f"Compiling the rasteriser with {command[0]} failed: {last}", "Mend the compiler.")
    return path
