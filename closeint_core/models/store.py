# SPDX-License-Identifier: Apache-2.0
"""Where model files that a user supplies are looked for, and where weights that were trained here are kept.

The standard library only, so that Blender's Python can import it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from closeint_core.files import atomic_path

ENVIRONMENT_VARIABLE = "CLOSEINT_DATA"


def user_data_dir() -> Path:
    """The user's own folder for model files, by the platform's convention (it may not exist)."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "closeint"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "closeint"
    # The XDG specification says to ignore a relative path in the variable.
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base and os.path.isabs(base) else Path.home() / ".local" / "share") / "closeint"


def search_paths(data_dir: Path | None = None) -> list[Path]:
    """Folders that are searched for model files, first match first.

    The given ``data_dir``, then ``$CLOSEINT_DATA`` (one folder, or several joined by the
    platform's path separator), then :func:`user_data_dir`. A folder ``data`` in one of them follows
    it: who names the published repository means the models in it.
    """
    paths = [Path(data_dir)] if data_dir is not None else []
    paths += [Path(part) for part in os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep) if part]
    paths.append(user_data_dir())
    paths = [path.expanduser() for path in paths]
    return list(dict.fromkeys(p for path in paths for p in (path, path / "data") if p == path or p.is_dir()))


def find(name_candidates: str | Iterable[str], data_dir: Path | None = None) -> Path | None:
    """First existing file among ``name_candidates`` (paths relative to a search path), or None.

    A folder that comes earlier wins over a name that comes earlier.
    """
    names = [name_candidates] if isinstance(name_candidates, str) else list(name_candidates)
    for folder in search_paths(data_dir):
        for name in names:
            path = folder / name
            if path.is_file():
                return path
    return None


TRAINED = "trained"
"""The folder of the store that holds what was trained on this machine."""
_HASH = 12
"""Hexadecimal digits of a file's sha256 in its name: enough to tell every training there will ever be."""


def keep(weights: Path, name: str, facts: dict[str, Any]) -> tuple[Path, str]:
    """Copy weights into the store as ``trained/NAME-HASH.safetensors``, with what they are beside them as JSON.

    The store is the first folder of ``$CLOSEINT_DATA``, or else :func:`user_data_dir`. The same weights are kept once.

    Args:
        weights: a file. name: of the network. facts: what is worth knowing of its training, as JSON takes it.

    Returns:
        The file in the store and its sha256.

    Raises:
        CloseintError: the store cannot be written to.
    """
    given = [Path(part).expanduser() for part in os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep) if part]
    folder = (given[0] if given else user_data_dir()) / TRAINED
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    kept = folder / f"{name}-{digest[:_HASH]}{weights.suffix}"
    with atomic_path(kept) as temporary:
        shutil.copyfile(weights, temporary)
    with atomic_path(kept.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps({"sha256": digest, **facts}, indent=1) + "\n", encoding="utf-8")
    return kept, digest
