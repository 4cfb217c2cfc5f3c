# SPDX-License-Identifier: Apache-2.0
"""Interactions on disk: made once, read by every run that learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.training.synthetic.generate import Interactions

FORMAT = "closeint-interactions/1"


def save_interactions(made: Interactions, path: Path) -> None:
    """Write interactions; rotations as float16 (0.03 degrees), contacts as bits."""
    arrays = {name: value.cpu().numpy() for name, value in made.__dict__.items()}
    arrays["poses"] = arrays["poses"].astype(np.float16)
    arrays["contacts"] = np.packbits(arrays["contacts"], axis=-1)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, format=np.array(FORMAT), **arrays)


def load_interactions(path: Path, device: torch.device) -> Interactions:
    """Read interactions.

    Raises:
        CloseintError: missing, damaged, or another file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["format"]) != FORMAT:
                raise ValueError(f"its format is {file['format']}")
            arrays = {name: file[name] for name in Interactions.__dataclass_fields__}
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise CloseintError(f"Cannot read interactions from {path} ({error}).", "Delete the file.") from None
    arrays["poses"] = arrays["poses"].astype(np.float32)
    arrays["contacts"] = np.unpackbits(arrays["contacts"], axis=-1).astype(bool)
    return Interactions(**{name: torch.from_numpy(value).to(device) for name, value in arrays.items()})
