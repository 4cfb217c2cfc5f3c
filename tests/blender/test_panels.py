# SPDX-License-Identifier: Apache-2.0
"""What panels draw cannot be drawn without a window; what they name is checked here for every Blender."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
from blender_runtimes import ROOT, BlenderRuntime

PACKAGE = ROOT / "closeint_blender"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def icons_of(source: Path) -> set[str]:
    """Every text that is given as an icon, or kept in a constant that is."""
    text = source.read_text(encoding="utf-8")
    found = set(re.findall(r'icon="([A-Z0-9_]+)"', text))
    found |= set(re.findall(r'icon="[A-Z0-9_]+" if .*? else "([A-Z0-9_]+)"', text))
    if source.name == "lines.py":
        found |= set(re.findall(r'"(COLORSET_\d\d_VEC)"', text))
    return found


def test_icons_exist(runtime: BlenderRuntime, tmp_path: Path) -> None:
    out = tmp_path / "icons.json"
    script = Path(__file__).parent / "inside" / "list_icons.py"
    subprocess.run(
        runtime.python_command(script, [str(out)]), check=True, capture_output=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    used = set().union(*(icons_of(source) for source in SOURCES))
    assert len(used) > 10
    assert used <= set(json.loads(out.read_text()))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_everything_has_a_tooltip(source: Path) -> None:
    """Operators by their docstring, properties by their description (but for the hidden ones of file browsers)."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "_OT_" in node.name:
            assert ast.get_docstring(node), f"{node.name} has no description"
            assert not (ast.get_docstring(node) or "").endswith("."), f"Blender adds the full stop: {node.name}"
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Call):
            call = node.annotation
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if not name.endswith("Property") or name in ("PointerProperty", "CollectionProperty"):
                continue
            given = {keyword.arg for keyword in call.keywords}
            assert given & {"description", "options"}, f"{source.name}:{node.lineno} has no description"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_property_groups_have_no_methods(source: Path) -> None:
    """With one, bpy 4.2 as a module crashes when its process ends."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and "_PG_" in node.name:
            assert not [part for part in node.body if isinstance(part, ast.FunctionDef)], node.name


def test_ends_well_after_unregistering(runtime: BlenderRuntime, tmp_path: Path) -> None:
    if not runtime.is_module or runtime.number >= (4, 5):
        pytest.skip("only bpy 4.2 crashed there; later ones may hang at their end by themselves")
    script = tmp_path / "script.py"
    lines = [f"import sys; sys.path.insert(0, {str(ROOT)!r})", "import bpy, closeint_blender as c"]
    script.write_text("\n".join([*lines, "c.register()", "c.unregister()"]))
    done = subprocess.run(runtime.python_command(script), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
