# SPDX-License-Identifier: Apache-2.0
"""The same pictures at another frame rate give the same people: what was seen outweighs how fast it is said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from closeint_core.clip import InteractionClip
from closeint_core.perception.pipeline import perceive
from closeint_core.reconstruction.learned import evenly_mixed
from closeint_core.reconstruction.pipeline import reconstruct_observed
from closeint_core.sequences import frame_step, frames_for
from closeint_core.settings import Settings
from closeint_core.video.source import open_source


def test_spreads_are_in_seconds_up_to_thirty_frames_a_second_and_per_frame_above():
    acceleration = [0.012 * frame_step(fps) ** 2 * fps**2 for fps in (12.0, 24.0, 25.0, 30.0)]
    np.testing.assert_allclose(acceleration, 0.012 * 30**2)  # 10.8 m/s^2
    assert [frame_step(fps) for fps in (30.0, 60.0, 240.0)] == [1.0, 1.0, 1.0]
    assert [frames_for(30, fps) for fps in (12.0, 24.0, 30.0, 60.0, 240.0)] == [30, 30, 30, 60, 240]


@pytest.mark.parametrize("apart", [2, 3, 4, 8])
def test_interleaved_sequences_that_disagree_do_not_shake(apart):
    smooth = torch.linspace(0, 1, 48)[:, None].expand(48, 3)
    off = torch.randn(apart, 3, generator=torch.Generator().manual_seed(apart))
    mixed = evenly_mixed(smooth + off[torch.arange(48) % apart], apart)
    inner = slice(apart, -apart)
    torch.testing.assert_close(mixed[inner], (smooth + off.mean(0))[inner], atol=1e-5, rtol=0)


def test_real_slow_motion_gives_the_same_people_at_24_and_at_240(shared: Path):
    """The film is 240 frames a second; the same pictures stand for 24."""
    film = shared / "cases" / "slowmo_flow_240.mp4"
    if not film.exists():
        pytest.skip("no slow motion in ../shared/cases")

    def people(fps: float) -> InteractionClip:
        seen = perceive(open_source(film, (0, 24), fps=fps), device="cpu")
        return reconstruct_observed(seen, Settings(model="fit", quality="draft", refine=False))

    plain, fast = (people(fps).metadata["quality"] for fps in (24.0, 240.0))
    assert fast["reprojection_px"] == pytest.approx(plain["reprojection_px"], rel=0.1)
    np.testing.assert_allclose(fast["stature_cm"], plain["stature_cm"], atol=2.0)
