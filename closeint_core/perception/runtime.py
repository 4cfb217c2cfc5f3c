# SPDX-License-Identifier: Apache-2.0
"""Opens the bundled pose networks with ONNX Runtime on the CPU or a CUDA GPU."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from closeint_core.errors import CloseintError
from closeint_core.settings import check_device

WEIGHTS = Path(__file__).resolve().parent / "weights"


_GPU_FIX = (
    "Install onnxruntime-gpu in the worker's environment (Repair does, where an NVIDIA driver answers), or use cpu."
)


def providers_for(device: str) -> list[str]:
    """ONNX Runtime providers for ``auto``, ``cpu`` or ``cuda``.

    ``auto`` takes the GPU where this installation of ONNX Runtime has its CUDA provider.

    Raises:
        CloseintError: CUDA was asked for and is not there, or the device is unknown.
    """
    check_device(device)
    import onnxruntime

    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise CloseintError(
            "ONNX Runtime has no CUDA provider here.",
            _GPU_FIX,
        )
    if device != "cpu" and has_cuda:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def open_session(name: str, device: str = "auto") -> Any:
    """An ``onnxruntime.InferenceSession`` of the bundled network ``name`` (without suffix).

    Raises:
        CloseintError: the weights or ONNX Runtime are missing (exit code 3), or the CUDA device that was asked for
            cannot be used.
    """
    path = WEIGHTS / f"{name}.onnx"
    if not path.is_file():
        raise CloseintError(
            f"The pose network {path.name} is missing from {WEIGHTS}.",
            "Install closeint-core again, or make it with scripts/convert_pose_models.py.",
            exit_code=3,
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise CloseintError(
            "Finding people needs ONNX Runtime, which is not installed.",
            "Install closeint-core[inference].",
            exit_code=3,
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # these networks are small: beyond a few threads the hand-over costs more than it gains
    options.intra_op_num_threads = max(1, min(usable_cores(), 8))
    options.inter_op_num_threads = 1
    providers = providers_for(device)
    if "CUDAExecutionProvider" in providers:
        _load_cuda(onnxruntime)
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    # ONNX Runtime goes on without a provider whose libraries do not load, and says so in its log only.
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise CloseintError("ONNX Runtime cannot use the CUDA device: its libraries do not load.", _GPU_FIX)
    return session


def _load_cuda(onnxruntime: Any) -> None:
    """Load CUDA's libraries for ONNX Runtime: those that torch brought, where it does not find its own."""
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401  (its libraries are looked through by preload_dlls)
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on
        onnxruntime.preload_dlls()


def usable_cores() -> int:
    """Cores this process may use (containers and batch systems give fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
