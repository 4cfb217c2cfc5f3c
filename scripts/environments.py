# SPDX-License-Identifier: Apache-2.0
"""Makes the project's two kinds of Python environment inside the clone: the worker's, and Blender's.

Standard library only, since this runs before anything is installed. An environment is made once and
recognised by a stamp; it is made anew when what it should hold has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".envs"
TORCH = "torch==2.13.0"
GPU_RUNTIME = "onnxruntime-gpu"
DEVELOPER_EXTRAS = "inference,dev,docs"
"""Extras of the environment in which the checks run; users' environments have the first alone."""
WORKER_VERSIONS = ("3.11", "3.12", "3.13", "3.10")
BPY_PYTHON = {"4.2.23": "3.11", "4.5.15": "3.11", "5.0.1": "3.11", "5.2.3": "3.13"}
"""Blender as a module: the version of each wheel and the only Python it works with."""
BPY_FOR_DEMO = ("4.5.15", "5.2.3")


class SetupError(Exception):
    """One sentence on what is missing and what to do."""


def say(text: str) -> None:
    """A line of progress."""
    print(f"[closeint] {text}", flush=True)


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _version_of(command: Sequence[str]) -> str | None:
    """'3.11' if ``command`` runs a Python with venv, else None."""
    try:
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([*command, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def find_python(versions: Sequence[str]) -> list[str] | None:
    """Command of the first Python of one of ``versions`` on this machine, in their order."""
    for version in versions:
        candidates = [[sys.executable], [f"python{version}"], ["python3"], ["python"]]
        if os.name == "nt":
            candidates.insert(1, ["py", f"-{version}"])
        for command in candidates:
            if shutil.which(command[0]) and _version_of(command) == version:
                return command
    return None


def _run(command: Sequence[str | Path], what: str) -> None:
    """Run an installation step with its output in a log; a failure shows the log's end."""
    HOME.mkdir(exist_ok=True)
    log = HOME / "log.txt"
    started = time.monotonic()
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"\n$ {' '.join(map(str, command))}\n")
        file.flush()
        process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        while True:
            try:
                status = process.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if sys.stderr.isatty():
                    print(f"\r[closeint] {what} ... {time.monotonic() - started:.0f} s ", end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
    if status:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        tail = next((line for line in reversed(lines) if "rror" in line), lines[-1])
        raise SetupError(f"{what} failed: {tail.strip()} (all of it is in {log}).")
    say(f"{what}: {time.monotonic() - started:.0f} s")


def _stamp(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def _ready(environment: Path, stamp: str) -> bool:
    file = environment / "closeint-stamp"
    return file.is_file() and file.read_text() == stamp and python_of(environment).exists()


def _create(environment: Path, command: Sequence[str]) -> Path:
    if environment.exists():
        shutil.rmtree(environment)
    _run([*command, "-m", "venv", environment], f"making the environment {environment.name}")
    python = python_of(environment)
    _run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], "updating pip")
    return python


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA driver answers."""
    tool = shutil.which("nvidia-smi")
    return bool(tool) and subprocess.run([str(tool), "-L"], capture_output=True, check=False).returncode == 0


def _install_torch(python: Path) -> None:
    """torch for this machine: the registry's build with CUDA if there is a GPU, else one for the CPU.

    On Linux the registry's plain wheel brings gigabytes of CUDA; uv knows where the CPU builds are.
    """
    if platform.system() == "Linux" and not has_nvidia_gpu():
        probe = [python, "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet", "--report", "-", TORCH]
        found = subprocess.run([str(part) for part in probe], capture_output=True, text=True, check=False)
        if '"version": "' in found.stdout and "+cpu" not in found.stdout:
            _run([python, "-m", "pip", "install", "--quiet", "uv>=0.5"], "fetching uv")
            try:
                uv: list[str | Path] = [
                    python,
                    "-m",
                    "uv",
                    "pip",
                    "install",
                    "--quiet",
                    "--python",
                    python,
                    "--torch-backend",
                    "cpu",
                    TORCH,
                ]
                _run(uv, "installing torch for the CPU")
                return
            except SetupError:
                say("no CPU build of torch could be had; taking the large one")
    _run([python, "-m", "pip", "install", "--quiet", TORCH], "installing torch")


def _install_gpu_runtime(python: Path) -> None:
    """Where an NVIDIA driver answers: the GPU build of ONNX Runtime over the plain one, whose module it is as well."""
    if platform.system() == "Darwin" or not has_nvidia_gpu():
        return
    options = ["--quiet", "--no-deps", "--force-reinstall"]
    try:
        _run([python, "-m", "pip", "install", *options, GPU_RUNTIME], "installing ONNX Runtime for the GPU")
    except SetupError:
        say("no GPU build of ONNX Runtime could be had; people are found on the CPU")


def ensure_worker(*, dev: bool = False) -> Path:
    """The worker's Python, with closeint_core installed from this clone; made on first use.

    Raises:
        SetupError: no suitable Python, or an installation failed.
    """
    environment = HOME / "worker"
    extras = DEVELOPER_EXTRAS if dev else "inference"
    project = (ROOT / "pyproject.toml").read_text()
    stamps = [_stamp(project, TORCH, chosen, platform.machine()) for chosen in ("inference", DEVELOPER_EXTRAS)]
    # An environment with the developers' tools serves users as well.
    if _ready(environment, stamps[1]) or (not dev and _ready(environment, stamps[0])):
        return python_of(environment)
    if not (environment / "closeint-stamp").is_file() or not python_of(environment).exists():
        command = find_python(WORKER_VERSIONS)
        if command is None:
            raise SetupError(
                "No Python 3.10 to 3.13 with venv was found; install one from python.org, or on Debian and Ubuntu "
                "the package python3-venv, and run this again."
            )
        say("first run: installing what is needed, a few minutes")
        python = _create(environment, command)
        _install_torch(python)
    python = python_of(environment)
    _run(
        [python, "-m", "pip", "install", "--quiet", "-e", f"{ROOT}[{extras}]"], "installing closeint and its libraries"
    )
    _install_gpu_runtime(python)
    (environment / "closeint-stamp").write_text(stamps[1] if dev else stamps[0])
    return python


def ensure_bpy(version: str) -> Path:
    """A Python with Blender ``version`` as a module; made on first use.

    Raises:
        SetupError: the Python it needs is not there, or the installation failed.
    """
    environment = HOME / f"bpy-{version}"
    # Blender 4.2's own add-ons were written for NumPy 1.
    packages = [f"bpy=={version}", "numpy<2" if version.startswith("4.") else "numpy"]
    stamp = _stamp(packages)
    if _ready(environment, stamp):
        return python_of(environment)
    wanted = BPY_PYTHON[version]
    command = find_python([wanted])
    if command is None:
        raise SetupError(f"Blender {version} as a module needs Python {wanted}, which was not found")
    python = _create(environment, command)
    _run([python, "-m", "pip", "install", "--quiet", *packages], f"installing Blender {version} as a module")
    (environment / "closeint-stamp").write_text(stamp)
    return python


def blender_command() -> list[str]:
    """A command that runs a Python script with Blender: a Blender on PATH, or the module's Python.

    Raises:
        SetupError: neither can be had.
    """
    for version in BPY_FOR_DEMO:
        if _ready_for(version):
            return [str(python_of(HOME / f"bpy-{version}"))]
    blender = shutil.which("blender")
    if blender:
        return [blender, "--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    problems = []
    for version in BPY_FOR_DEMO:
        try:
            return [str(ensure_bpy(version))]
        except SetupError as error:
            problems.append(str(error))
    raise SetupError(
        "The .blend file needs Blender: put Blender 4.2 or later on PATH, or install Python 3.11 or 3.13, and run "
        f"this again ({'; '.join(problems)})."
    )


def _ready_for(version: str) -> bool:
    stamp_file = HOME / f"bpy-{version}" / "closeint-stamp"
    return stamp_file.is_file() and python_of(HOME / f"bpy-{version}").exists()
