# SPDX-License-Identifier: Apache-2.0
"""Advice works: what the errors tell people to use exists where they are told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer.main

from closeint_core.cli import app

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("closeint_core", "closeint_blender", "scripts")
BODY_COMMANDS = ("reconstruct", "metrics", "refine", "preview", "export", "import", "sample")
"""Those that load a body model, so that an error about one can come from any of them."""
BLENDERS = {"--online-mode", "--offline-mode", "--command"}
"""Blender's own options."""


def sentences() -> Iterator[tuple[str, str]]:
    """File and words of every message and fix of a CloseintError in the sources; values are ``{}``."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
                    "CloseintError",
                    "BuildError",
                    "SetupError",
                ):
                    for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                        text = words(value)
                        if text:
                            yield path.relative_to(ROOT).as_posix(), text


def words(node: ast.expr) -> str:
    parts = [
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
        for part in ast.walk(node)
        if isinstance(part, ast.Constant)
    ]
    return " ".join(parts)


def options() -> dict[str, set[str]]:
    """The options of every command."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in commands.items()
    }


def declared(folder: str) -> set[str]:
    """Options that scripts, or Blender's command, declare with argparse."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py"))
    formats = {f"--{kind}" for kind in ("blend", "fbx", "glb", "usd")}
    return set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', text)) | formats


def test_the_sentences_are_found():
    found = list(sentences())
    assert len(found) > 200
    assert any("--body default" in text for _, text in found)


def test_every_option_that_is_advised_exists():
    known = options()
    everywhere = set().union(*known.values())
    for path, text in sentences():
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            if option in BLENDERS or option == "--help":
                continue
            there = everywhere if path.startswith("closeint_core") else declared(path.split("/")[0]) | everywhere
            assert option in there, (path, option, text)


def test_errors_about_bodies_advise_what_each_of_their_commands_has():
    known = options()
    for path, text in sentences():
        if path.startswith("closeint_core/body/"):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
                for command in BODY_COMMANDS:
                    assert option in known[command], (path, option, command)
    for command in BODY_COMMANDS:
        assert {"--body", "--data"} <= known[command], command


def test_every_command_that_is_advised_exists():
    known = options()
    for path, text in sentences():
        for command in re.findall(r"\bcloseint ([a-z]+) (?:--|-o|[A-Z])", text):
            assert command in known, (path, text)
        for script in re.findall(r"\bscripts/[\w/]+\.py", text):
            assert (ROOT / script).is_file(), (path, script)


def test_every_variable_that_is_advised_or_documented_is_read():
    source = "".join(path.read_text(encoding="utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    named = {name for _, text in sentences() for name in re.findall(r"\bCLOSEINT_[A-Z_]+\b", text)}
    for name in named | {"CLOSEINT_DATA"}:
        assert re.search(rf'"{name}"', source), name
    # what the scripts read besides is for those who work on them
    product = [path for folder in FOLDERS[:2] for path in (ROOT / folder).rglob("*.py")]
    read = {name for path in product for name in re.findall(r'"(CLOSEINT_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    documented = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert {"CLOSEINT_DATA"} <= read <= set(re.findall(r"CLOSEINT_[A-Z_]+", documented))
