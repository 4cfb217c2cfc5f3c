# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from closeint_core.errors import CloseintError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    The temporary name keeps the suffix of ``path``, since many writers choose the format by it.

    Raises:
        CloseintError: the folder cannot be made or written to, or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise CloseintError(
            f"Cannot write to the folder {target.parent}: {error.strerror or error}.", "Choose another output folder."
        ) from error
    temporary = Path(name)
    try:
        # mkstemp makes private files; results should have the permissions of ordinary files.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise CloseintError(
            f"Cannot write {target}: {error.strerror or error}.", "Free some space or choose another output folder."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: str | os.PathLike[str]) -> None:
    """Fail now, not after minutes of work, when ``folder`` cannot take a file.

    Raises:
        CloseintError: the folder cannot be made or written to, or the disk is full.
    """
    probe = Path(folder) / ".closeint-write-test"
    with atomic_path(probe) as temporary:
        temporary.write_bytes(bytes(65536))  # an empty file fits on a full disk
    probe.unlink(missing_ok=True)
