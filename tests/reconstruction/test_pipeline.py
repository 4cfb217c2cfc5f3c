# SPDX-License-Identifier: Apache-2.0
"""The device that was asked for reaches every stage that computes on one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.people import observe, pair

from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.progress import Progress
from closeint_core.reconstruction import pipeline
from closeint_core.reconstruction.pipeline import reconstruct_observed
from closeint_core.settings import Settings


@pytest.mark.parametrize("model", ["default", "fit"])
def test_network_and_refinement_compute_where_settings_say(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """There need not be a GPU here: what would run on it is recorded and then run on the CPU."""
    asked: dict[str, Any] = {}
    refine, learned, fit = pipeline.refine, pipeline.solve_learned, pipeline.solve

    def refine_here(*args: Any, device: str | None = None, **options: Any) -> InteractionClip:
        asked["refine"] = device
        return refine(*args, device="cpu", **options)

    def learned_here(*args: Any) -> Any:
        *rest, options = args
        asked["network"] = options.device
        return learned(*rest, replace(options, device="cpu"))

    def fit_here(*args: Any, device: str = "cpu", **options: Any) -> Any:
        asked["fit"] = device
        return fit(*args, device="cpu", **options)

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(pipeline, "refine", refine_here)
    monkeypatch.setattr(pipeline, "solve", fit_here)
    monkeypatch.setattr(pipeline, "solve_learned", learned_here)
    clip = reconstruct_observed(observe(pair(3)), Settings(model=model, quality="draft", device="cuda"), Progress())
    assert asked == {"refine": "cuda", "network" if model == "default" else "fit": "cuda"}
    assert clip.metadata["settings"]["device"] == "cuda"
    assert "refinement" in clip.metadata


def test_a_gpu_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(CloseintError, match="no CUDA device"):
        reconstruct_observed(observe(pair(2)), Settings(model="fit", device="cuda"), Progress())
