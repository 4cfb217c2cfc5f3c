# SPDX-License-Identifier: Apache-2.0
"""What doctor says of the eyes for pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from closeint_core import doctor
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.network import PairNetwork
from closeint_core.eyes.weights import save_eyes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights of one's own are looked for; none are bundled."""
    monkeypatch.setattr("closeint_core.eyes.weights.BUNDLED", tmp_path / "none.safetensors")
    monkeypatch.setenv("CLOSEINT_DATA", str(tmp_path))
    monkeypatch.setattr("closeint_core.models.store.user_data_dir", lambda: tmp_path / "nobody")
    return tmp_path / "eyes" / "pair_eyes.safetensors"


def test_eyes_that_nobody_needs_are_not_missed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EYES", False)
    assert doctor._eyes() == []


def test_eyes_that_are_needed_are_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EYES", True)
    (row,) = doctor._eyes()
    assert not row["ok"]
    assert row["needed"]
    assert "pair_eyes.safetensors" in row["detail"]


def test_eyes_of_ones_own_are_found_and_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EYES", True)
    place.parent.mkdir()
    save_eyes(PairNetwork(), place, Calibration(), {}, torch.float16)
    (row,) = doctor._eyes()
    assert row["ok"]
    assert str(place) in row["detail"]
    place.write_bytes(place.read_bytes()[:1000])
    (row,) = doctor._eyes()
    assert not row["ok"]
    assert "damaged" in row["detail"]
