# SPDX-License-Identifier: Apache-2.0
"""Weights of the eyes on disk: safetensors, with their calibration and what they were trained on in the header."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.network import FIRST_SHAPE, NetworkShape, PairNetwork
from closeint_core.files import atomic_path
from closeint_core.models.store import find, search_paths

FORMAT = "closeint-eyes/1"
FILE = "pair_eyes.safetensors"
BUNDLED = Path(__file__).with_name("weights") / FILE
_HASHES = BUNDLED.with_name("SHA256.json")


def save_eyes(
    network: PairNetwork, path: Path, calibration: Calibration, card: dict[str, Any], dtype: torch.dtype = torch.float16
) -> None:
    """Write weights; ``card`` says what they were trained on, in plain values."""
    state = {
        name: (value.to(dtype) if value.is_floating_point() else value).cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    header = {
        "format": FORMAT, "calibration": json.dumps(calibration.to_dict()), "card": json.dumps(card),
        "network": json.dumps(network.shape.to_dict()),
    }  # fmt: skip
    with atomic_path(path) as temporary:
        save_file(state, temporary, header)


def load_eyes(path: Path) -> tuple[PairNetwork, Calibration, dict[str, Any]]:
    """Read weights: the network in float32 on the CPU, its calibration, and its card.

    Raises:
        CloseintError: missing, damaged, or of another network (exit code 3); the file is named.
    """
    if not path.is_file():
        raise _unusable(path, "is missing")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise _unusable(path, f"is damaged ({error})") from None
    if header.get("format") != FORMAT:
        raise _unusable(path, f"is of the format {header.get('format')!r}, not {FORMAT}")
    try:
        shape = NetworkShape(**json.loads(header["network"])) if "network" in header else FIRST_SHAPE
        network = PairNetwork(shape)
        network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in state.items()})
    except (RuntimeError, TypeError, ValueError):
        raise _unusable(path, "is of another network") from None
    calibration = Calibration.from_dict(json.loads(header["calibration"])) if "calibration" in header else Calibration()
    return network, calibration, json.loads(header.get("card", "{}"))


def find_eyes(data_dir: Path | None = None) -> Path:
    """The weights that are used: a file of the user's (``models.store``), or the bundled one, whose hash is checked.

    Raises:
        CloseintError: there is none, or the bundled one was altered (exit code 3).
    """
    own = find(f"eyes/{FILE}", data_dir)
    if own is not None:
        return own
    if not BUNDLED.is_file():
        places = ", ".join(str(folder / "eyes" / FILE) for folder in search_paths(data_dir))
        raise CloseintError(
            f"The weights of the eyes ({FILE}) are missing; looked for as {BUNDLED} and {places}.",
            "Train them with closeint train --task eyes, and put the file there.", exit_code=3,
        )  # fmt: skip
    try:
        wanted = json.loads(_HASHES.read_text())[FILE]
    except (OSError, ValueError, KeyError):
        raise _unusable(_HASHES, "is missing or damaged") from None
    if hashlib.sha256(BUNDLED.read_bytes()).hexdigest() != wanted:
        raise _unusable(BUNDLED, "was altered")
    return BUNDLED


def _unusable(path: Path, why: str) -> CloseintError:
    return CloseintError(f"The file {path} of the eyes {why}.", "Install closeint again, or train it.", exit_code=3)
