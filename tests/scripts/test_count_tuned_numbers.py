# SPDX-License-Identifier: Apache-2.0
"""Which numbers count as tuned, and what a field of a calibration has to say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import count_tuned_numbers as script  # noqa: E402 - a script, found by the path above

FIELD = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Spreads:
    far: float = 0.3
    {text}
"""


def found(folder: Path, source: str, name: str = "module.py") -> list[str]:
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return [number.text for number in script.tuned(path)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("A = 0.3", ["0.3"]),
        ("def f(x: float = -0.3) -> float:\n    return x * 4.0 / 0.005**2", ["0.3", "4.0", "0.005"]),
        ("B = (0.0, -1.0, 0.5, 2.0, 1e-9, 1e9)", []),
        ("C = [1, 17, 30 / 2]", []),
        ("from dataclasses import dataclass\n\n@dataclass\nclass Loose:\n    a: float = 0.3", ["0.3"]),
        ("from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Elsewhere:\n    a: float = 0.3", ["0.3"]),
    ],
)
def test_what_counts(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert found(tmp_path, source) == expected


def test_frozen_classes_of_a_calibration_do_not_count_and_what_is_beside_them_does(tmp_path: Path) -> None:
    source = FIELD.format(text='"""m: how far. Origin: chosen by hand."""') + "\nBESIDE = 0.7\n"
    assert found(tmp_path, source, "calibration.py") == ["0.7"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('"""m: how far. Origin: chosen by hand."""', ""),
        ('"""m: how\n    far. Origin:\n    measured."""', ""),
        ("", "no string"),
        ('"""miles: how far. Origin: chosen by hand."""', "no known unit"),
        ('"""m: how far."""', "no origin"),
        ('"""m: how far. Origin: ."""', "no origin"),
    ],
)
def test_a_field_says_its_unit_and_its_origin(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "calibration.py"
    path.write_text(FIELD.format(text=text), encoding="utf-8")
    sentences = list(script.unexplained(path))
    assert len(sentences) == bool(wrong)
    assert all(wrong in sentence for sentence in sentences)


def test_no_package_has_more_than_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([]) == 0, capsys.readouterr().out
    assert {package: len(script.count(package)) for package in script.RECORDED} == script.RECORDED


def test_more_than_recorded_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(script.RECORDED, "perception", -1)
    assert script.main([]) == 1
    assert "(-1 recorded)" in capsys.readouterr().out
