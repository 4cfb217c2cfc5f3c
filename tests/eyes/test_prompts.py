# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from closeint_core.eyes.prompts import PromptErrors, blobs, for_each_person, prompt_points, trunk_lengths, with_errors
from closeint_core.rendering.draws import Draws


def test_points_are_the_middles_of_what_is_known():
    joints = torch.rand(2, 2, 13, 2)
    known = torch.ones(2, 2, 13, dtype=torch.bool)
    known[0, 0, 2] = False  # one shoulder
    known[0, 1, [7, 8]] = False  # both hips
    points, given = prompt_points(joints, known)
    torch.testing.assert_close(points[0, 0, 0], joints[0, 0, 1])
    torch.testing.assert_close(points[1, 0, 1], joints[1, 0, [7, 8]].mean(0))
    assert given.tolist() == [[[True, True], [True, False]], [[True, True], [True, True]]]
    trunks = trunk_lengths(points, given, 0.0)
    assert trunks[0, 1] == trunks[0, 0] == (points[0, 0, 0] - points[0, 0, 1]).norm()


def test_rows_hold_the_person_asked_for_first():
    values = torch.arange(8).view(1, 2, 2, 2)
    rows = for_each_person(values)
    assert rows[0].flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert rows[1].flatten().tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_a_blob_is_highest_at_its_point_and_absent_where_nothing_is_given():
    pictures = blobs(torch.tensor([[[10.5, 20.5], [3.0, 3.0]]]), torch.tensor([[1.0, 0.0]]), 32)
    assert np.unravel_index(int(pictures[0, 0].argmax()), (32, 32)) == (20, 10)
    assert pictures[0, 0].max() == pytest.approx(1.0)
    assert (pictures[0, 1] == 0).all()


def test_errors_have_the_shares_that_they_name():
    torch.manual_seed(0)
    count = 20000
    points = torch.zeros(count, 2, 2, 2)
    points[:, 1] = 100.0
    errors = PromptErrors()
    moved, given = with_errors(points, torch.ones(count, 2), Draws(torch.device("cpu")), errors)
    share = (1 - errors.lost) * (1 - errors.unknown)
    assert given.float().mean().item() == pytest.approx(share, abs=0.01)
    on_other = (moved[:, 0] > 50).all(-1).float().mean().item()
    assert on_other == pytest.approx(errors.swapped, abs=0.005)
    off = moved[:, 0][~(moved[:, 0] > 50).any(-1)].square().mean().sqrt().item()
    expected = sum(s * (high**3 - low**3) / (3 * (high - low)) for s, low, high in errors.levels) ** 0.5
    assert off == pytest.approx(expected, rel=0.05)
