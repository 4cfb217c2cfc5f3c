# SPDX-License-Identifier: Apache-2.0
"""The Python of the quick start does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "research" / "quickstart.md"


def blocks(text: str) -> list[tuple[int, str]]:
    """The Python blocks of a page, each with the number of the line before it."""
    return [
        (text[: found.start(1)].count("\n"), found.group(1))
        for found in re.finditer(r"```python\n(.*?)```", text, re.S)
    ]


def test_the_blocks_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks(PAGE.read_text(encoding="utf-8"))
    assert len(found) >= 8
    monkeypatch.chdir(tmp_path)  # what they write goes there
    names: dict[str, object] = {"__name__": "quickstart"}
    for line, code in found:
        # The page's own line numbers, so that a traceback points into it.
        exec(compile("\n" * line + code, str(PAGE), "exec"), names)
    assert {path.name for path in tmp_path.iterdir()} == {
        "greeting.closeint.npz", "greeting.corrections.json", "greeting-joints.npz",
    }  # fmt: skip
