# SPDX-License-Identifier: Apache-2.0
"""Functions and modules stay short enough to be read at once: counted from the source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("closeint_core", "closeint_blender", "scripts", "benchmarks")

MOST_LINES = 60
"""Of a function, its docstring included."""
MOST_PARAMETERS = 7
"""Of a function, without self or cls. The options of a command are its parameters: ``COMMANDS``."""
MOST_MODULE_LINES = 500

COMMANDS = ("closeint_core/cli.py", "closeint_core/evaluation/command.py")


def measured(source: str) -> dict[str, tuple[int, int]]:
    """Lines and parameters of each function of a text, by its name with its classes'; the larger of namesakes."""
    found: dict[str, tuple[int, int]] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}" if prefix else child.name
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                given = child.args.posonlyargs + child.args.args
                own = bool(given) and given[0].arg in ("self", "cls")
                count = len(given) - own + len(child.args.kwonlyargs)
                lines = (child.end_lineno or child.lineno) - child.lineno + 1
                before = found.get(name, (0, 0))
                found[name] = (max(lines, before[0]), max(count, before[1]))
            visit(child, name)

    visit(ast.parse(source), "")
    return found


def functions() -> dict[str, tuple[int, int]]:
    """The same for the whole product, by ``file:function``."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name, sizes in measured(path.read_text(encoding="utf-8")).items():
                found[f"{path.relative_to(ROOT).as_posix()}:{name}"] = sizes
    return found


def test_no_function_is_longer_than_a_screen() -> None:
    assert {name: lines for name, (lines, _) in functions().items() if lines > MOST_LINES} == {}


def test_no_function_takes_more_than_seven_parameters() -> None:
    wide = {name: count for name, (_, count) in functions().items() if count > MOST_PARAMETERS}
    assert {name: count for name, count in wide.items() if not name.startswith(COMMANDS)} == {}


def test_no_module_is_longer_than_500_lines() -> None:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: count for name, count in lines.items() if count > MOST_MODULE_LINES} == {}


def test_sizes_are_counted_as_said() -> None:
    source = "class A:\n    def f(self, a, *, b):\n        def g(x, /, y):\n            pass\n        return g\n"
    assert measured(source) == {"A.f": (4, 2), "A.f.g": (2, 2)}
