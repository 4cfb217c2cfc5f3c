#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the table of ``closeint reconstruct``'s options into docs/directors/command.md, from closeint_core/options.py.

python3 scripts/docs_options.py

Needs no library. A test sees that the page has the table that this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from closeint_core.options import OPTIONS, Option  # noqa: E402

PAGE = ROOT / "docs" / "directors" / "command.md"
BEGIN, END = "<!-- options: scripts/docs_options.py -->\n", "<!-- end of options -->\n"


def table(options: tuple[Option, ...] = OPTIONS) -> str:
    """The options as a table in Markdown: how each is typed, what it does, its default."""
    rows = ["| option | does | default |", "|---|---|---|"]
    for option in options:
        typed = ", ".join(f"`{' '.join(filter(None, [flag, option.metavar]))}`" for flag in option.flags())
        default = f"`{option.default}`" if option.default else ""
        rows.append(f"| {typed} | {option.help} | {default} |")
    return "".join(f"{row}\n" for row in rows)


def with_table(page: str) -> str:
    """A page's text with the table between its two marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name} lacks the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
