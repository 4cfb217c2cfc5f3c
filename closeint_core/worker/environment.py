# SPDX-License-Identifier: Apache-2.0
"""The worker's Python environment: where it is, whether it is whole, how it is made. Standard library only.

Nothing here installs anything; ``install`` runs the steps that ``plan`` gives.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from closeint_core.errors import CloseintError

TORCH = "torch==2.13.0"
GPU_RUNTIME = "onnxruntime-gpu"
"""ONNX Runtime with CUDA: the same module as the plain build that closeint asks for, so it is put over it."""
OLDEST_PYTHON = (3, 10)
UV_PYTHON = "3.11"
"""What uv is asked for where no Python is found."""

_GPU_SHARE = 0.10  # of an installation's time, for the GPU build of ONNX Runtime
_STAMP = "closeint.json"
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
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

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
        if stamp is None or not self.python.exists():
            return "broken"
        return "ready" if stamp.version == version else "outdated"

    def remove(self) -> None:
        """Delete it; a folder that is no environment of ours is refused.

        Raises:
            CloseintError: it holds something else, or a file in it cannot be deleted.
        """
        if not self.folder.exists():
            return
        ours = (self.folder / _STAMP).exists() or (self.folder / "pyvenv.cfg").exists()
        if not ours and any(self.folder.iterdir()):
            raise CloseintError(f"{self.folder} is not an environment of the worker, so it is not deleted.")
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise CloseintError(
                f"The folder {self.folder} cannot be deleted ({error.strerror}).",
                "Close other Blenders that use the worker, and try again.",
            ) from error


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
    names: list[list[str]] = [[sys.executable]]
    names += [[f"python3.{minor}"] for minor in (11, 12, 13, 10)] + [["python3"], ["python"]]
    if os.name == "nt":
        names[1:1] = [["py", f"-3.{minor}"] for minor in (11, 12, 13, 10)]
    seen: list[FoundPython] = []
    for command in names:
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
    name = "uv.exe" if os.name == "nt" else "uv"
    for folder in (Path.home() / ".local" / "bin", Path.home() / ".cargo" / "bin"):
        if (folder / name).is_file():
            return str(folder / name)
    return None


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


def plan(environment: Environment, wheel: str, base: FoundPython | None, uv: str | None, gpu: bool) -> list[Step]:
    """The steps that make the environment.

    torch comes first and by itself, so that the right build is there when the rest asks for one. The registry's
    plain build is the right one on a Mac and, with an NVIDIA GPU, on Linux; uv knows where the others are.

    Args:
        environment: to be made; its folder does not exist.
        wheel: path of closeint_core's wheel.
        base: interpreter it is made from; None lets uv bring one.
        uv: the program uv; None uses venv and pip.
        gpu: there is an NVIDIA GPU.

    Raises:
        CloseintError: there is neither uv nor a suitable Python.
    """
    folder, python = str(environment.folder), str(environment.python)
    if uv is None and base is None:
        raise CloseintError(
            f"No Python {'.'.join(map(str, OLDEST_PYTHON))} or later with venv was found.",
            "Install Python from its site, or choose one under Install With in the Set-Up panel.",
            exit_code=3,
        )
    core = f"{wheel}[inference]"
    rest = 0.40 - (_GPU_SHARE if gpu and sys.platform != "darwin" else 0.0)
    backend: tuple[str, ...] = ("--torch-backend", "auto" if gpu else "cpu")
    plain_fits = sys.platform == "darwin" or (sys.platform.startswith("linux") and gpu)
    if sys.platform == "darwin":
        backend = ()
    pip: tuple[str, ...]
    if uv is not None:
        make = (uv, "venv", "--seed", "--python", str(base.path) if base else UV_PYTHON, folder)
        install = (uv, "pip", "install", "--python", python)
        pip = (python, "-m", "pip", "install")
        return [
            Step("Making the environment", make, 0.05),
            Step("Installing torch", (*install, *backend, TORCH), 0.55, fallback=(*pip, TORCH)),
            Step("Installing closeint and its libraries", (*install, core), rest, fallback=(*pip, core)),
            *_gpu_runtime((*install, "--reinstall"), gpu),
        ]
    assert base is not None
    pip = (python, "-m", "pip", "install", "--no-input", "--progress-bar", "off")
    steps = [
        Step("Making the environment", (str(base.path), "-m", "venv", folder), 0.05),
        Step("Updating pip", (*pip, "--upgrade", "pip"), 0.03),
    ]
    if plain_fits:
        steps.append(Step("Installing torch", (*pip, TORCH), 0.52))
    else:
        with_uv = (python, "-m", "uv", "pip", "install", "--python", python, *backend, TORCH)
        steps.append(Step("Fetching uv", (*pip, "uv>=0.5"), 0.02, optional=True))
        steps.append(Step("Installing torch", with_uv, 0.50, fallback=(*pip, TORCH)))
    steps.append(Step("Installing closeint and its libraries", (*pip, core), rest))
    return [*steps, *_gpu_runtime((*pip, "--force-reinstall"), gpu)]


def _gpu_runtime(install: tuple[str, ...], gpu: bool) -> list[Step]:
    """The step that puts the GPU build of ONNX Runtime over the plain one, where there is an NVIDIA GPU.

    It comes last and is optional: where no such build fits, the plain one stays and finds people on the CPU.
    """
    if not gpu or sys.platform == "darwin":
        return []
    command = (*install, "--no-deps", GPU_RUNTIME)
    return [Step("Installing ONNX Runtime for the GPU", command, _GPU_SHARE, optional=True)]


def platform_name() -> str:
    """Such as "Linux x86_64"."""
    return f"{platform.system()} {platform.machine()}"
