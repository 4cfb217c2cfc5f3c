# SPDX-License-Identifier: Apache-2.0
"""The guide for directors lists every option of a reconstruction, as the option table has it."""

from __future__ import annotations

from pathlib import Path

import docs_options
import pytest

from closeint_core.options import OPTIONS

DIRECTORS = Path(__file__).resolve().parents[2] / "docs" / "directors"


def test_the_command_s_page_has_the_table_of_options() -> None:
    page = docs_options.PAGE.read_text(encoding="utf-8")
    assert docs_options.with_table(page) == page, "run python3 scripts/docs_options.py"


def test_a_row_says_how_it_is_typed_what_it_does_and_its_default() -> None:
    rows = {row.split(" | ")[0]: row for row in docs_options.table().splitlines()}
    assert len(rows) == len(OPTIONS) + 2
    fps = rows["| `--fps RATE`, `--source-fps RATE`"]
    assert "True frames per second" in fps
    assert rows["| `--quality NAME`"].endswith("| `standard` |")
    assert rows["| `--no-refine`"].endswith("|  |")


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        docs_options.with_table("# A page\n")


def test_the_headless_page_names_every_option_as_blender_takes_it() -> None:
    page = (DIRECTORS / "headless.md").read_text(encoding="utf-8")
    assert [o.name for o in OPTIONS if f"`{o.flags(in_blender=True)[0]}" not in page] == []
