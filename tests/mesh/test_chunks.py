# SPDX-License-Identifier: Apache-2.0
"""Chunks that are worked on at once give what they give one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from closeint_core.mesh.calibration import MESH
from closeint_core.mesh.chunks import in_chunks

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_their_order_and_threads_stay_as_they_were(threads: int) -> None:
    values = torch.arange(40.0).split(3)
    found = in_chunks(lambda part: part.square().sum(), values, CPU)
    assert [float(value) for value in found] == [float(sum(float(x) ** 2 for x in part)) for part in values]
    assert torch.get_num_threads() == threads
    assert in_chunks(lambda part: part, [], CPU) == []


def test_each_chunk_has_one_thread_of_its_own(threads: int) -> None:
    both = threading.Barrier(min(threads, 2), timeout=20)

    def work(_: int) -> tuple[int, str]:
        both.wait()  # passes only where several are at work
        return torch.get_num_threads(), threading.current_thread().name

    found = in_chunks(work, range(4), CPU)
    assert {count for count, _ in found} == {1}
    here = {name for _, name in found} == {threading.current_thread().name}
    assert here == (threads == 1)


def test_numbers_in_force_and_gradients_are_the_callers(threads: int) -> None:
    other = replace(MESH.default, touch=replace(MESH.default.touch, even=0.123))
    with MESH.using(other), torch.no_grad():
        found = in_chunks(lambda _: (MESH.now.touch.even, torch.is_grad_enabled()), range(5), CPU)
    assert set(found) == {(0.123, False)}


def test_what_goes_wrong_in_a_chunk_goes_wrong_here(threads: int) -> None:
    def work(part: int) -> int:
        if part == 2:
            raise ValueError("no")
        return part

    with pytest.raises(ValueError, match="no"):
        in_chunks(work, range(5), CPU)
    assert torch.get_num_threads() == threads
