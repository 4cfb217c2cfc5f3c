# SPDX-License-Identifier: Apache-2.0
"""The keys that the guide lists are those that the program prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import closeint_core
from closeint_core.clip import InteractionClip

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "directors" / "json.md"


def documented(heading: str) -> set[str]:
    """Keys in the first column of the table that follows a line which begins with ``heading``."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(heading))
    rows = [line for line in lines[start:] if line.startswith("|") or not line]
    table = rows[next(i for i, line in enumerate(rows) if line.startswith("|---")) + 1 :]
    end = next((i for i, line in enumerate(table) if not line), len(table))
    return {key for row in table[:end] for key in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``closeint metrics --json --truth`` prints of three frames of the sample's hug."""
    import json

    from typer.testing import CliRunner

    from closeint_core.cli import app

    sample = InteractionClip.load(Path(closeint_core.__file__).parent / "samples" / "greeting.closeint.npz")
    names = ("poses", "transl", "keypoints2d", "visible", "contacts", "foot_contacts")
    part: dict[str, Any] = {name: getattr(sample, name)[:, 76:79] for name in names}
    path = tmp_path_factory.mktemp("json") / "a.closeint.npz"
    sample.copy(frame_start=76, **part).save(path)
    done = CliRunner().invoke(app, ["metrics", str(path), "--truth", str(path), "--json"])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_metrics(printed: dict[str, Any]) -> None:
    keys = documented("## `closeint metrics --json`")
    assert len(keys) > 20
    assert not keys - set(printed)


def test_truth(printed: dict[str, Any]) -> None:
    assert not documented("| key of `truth`") - set(printed["truth"])
    assert printed["truth"]["mpjpe_mm"] == 0
