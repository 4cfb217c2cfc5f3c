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
def one_thread():
    """These problems are small; a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
