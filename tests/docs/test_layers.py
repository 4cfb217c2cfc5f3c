# SPDX-License-Identifier: Apache-2.0
"""The layers that the architecture page draws: who imports whom, and that no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LAYERS = (
    {"errors", "files", "foreign_files", "provenance", "inputs", "progress", "estimate", "calibrated", "halpe", "clip",
     "corrections", "settings", "options", "camera", "sequences", "windows", "terminal", "streams", "models", "body",
     "video"},
    {"mesh", "physics", "metrics", "perception", "rendering", "eyes"},
    {"solver", "denoiser"},
    {"reconstruction"},
    {"exchange", "preview", "evaluation", "training", "doctor"},
    {"cli", "worker"},
)  # fmt: skip
"""Packages and modules of closeint_core from the ground up; each imports what is below it or in its own row."""


def imports(package: str) -> dict[str, set[str]]:
    """Which modules of a package each of its modules imports anywhere, by dotted names."""
    modules = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    own = name.split(".")
                    above = own if path.name == "__init__.py" else own[:-1]
                    base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
                for alias in node.names:
                    full = f"{base}.{alias.name}"
                    found[name] |= {full if full in modules else base} & modules.keys()
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & modules.keys()
        found[name].discard(name)
    return found


def among_siblings(graph: dict[str, set[str]], parent: str) -> dict[str, set[str]]:
    """Which of a package's own modules and packages import which others, whatever is inside of them."""
    start = len(parent) + 1
    found: dict[str, set[str]] = defaultdict(set)
    for importer, others in graph.items():
        if importer.startswith(parent + "."):
            own = importer[start:].split(".")[0]
            found[own] |= {other[start:].split(".")[0] for other in others if other.startswith(parent + ".")} - {own}
    return found


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of two or more modules each of which reaches every other."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        stack = [start]
        while stack:
            for other in graph.get(stack.pop(), set()) - seen:
                seen.add(other)
                stack.append(other)
        reach[start] = seen
    groups: list[set[str]] = []
    for name, others in reach.items():
        group = {other for other in others if name in reach.get(other, set())}
        if len(group) > 1 and group not in groups:
            groups.append(group)
    return groups


def test_every_layer_imports_what_is_below_it() -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for importer, others in imports("closeint_core").items():
        if importer.count(".") == 0 or importer == "closeint_core.__main__":
            continue
        for other in others:
            a, b = (name.split(".")[1] if "." in name else "" for name in (importer, other))
            assert a in rank, f"{a} has no layer"
            if b and rank[b] > rank[a]:
                wrong.append(f"{importer} imports {other}")
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    for package in ("closeint_core", "closeint_blender"):
        assert not circles(imports(package))


def test_no_packages_import_each_other_in_a_circle() -> None:
    graph = imports("closeint_blender")
    for parent in (
        "closeint_blender",
        *(f"closeint_blender.{p}" for p in ("analysis", "importer", "operators", "panels")),
    ):
        assert not circles(among_siblings(graph, parent)), parent


def test_circles_between_packages_are_found() -> None:
    graph = {"a.x.one": {"a.y.two"}, "a.y.three": {"a.x"}, "a.y.two": set(), "a.x": set()}
    assert circles(graph) == []
    assert circles(among_siblings(graph, "a")) == [{"x", "y"}]


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    assert circles(graph) == [{"a", "b", "c"}]
    assert circles({"a": {"b"}, "b": set()}) == []
