# SPDX-License-Identifier: Apache-2.0
"""Makes the pages of the API reference: one a package of closeint_core, with the docstrings of its modules.

A hook of MkDocs (``mkdocs.yml`` names it). The pages are never written into ``docs``: a module that is moved or added
is in the next build without further work.
"""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "closeint_core"
TITLE = "API reference"


def modules_of(folder: Path) -> list[str]:
    """Dotted names of the modules in ``folder`` with a docstring, its own first, packages below it not included."""
    names = []
    for path in sorted(folder.glob("*.py"), key=lambda path: (path.name != "__init__.py", path.name)):
        if path.name == "__main__.py" or not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))):
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if path.name == "__init__.py" else parts))
    return names


def packages() -> list[Path]:
    """closeint_core and all packages below it."""
    return [CORE, *sorted(path.parent for path in CORE.glob("**/*/__init__.py"))]


def page_of(package: Path) -> str:
    """Path of the package's page in the site."""
    return f"api/{'.'.join(package.relative_to(ROOT).parts)}.md"


def text_of(package: Path) -> str:
    """The page of a package, as Markdown with mkdocstrings' marks."""
    name = ".".join(package.relative_to(ROOT).parts)
    parts = [f"# {name}"]
    for module in modules_of(package):
        parts += [
            f"## {module}" if module != name else "## The package",
            f"::: {module}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false",
        ]
    return "\n\n".join(parts) + "\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the reference to the navigation."""
    pages = [{".".join(package.relative_to(ROOT).parts): page_of(package)} for package in packages()]
    config.nav = [*(config.nav or []), {TITLE: pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to what the site holds."""
    for package in packages():
        files.append(File.generated(config, page_of(package), content=text_of(package)))
    return files
