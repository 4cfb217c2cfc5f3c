# SPDX-License-Identifier: Apache-2.0
"""The choices that Blender offers are the pipeline's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from closeint_core.settings import MODELS


def test_models_are_the_pipeline_s() -> None:
    pytest.importorskip("torch")
    from closeint_core.reconstruction import pipeline

    assert MODELS[0] == pipeline.Settings().model


def test_no_torch_is_needed() -> None:
    code = "import sys; from closeint_core.settings import MODELS"
    subprocess.run([sys.executable, "-c", f"{code}; assert not {{'torch', 'numpy'}} & set(sys.modules)"], check=True)
