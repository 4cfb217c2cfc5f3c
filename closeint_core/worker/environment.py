# SPDX-License-Identifier: Apache-2.0
"""The worker's Python environment: where it is, whether it is whole, how it is made. Standard library only.

Nothing here installs anything; ``install`` runs the steps that ``plan`` gives.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Literal

from closeint_core.errors import CloseintError
from closeint_core.worker import platforms

TORCH = "torch==2.13.0"
GPU_RUNTIME = "onnxruntime-gpu"
"""ONNX Runtime with CUDA: the same module as the plain build that closeint asks for, so it is put over it."""
OLDEST_PYTHON = (3, 10)
UV_PYTHON = "3.11"
"""What uv is asked for where no Python is found."""

_GPU_SHARE = 0.10  # of an installation's time, for the GPU build of ONNX Runtime
_STAMP = "closeint.json"
_LOCK = "in-use"
"""File in an environment that every worker that runs in it holds a lock on."""
_PROBE = (
    "import sys, json\n"
    "try:\n import venv, ensurepip; complete = True\n"
    "except ImportError: complete = False\n"
    "print(json.dumps([list(sys.version_info[:3]), complete, sys.executable]))"
)


@dataclass(frozen=True)
class Stamp:
    """What an environment holds; written when it is complete."""

    version: str
    python: str
    torch: str
    tool: str


@dataclass(frozen=True)
class Step:
    """One command of an installation.

    Attributes:
        title: for the user.
        command: program and arguments.
        share: of the whole installation's usual time.
        fallback: tried when the command fails.
        optional: what follows can do without it.
    """

    title: str
    command: tuple[str, ...]
    share: float
    fallback: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class FoundPython:
    """An interpreter: its path, version, and whether it can make environments (has venv and pip)."""

    path: Path
    version: tuple[int, ...]
    complete: bool


class Environment:
    """The environment in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return Path(platforms.python_in(self.folder, sys.platform))

    @property
    def earlier(self) -> Path:
        """Where the environment of before waits while it is renewed."""
        return self.folder.with_name(f"{self.folder.name}.old")

    @property
    def complete(self) -> bool:
        """Whether an installation came to its end in it, and its Python is still there."""
        return self.stamp() is not None and self.python.exists()

    def stamp(self) -> Stamp | None:
        """What it holds, or None if it is not complete."""
        try:
            values = json.loads((self.folder / _STAMP).read_text(encoding="utf-8"))
            return Stamp(**{name: str(values[name]) for name in Stamp.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def write_stamp(self, stamp: Stamp) -> None:
        """Mark it as complete."""
        (self.folder / _STAMP).write_text(json.dumps(asdict(stamp)), encoding="utf-8")

    def state(self, version: str) -> Literal["missing", "broken", "outdated", "ready"]:
        """Whether a worker of closeint_core ``version`` can run in it; looks at files only.

        ``broken``: an installation was interrupted, or the Python it was made from is gone.
        """
        if not self.folder.exists():
            return "missing"
        stamp = self.stamp()
        if stamp is None or not self.complete:
            return "broken"
        return "ready" if stamp.version == version else "outdated"

    def remove(self) -> None:
        """Delete it, and one that waits beside it; a folder that is no environment of ours is refused.

        Raises:
            CloseintError: it holds something else, a worker runs in it, or it cannot be deleted.
        """
        self._require_ours()
        for folder in (self.folder, self.earlier):
            if folder.exists():
                require_unused(folder)
        for folder in (self.folder, self.earlier, *self.folder.parent.glob(f".{self.folder.name}-*")):
            delete(folder)

    # -- renewing ------------------------------------------------------------------------------------------------

    def set_aside(self) -> None:
        """Make room for a new environment: a complete one waits at ``earlier``, anything else is deleted.

        Raises:
            CloseintError: as ``remove``; nothing has changed then.
        """
        self._require_ours()
        if not self.folder.exists():
            return
        require_unused(self.folder)
        if self.complete:
            with _explained(self.folder, "renamed"):
                os.replace(self.folder, self.earlier)
        else:
            delete(self.folder)

    def bring_back(self) -> bool:
        """Put what ``set_aside`` kept back into its place; whether there was something.

        Raises:
            CloseintError: what is in its place cannot be deleted.
        """
        if not self.earlier.exists():
            return False
        delete(self.folder)
        with _explained(self.earlier, "renamed"):
            os.replace(self.earlier, self.folder)
        return True

    def recover(self) -> None:
        """Clear up after a renewal that was cut off: of the new and the earlier environment the complete one stays.

        Raises:
            CloseintError: something cannot be deleted, or is not ours.
        """
        if not self.earlier.exists():
            return
        self._require_ours()
        if self.complete:
            delete(self.earlier)
        else:
            self.bring_back()

    def _require_ours(self) -> None:
        try:
            known = any((self.folder / name).exists() for name in (_STAMP, "pyvenv.cfg", _LOCK))
            strange = self.folder.exists() and not known and any(self.folder.iterdir())
        except OSError as error:
            raise CloseintError(f"The folder {self.folder} cannot be read ({error.strerror}).") from error
        if strange:
            raise CloseintError(f"{self.folder} is not an environment of the worker, so it is not deleted.")


# -- use and removal ---------------------------------------------------------------------------------------------


def hold(folder: Path) -> object | None:
    """Lock an environment for as long as this process lives, so that nobody deletes it under a worker.

    Returns:
        What holds the lock; None where there is nothing to lock. Windows refuses by itself to rename what runs.
    """
    if sys.platform == "win32" or not (folder / _STAMP).is_file():
        return None
    import fcntl

    try:
        file = open(folder / _LOCK, "a")  # noqa: SIM115 - it stays open as long as the process lives
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # a disk that is read-only, or knows no locks
        return None
    return file


def require_unused(folder: Path) -> None:
    """See that no worker runs in an environment.

    Raises:
        CloseintError: one does.
    """
    if sys.platform == "win32":
        return
    import fcntl

    with contextlib.suppress(FileNotFoundError, PermissionError), open(folder / _LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CloseintError(
                f"The worker in {folder} is in use.", "Close other Blenders that use it, and try again."
            ) from None
        except OSError:  # a disk that knows no locks
            return


def delete(path: Path) -> None:
    """Delete a file or a folder with all that is in it, if it is there.

    A folder is renamed first: Windows refuses that while something in it is used, and so nothing of it is lost.

    Raises:
        CloseintError: it cannot be deleted.
    """
    if not os.path.lexists(path):
        return
    with _explained(path, "deleted"):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        doomed = path.with_name(f".{path.name.lstrip('.')}-{secrets.token_hex(4)}")
        os.replace(path, doomed)
        shutil.rmtree(platforms.extended(str(doomed.absolute())))


@contextlib.contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    """Make one sentence of a disk's refusal."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EROFS:
            fix = "The disk is read-only; make it writable, and try again."
        else:
            fix = "Close other Blenders that use the worker, see that you may change that folder, and try again."
        raise CloseintError(f"{path} cannot be {what} ({error.strerror or error}).", fix) from error


# -- what it is made with ----------------------------------------------------------------------------------------


def probe_python(command: Sequence[str]) -> FoundPython | None:
    """What an interpreter is; None if it does not run."""
    try:
        done = subprocess.run(
            [*command, "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        version, complete, path = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return FoundPython(Path(path), tuple(version), bool(complete))


def find_python(first: Path | None = None) -> tuple[FoundPython | None, list[FoundPython]]:
    """An interpreter for the worker, and all that were looked at.

    The given one, then the one that runs this (Blender's own), then those on PATH.

    Raises:
        CloseintError: ``first`` is given and cannot be used.
    """
    if first is not None:
        found = probe_python([str(first)])
        if found is None:
            raise CloseintError(f"{first} is not a Python that runs.", "Choose another, or leave the choice empty.")
        if found.version < OLDEST_PYTHON:
            wanted = ".".join(map(str, OLDEST_PYTHON))
            raise CloseintError(f"{first} is Python {_dotted(found)}; {wanted} or later is needed.", "Choose another.")
        if not found.complete:
            raise CloseintError(
                f"The Python {first} cannot make environments (venv or ensurepip is missing).",
                "Choose another, or install what it lacks (on Debian: python3-venv).",
            )
        return found, [found]
    seen: list[FoundPython] = []
    for command in [[sys.executable], *platforms.python_commands(sys.platform)]:
        if shutil.which(command[0]) is None:
            continue
        found = probe_python(command)
        if found is not None and found not in seen:
            seen.append(found)
            if found.complete and found.version >= OLDEST_PYTHON:
                return found, seen
    return None, seen


def _dotted(found: FoundPython) -> str:
    return ".".join(str(part) for part in found.version)


def find_uv() -> str | None:
    """The program uv, on PATH or where its installer puts it."""
    found = shutil.which("uv")
    if found:
        return found
    places = [Path(place) for place in platforms.uv_places(Path.home(), sys.platform)]
    return next((str(place) for place in places if place.is_file()), None)


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA driver answers."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        done = subprocess.run([tool, "-L"], capture_output=True, check=False, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"GPU" in done.stdout


def plan(
    folder: PurePath,
    wheel: PurePath,
    base: FoundPython | None,
    uv: str | None,
    gpu: bool,
    platform: str = sys.platform,
) -> list[Step]:
    """The steps that make the environment.

    torch comes first and by itself, so that the right build is there when the rest asks for one. The registry's
    plain build is the right one on a Mac and, with an NVIDIA GPU, on Linux; uv knows where the others are.

    Args:
        folder: of the environment; it does not exist.
        wheel: path of closeint_core's wheel.
        base: interpreter it is made from; None lets uv bring one.
        uv: the program uv; None uses venv and pip.
        gpu: there is an NVIDIA GPU.
        platform: as ``sys.platform`` says it.

    Raises:
        CloseintError: there is neither uv nor a suitable Python.
    """
    place, python = str(folder), str(platforms.python_in(folder, platform))
    if uv is None and base is None:
        raise CloseintError(
            f"No Python {'.'.join(map(str, OLDEST_PYTHON))} or later with venv was found.",
            "Install Python from its site, or choose one under Install With in the Set-Up panel.",
            exit_code=3,
        )
    core = platforms.requirement(wheel, "inference")
    rest = 0.40 - (_GPU_SHARE if gpu and platform != "darwin" else 0.0)
    backend: tuple[str, ...] = () if platform == "darwin" else ("--torch-backend", "auto" if gpu else "cpu")
    if uv is not None:
        make = (uv, "venv", "--seed", "--python", str(base.path) if base else UV_PYTHON, place)
        install = (uv, "pip", "install", "--python", python)
        pip = (python, "-m", "pip", "install")
        return [
            Step("Making the environment", make, 0.05),
            Step("Installing torch", (*install, *backend, TORCH), 0.55, fallback=(*pip, TORCH)),
            Step("Installing closeint and its libraries", (*install, core), rest, fallback=(*pip, core)),
            *_gpu_runtime((*install, "--reinstall"), gpu, platform),
        ]
    assert base is not None
    quiet = (python, "-m", "pip", "install", "--no-input", "--progress-bar", "off")
    plain_fits = platform == "darwin" or (platform.startswith("linux") and gpu)
    return [
        Step("Making the environment", (str(base.path), "-m", "venv", place), 0.05),
        Step("Updating pip", (*quiet, "--upgrade", "pip"), 0.03),
        *_torch_by_pip(python, quiet, None if plain_fits else backend),
        Step("Installing closeint and its libraries", (*quiet, core), rest),
        *_gpu_runtime((*quiet, "--force-reinstall"), gpu, platform),
    ]


def _torch_by_pip(python: str, pip: tuple[str, ...], backend: tuple[str, ...] | None) -> list[Step]:
    """The steps that install torch where uv is not there: the registry's plain build, or uv's choice if it comes."""
    if backend is None:
        return [Step("Installing torch", (*pip, TORCH), 0.52)]
    with_uv = (python, "-m", "uv", "pip", "install", "--python", python, *backend, TORCH)
    return [
        Step("Fetching uv", (*pip, "uv>=0.5"), 0.02, optional=True),
        Step("Installing torch", with_uv, 0.50, fallback=(*pip, TORCH)),
    ]


def _gpu_runtime(install: tuple[str, ...], gpu: bool, platform: str) -> list[Step]:
    """The step that puts the GPU build of ONNX Runtime over the plain one, where there is an NVIDIA GPU.

    It comes last and is optional: where no such build fits, the plain one stays and finds people on the CPU.
    """
    if not gpu or platform == "darwin":
        return []
    command = (*install, "--no-deps", GPU_RUNTIME)
    return [Step("Installing ONNX Runtime for the GPU", command, _GPU_SHARE, optional=True)]
