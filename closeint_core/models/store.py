# SPDX-License-Identifier: Apache-2.0
"""Where model files that a user supplies are looked for.

The standard library only, so that Blender's Python can import it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

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
