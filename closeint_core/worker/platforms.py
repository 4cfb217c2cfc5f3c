# SPDX-License-Identifier: Apache-2.0
"""What differs between Windows, macOS and Linux for the worker's installation. Standard library only.

Pure functions of ``platform`` (``sys.platform``'s words: win32, darwin, linux), so that each platform's rules can be
tested on any.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from urllib.parse import quote

from closeint_core.errors import CloseintError

LONGEST_INSIDE = 192
"""Characters of the longest path below an environment, its separator included: a licence in torch 2.13's wheel (173)
under Lib/site-packages."""
WINDOWS_LIMIT = 259
"""Characters of a path that Windows takes where long paths are not switched on (MAX_PATH less the closing zero)."""
TORCH_WHEELS = {"win_amd64", "macosx_arm64", "manylinux_x86_64", "manylinux_aarch64"}
"""Platforms for which torch is published, as 2.13 has them (macOS 14 or later, glibc 2.28 or later)."""
CACHE, PYTHONS = "cache", "python"
"""Folders beside the environment: what pip and uv keep while they install, and Pythons that uv brings."""
_HIDDEN = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER", "PIP_PREFIX"}
"""Settings for Blender's Python, or another environment's, which would mislead pip."""


def path_class(platform: str) -> type[PurePath]:
    """The kind of path that a platform has."""
    return PureWindowsPath if platform == "win32" else PurePosixPath


def python_in(folder: PurePath, platform: str = sys.platform) -> PurePath:
    """The interpreter of a virtual environment, as venv and uv lay it out."""
    return folder / "Scripts" / "python.exe" if platform == "win32" else folder / "bin" / "python"


def python_commands(platform: str = sys.platform) -> list[list[str]]:
    """Commands that may be a Python, the best first; on Windows its launcher knows what is not on PATH."""
    minors = (11, 12, 13, 10)
    named = [[f"python3.{minor}"] for minor in minors]
    launcher = [["py", f"-3.{minor}"] for minor in minors] if platform == "win32" else []
    return [*launcher, *named, ["python3"], ["python"]]


def uv_places(home: PurePath, platform: str = sys.platform) -> list[PurePath]:
    """Where uv's installers put it: today's, and an earlier one's."""
    name = "uv.exe" if platform == "win32" else "uv"
    return [home / ".local" / "bin" / name, home / ".cargo" / "bin" / name]


def wheel_platform(platform: str = sys.platform, machine: str = "", libc: str = "glibc") -> str:
    """The platform's part of wheels' names without versions: ``win_amd64``, ``macosx_arm64``, ``manylinux_x86_64``.

    Args:
        machine: as ``platform.machine()`` says it. libc: as ``platform.libc_ver()`` names it; musl has no name there.
    """
    known = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "i386": "i686", "x86": "i686"}
    processor = known.get(machine.lower(), machine.lower())
    if platform == "win32":
        return {"x86_64": "win_amd64", "aarch64": "win_arm64", "i686": "win32"}.get(processor, f"win_{processor}")
    if platform == "darwin":
        return "macosx_arm64" if processor == "aarch64" else f"macosx_{processor}"
    return f"{'manylinux' if libc == 'glibc' else 'musllinux'}_{processor}"


def require_torch(wheels: str) -> None:
    """See that torch is published for a platform, as ``wheel_platform`` names it.

    Raises:
        CloseintError: it is not (exit code 3).
    """
    if wheels in TORCH_WHEELS:
        return
    names = {"macosx_x86_64": "Macs with an Intel processor", "win_arm64": "Windows on Arm", "win32": "32-bit Windows"}
    name = names.get(wheels, wheels)
    if wheels.startswith("musllinux"):
        name = "Linux without glibc"
    raise CloseintError(
        f"PyTorch is not published for {name}, so the worker cannot be installed here.",
        "Choose a Python that has closeint-core[inference] as Existing Python, or use another computer.",
        exit_code=3,
    )


def requirement(wheel: PurePath, extra: str) -> str:
    """What pip and uv are asked for: the wheel's project with an extra, from the wheel's address.

    A bare path followed by the extra is read differently by the two where it has spaces, brackets or a ``#``.
    """
    project = wheel.name.split("-")[0].replace("_", "-")
    text = wheel.as_posix()
    if text.startswith("//"):  # another computer's share
        address = f"file:{quote(text)}"
    else:
        address = f"file://{'' if text.startswith('/') else '/'}{quote(text, safe='/:')}"
    return f"{project}[{extra}] @ {address}"


def worker_folder(
    home: PurePath, platform: str, variables: Mapping[str, str], long_paths: bool, series: str
) -> PurePath:
    """The folder of the worker's environment: in the extension's own, or where Windows would find that too deep.

    Args:
        home: the extension's own folder. variables: of the environment. long_paths: Windows takes paths of any length.
        series: Blender's, such as "4.5", which shares no environment with another.
    """
    folder = home / "worker"
    local = variables.get("LOCALAPPDATA")
    if platform != "win32" or long_paths or fits(folder, platform) or not local:
        return folder
    return PureWindowsPath(local) / "closeint" / series / "worker"


def fits(folder: PurePath, platform: str) -> bool:
    """Whether every path below an environment in ``folder`` is short enough where long paths are not switched on."""
    return platform != "win32" or len(str(folder)) + LONGEST_INSIDE <= WINDOWS_LIMIT


def require_short(folder: PurePath, platform: str, long_paths: bool) -> None:
    """See that Windows takes every path below an environment.

    Raises:
        CloseintError: it does not.
    """
    if not long_paths and not fits(folder, platform):
        most = WINDOWS_LIMIT - LONGEST_INSIDE
        raise CloseintError(
            f"The folder {folder} is too deep for Windows: it has {len(str(folder))} characters, {most} can be used.",
            "Name a short folder, such as C:\\closeint, in the environment variable CLOSEINT_BLENDER_HOME, or switch "
            "on Windows' long paths (LongPathsEnabled), and start Blender again.",
        )


def extended(path: str, platform: str = sys.platform) -> str:
    """A path by which Windows opens what is longer than its limit; other platforms' paths are as they are.

    Args:
        path: absolute.
    """
    if platform != "win32" or path.startswith(("\\\\?\\", "\\\\.\\")):
        return path
    path = path.replace("/", "\\")
    if path.startswith("\\\\"):
        return "\\\\?\\UNC\\" + path[2:]
    return "\\\\?\\" + path if re.match(r"[A-Za-z]:\\", path) else path


def child_environment(variables: Mapping[str, str], home: PurePath, platform: str = sys.platform) -> dict[str, str]:
    """Variables for pip and uv: nothing of Blender's Python, UTF-8 whatever the code page is, caches of our own.

    Args:
        variables: this process's. home: the folder for caches and for a Python that uv brings, which *Remove* deletes.
            Folders that the user set stay.
    """
    # Windows does not tell PATH from Path.
    kept = {k: v for k, v in variables.items() if (k.upper() if platform == "win32" else k) not in _HIDDEN}
    spoken = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUTF8": "1",
              "PYTHONIOENCODING": "utf-8"}  # fmt: skip
    own = {"PIP_CACHE_DIR": str(home / CACHE / "pip"), "UV_CACHE_DIR": str(home / CACHE / "uv"),
           "UV_PYTHON_INSTALL_DIR": str(home / PYTHONS)}  # fmt: skip
    return {**own, **kept, **spoken}


@functools.cache
def long_paths_enabled(platform: str = sys.platform) -> bool:
    """Whether this computer takes paths of any length: all but Windows do, and Windows where its registry says so."""
    if platform != "win32":
        return True
    try:
        import winreg  # type: ignore[import-not-found,unused-ignore]  # of Windows alone

        where = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, where) as key:  # type: ignore[attr-defined,unused-ignore]
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])  # type: ignore[attr-defined,unused-ignore]
    except (ImportError, OSError):
        return False
