# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody


@pytest.fixture(scope="session")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(autouse=True)
def one_thread(request):
    """These problems are small, and a second thread only waits; training is not."""
    before = torch.get_num_threads()
    if not request.node.get_closest_marker("slow"):
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
