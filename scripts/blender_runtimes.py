# SPDX-License-Identifier: Apache-2.0
"""Which Blenders there are on this machine: bpy modules in a Python, and Blender programs.

Looked for, in this order: the environment variables CLOSEINT_BPY_PYTHONS and CLOSEINT_BLENDERS (lists of
executables, separated as in PATH), ``.envs/bpy-*`` of the clone, the cache of the development tools, and
``blender`` on PATH. Needs the standard library only.

CLOSEINT_TEST_BLENDERS limits the tests to some of them, see ``chosen``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_PROBE = "import bpy, json; print('CLOSEINT', json.dumps([bpy.app.version_string, bpy.utils.resource_path('LOCAL')]))"


@dataclass(frozen=True)
class BlenderRuntime:
    """One Blender.

    Attributes:
        executable: a Python with bpy, or a Blender.
        is_module: True for a Python with bpy.
        version: such as "4.5.15 LTS".
        resources: the folder of its own scripts.
    """

    executable: Path
    is_module: bool
    version: str
    resources: Path

    @property
    def number(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in self.version.split()[0].split("."))

    @property
    def label(self) -> str:
        """A short name for reports, such as "bpy-4.5.15"."""
        return f"{'bpy' if self.is_module else 'blender'}-{self.version.split()[0]}"

    def python_command(self, script: Path, arguments: Sequence[str] = ()) -> list[str]:
        """The command that runs a script in this Blender, without a window and without the user's settings.

        The script finds its arguments after "--" in sys.argv in a Blender, and as usual in a Python.
        """
        if self.is_module:
            return [str(self.executable), str(script), *arguments]
        options = ["--background", "--factory-startup", "--python-exit-code", "1", "--python", str(script)]
        return [str(self.executable), *options, "--", *arguments]

    def extension_command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs Blender's extension tool (``build``, ``validate``)."""
        if self.is_module:
            tool = self.resources / "scripts" / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
            return [str(self.executable), str(tool), *arguments]
        return [str(self.executable), "--command", "extension", *arguments]


def probe(executable: Path, is_module: bool) -> BlenderRuntime | None:
    """Ask an executable which Blender it is; None when it does not start."""
    command = [str(executable), "-c", _PROBE]
    if not is_module:
        command = [str(executable), "--background", "--factory-startup", "--python-expr", _PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in done.stdout.splitlines():
        if line.startswith("CLOSEINT "):
            version, resources = json.loads(line.removeprefix("CLOSEINT "))
            return BlenderRuntime(executable, is_module, version, Path(resources))
    return None


def candidates() -> list[tuple[Path, bool]]:
    """Executables that may be a Blender, with whether they are a Python."""
    found: list[tuple[Path, bool]] = []
    for variable, is_module in (("CLOSEINT_BPY_PYTHONS", True), ("CLOSEINT_BLENDERS", False)):
        found += [(Path(name), is_module) for name in os.environ.get(variable, "").split(os.pathsep) if name]
    for environment in sorted((ROOT / ".envs").glob("bpy-*")):
        found += [(environment / "bin" / "python", True), (environment / "Scripts" / "python.exe", True)]
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("BLENDER_ENV_CACHE") or Path(cache_home) / "blender_env")
    found += [(path, True) for path in sorted(cache.glob("python-bpy-*"))]
    found += [(path, False) for path in sorted(cache.glob("blender-*"))]
    on_path = shutil.which("blender")
    if on_path:
        found.append((Path(on_path), False))
    return [(path, is_module) for path, is_module in found if path.is_file() and os.access(path, os.X_OK)]


def find_runtimes() -> list[BlenderRuntime]:
    """The Blenders of this machine that start, one of each kind and version, oldest first."""
    found: dict[str, BlenderRuntime] = {}
    for executable, is_module in candidates():
        runtime = probe(executable, is_module)
        if runtime is not None:
            found.setdefault(runtime.label, runtime)
    return sorted(found.values(), key=lambda runtime: (runtime.number, runtime.is_module))


def chosen(runtimes: Sequence[BlenderRuntime], wanted: str) -> list[BlenderRuntime]:
    """Those that a text asks for: "5.2" for all of that version, "5.2,4.2.23" for some, "!5.2" for all but those."""
    versions = [
        tuple(int(part) for part in version.split(".")) for version in wanted.lstrip("!").split(",") if version.strip()
    ]

    def named(runtime: BlenderRuntime) -> bool:
        return any(runtime.number[: len(version)] == version for version in versions)

    return [runtime for runtime in runtimes if not versions or named(runtime) != wanted.startswith("!")]


if __name__ == "__main__":
    for runtime in find_runtimes():
        print(f"{runtime.label:16} {runtime.executable}")
