# SPDX-License-Identifier: Apache-2.0
"""Whatever the documentation names is there: files, modules, functions, commands and their options."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer

from closeint_core.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    if path.name != "CHANGELOG.md"  # what it tells of the past may be gone
)
PATH = re.compile(
    r"(?<![\w/.-])(?:closeint_core|closeint_blender|scripts|tests|benchmarks|docs|\.ci|\.github)/[\w./*{},-]*"
)
DOTTED = re.compile(r"(?<![\w/.@])closeint_(?:core|blender)(?:\.[A-Za-z_]\w*)+")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.S)
COMMAND = re.compile(r"(?:^|`|&& |/bin/)closeint ([a-z]+)([^`\n]*)", re.M)


def texts() -> list[tuple[str, str]]:
    return [(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")) for page in PAGES]


def missing_files(text: str) -> list[str]:
    """Paths of the repository in ``text`` that lead nowhere; ``*`` stands for any name."""
    found = []
    for match in PATH.finditer(text):
        name = match.group().rstrip(".,")
        names = [name]
        while braces := re.search(r"\{([^{}]*)\}", names[0]):
            names = [n.replace(braces.group(), part) for n in names for part in braces.group(1).split(",")]
        found += [n for n in names if not any(ROOT.glob(n.rstrip("/")))]
    return found


@cache
def members(path: Path) -> dict[str, ast.AST]:
    """Names that a module binds at its top level, imports included."""
    found: dict[str, ast.AST] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.setdefault(node.name, node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name): node for alias in node.names}
    return found


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or something in one."""
    folder, parts = ROOT, dotted.split(".")
    while parts and (folder / parts[0]).is_dir():
        folder = folder / parts.pop(0)
    if not parts:
        return True
    module = folder / f"{parts[0]}.py"
    if module.is_file():
        parts.pop(0)
    else:
        module = folder / "__init__.py"
    if not parts:
        return True
    if parts[0] == "__file__":
        return True
    found = members(module).get(parts[0])
    # A method or a field is looked for in the text of its class.
    return found is not None and all(re.search(rf"\b{part}\b", ast.unparse(found)) for part in parts[1:])


def unknown_commands(text: str) -> list[str]:
    """Commands and options of ``closeint`` in ``text`` that the program does not have."""
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    found = []
    for match in COMMAND.finditer("\n".join(CODE.findall(text))):
        name, rest = match.groups()
        if name not in commands:
            found.append(f"closeint {name}")
            continue
        known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
        found += [
            f"closeint {name} {option}" for option in re.findall(r"(?<!\S)\[?(--[a-z-]+)", rest) if option not in known
        ]
    return found


@pytest.mark.parametrize(("page", "text"), texts(), ids=[page for page, _ in texts()])
def test_what_a_page_names_is_there(page: str, text: str) -> None:
    wrong = missing_files(text)
    wrong += [name for name in DOTTED.findall(text) if not is_there(name)]
    wrong += unknown_commands(text)
    assert not wrong, f"{page} names what is not there: {', '.join(wrong)}"


def test_what_is_not_there_is_noticed() -> None:
    assert missing_files("`closeint_core/clip.py`, closeint_core/nothing.py and scripts/{demo,no}.py.") == [
        "closeint_core/nothing.py", "scripts/no.py",
    ]  # fmt: skip
    assert is_there("closeint_core.clip.InteractionClip.validate")
    assert not is_there("closeint_core.clip.InteractionClip.invalidate")
    assert not is_there("closeint_core.clips")
    assert not is_there("closeint_core.clip.Clip")
    assert is_there("closeint_core.denoiser.default_prior")
    assert unknown_commands("`closeint metrics CLIP --json` and `closeint measure CLIP`") == ["closeint measure"]
    assert unknown_commands("```\ncloseint metrics CLIP [--plots PNG]\n```") == ["closeint metrics --plots"]
    assert not unknown_commands("closeint says what is wrong")


def test_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def test_numbers_of_the_readme_are_results() -> None:
    """What README says was measured stands on the page of results, with its unit."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (paragraph,) = re.findall(r"^Measured: (.*?)\n\n", readme, re.M | re.S)
    numbers = re.findall(r"\b\d+(?:\.\d+)?(?= (?:mm|seconds|frames)\b)", paragraph)
    assert len(numbers) >= 5
    assert not [number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]\d)", results)]
