# SPDX-License-Identifier: Apache-2.0
"""The operators that the guide lists are there, with the properties that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "directors" / "operators.md"
FROM_BLENDER = {"filepath"}
"""Properties that operators inherit from Blender's helpers for files."""


def operators() -> dict[str, set[str]]:
    """The extension's operators, each with its own properties; read from the source, since bpy may not be here."""
    found = {}
    for path in (ROOT / "closeint_blender").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                values = {ast.unparse(s.targets[0]): s.value for s in node.body if isinstance(s, ast.Assign)}
                name = values.get("bl_idname")
                if isinstance(name, ast.Constant) and "." in str(name.value):
                    found[str(name.value)] = {ast.unparse(s.target) for s in node.body if isinstance(s, ast.AnnAssign)}
    return found


def test_listed_operators_are_there_with_their_properties() -> None:
    known = operators()
    rows = [
        line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `closeint.")
    ]
    assert len(rows) > 10
    for row in rows:
        for name in re.findall(r"`(closeint\.\w+)`", row[1]):
            assert name in known
            assert set(re.findall(r"`(\w+)`", row[3])) <= known[name] | FROM_BLENDER, name


def test_calls_on_the_page_are_of_operators() -> None:
    known = operators()
    calls = re.findall(r"bpy\.ops\.(closeint\.\w+)\((\w+)?", PAGE.read_text(encoding="utf-8"))
    assert calls
    for name, first in calls:
        assert not first or first in known[name] | FROM_BLENDER
