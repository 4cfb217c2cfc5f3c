# SPDX-License-Identifier: Apache-2.0
"""Records of results, and the page that they make."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
import results  # noqa: E402 - a script, found by the path above

GOOD = results.Record(
    title="A thing",
    group="Physics",
    command="closeint metrics CLIP --json",
    commit="0" * 40,
    origin="output",
    date="2026-01-02",
    machine="2 CPU cores",
    columns=["", "value", "unit"],
    rows=[["a | b", 1.5, "mm"]],
)


def test_the_page_is_what_the_records_say() -> None:
    assert results.main(["page", "--check"]) == 0


def test_every_record_has_where_it_comes_from() -> None:
    paths = sorted(results.FOLDER.glob("*.json"))
    assert paths
    for path in paths:
        record = results.read_record(path)
        assert len(record.commit) == 40
        assert int(record.commit, 16)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    results.write_record(tmp_path / "a.json", GOOD)
    assert results.read_record(tmp_path / "a.json") == GOOD


def test_the_page_has_every_cell_and_escapes_bars() -> None:
    text = results.page([GOOD])
    assert "| a \\| b | 1.5 | mm |" in text
    assert "`closeint metrics CLIP --json` · 2 CPU cores · 2026-01-02 · commit 00000000" in text
    assert "## Physics" in text
    assert "## Accuracy" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "is not a closeint-result/1 file"),
        ({"group": "Taste"}, "is none of"),
        ({"origin": "memory"}, "neither output nor README"),
        ({"machine": ""}, "does not say its machine"),
        ({"rows": []}, "not every row"),
        ({"rows": [["one"]]}, "not every row"),
        ({"more": 1}, "is not a record"),
    ],
)
def test_a_bad_record_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    results.write_record(path, GOOD)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(results.RecordError, match=said):
        results.read_record(path)


def test_values_are_picked_by_name() -> None:
    output = {"quality": {"depth": 3.0}, "frames": 8}
    rows = results.picked(output, ["quality.depth=Depth,mm", "frames=Frames"])
    assert rows == [["Depth", 3.0, "mm"], ["Frames", 8, ""]]
    with pytest.raises(results.RecordError, match=r"has no 'quality\.width'"):
        results.picked(output, ["quality.width=Width"])
    with pytest.raises(results.RecordError, match="is not KEY=LABEL"):
        results.picked(output, ["quality.depth"])


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project under git, to record in."""
    root = tmp_path / "clone"
    (root / "docs" / "results").mkdir(parents=True)
    (root / "docs" / "results.md").write_text("")
    (root / "kept.txt").write_text("as committed\n")
    for name, path in (("ROOT", ""), ("FOLDER", "docs/results"), ("PAGE", "docs/results.md")):
        monkeypatch.setattr(results, name, root / path)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "a"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root


def record(code: str) -> int:
    options = ["record", "depth", "--title", "Depth", "--group", "Physics", "--machine", "M", "--pick", "d=Depth,mm"]
    return results.main([*options, "--", sys.executable, "-c", code])


def test_a_command_is_recorded_with_its_commit(clone: Path) -> None:
    assert record("print('{\"d\": 2.5}')") == 0
    found = results.read_record(clone / "docs" / "results" / "depth.json")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True, check=True).stdout
    assert found.commit == head.strip()
    assert found.rows == [["Depth", 2.5, "mm"]]
    assert "| Depth | 2.5 | mm |" in (clone / "docs" / "results.md").read_text()


@pytest.mark.parametrize(
    ("break_it", "code", "said"),
    [
        (lambda root: (root / "kept.txt").write_text("other"), "print('{\"d\": 1}')", "differ from the commit"),
        (lambda root: None, "raise SystemExit(3)", "failed with status 3"),
        (lambda root: None, "print('no json')", "did not print one JSON object"),
        (lambda root: None, "print('{}')", "has no 'd'"),
    ],
)
def test_what_cannot_be_recorded_leaves_nothing(
    break_it: Callable[[Path], object], code: str, said: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it(clone)
    assert record(code) == 2
    assert said in capsys.readouterr().err
    assert not list((clone / "docs" / "results").iterdir())
