# SPDX-License-Identifier: Apache-2.0
"""What people hide of each other."""

from __future__ import annotations

import torch

from closeint_core.training.occlusion import box_overlap, occluded


def test_a_ball_hides_what_is_behind_it() -> None:
    ball = torch.zeros(1, 2, 1, 1, 3)
    ball[0, 0, 0, 0] = torch.tensor([0.0, 0.0, 3.0])
    ball[0, 1, 0, 0] = torch.tensor([5.0, 0.0, 3.0])
    points = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, 2.0], [0.5, 0.0, 4.0], [0.0, 0.1, 3.0]])
    view = points.expand(1, 2, 1, 4, 3)
    hidden = occluded(view, ball, torch.full((1, 2, 1), 0.2))
    assert hidden[0, 0, 0].tolist() == [True, False, False, False]


def test_the_overlap_is_the_share_of_the_smaller_box() -> None:
    large = torch.tensor([[0.0, 0.0], [4.0, 4.0]])
    boxes = torch.stack([torch.tensor([[3.0, 3.0], [5.0, 5.0]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]]), large + 9])
    points = torch.stack([large.expand(3, 2, 2), boxes])[None]  # (1, 2, 3, 2, 2)
    torch.testing.assert_close(box_overlap(points), torch.tensor([[0.25, 1.0, 0.0]]))
