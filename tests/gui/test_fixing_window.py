# SPDX-License-Identifier: Apache-2.0
"""Look and Fix in a real window, with the real worker."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import closeint_core
from closeint_core.clip import InteractionClip

Play = Callable[..., Any]

pytestmark = pytest.mark.slow


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="this Python has no torch for the worker")
def test_looking_and_fixing(play: Play, tmp_path: Path) -> None:
    sample = InteractionClip.load(Path(closeint_core.__file__).parent / "samples" / "greeting.closeint.npz")
    sample.copy(video="").save(tmp_path / "greeting.closeint.npz")
    played = play(
        "steps_fix.py", sys.executable, str(tmp_path / "greeting.closeint.npz"), size="1400x1000", seconds=400
    )
    assert sorted(path.name[:1] for path in played.pictures.glob("[1-6]-*.png")) == list("123456")
