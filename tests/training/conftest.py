# SPDX-License-Identifier: Apache-2.0
"""What training keeps, it keeps in a folder of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from closeint_core.models import store


@pytest.fixture(scope="session", autouse=True)
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store of models, also for the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("store")
        patch.setenv(store.ENVIRONMENT_VARIABLE, str(folder))
        yield folder
