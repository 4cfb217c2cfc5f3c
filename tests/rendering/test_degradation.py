# SPDX-License-Identifier: Apache-2.0
import torch

from closeint_core.rendering.degradation import cosine_transform, degrade, draw_grade, soften
from closeint_core.rendering.draws import Draws

DRAWS = Draws(torch.device("cpu"))


def test_cosine_transform_is_orthonormal():
    matrix = cosine_transform(torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8), atol=1e-6, rtol=0)
    assert matrix[0].std() < 1e-6  # the first row is the mean


def test_degraded_pictures_keep_shape_and_range_and_follow_the_seed():
    pictures = torch.rand(11, 3, 32, 40)
    torch.manual_seed(3)
    one = degrade(pictures, DRAWS)
    torch.manual_seed(3)
    two = degrade(pictures, DRAWS)
    assert one.shape == pictures.shape
    assert (one >= 0).all()
    assert (one <= 1).all()
    torch.testing.assert_close(one, two, atol=0, rtol=0)
    assert (one - pictures).abs().flatten(1).mean(1).gt(1e-3).all()


def test_a_grade_is_the_same_for_the_same_colour():
    grade = draw_grade(DRAWS, 2)
    plain = torch.tensor([0.2, 0.5, 0.7])[None, :, None, None].expand(2, 3, 4, 4)
    assert grade(plain).flatten(2).std(-1).max() < 1e-6


def test_softening_is_the_mean_around():
    picture = torch.rand(1, 1, 9, 9)
    torch.testing.assert_close(soften(picture, 1)[0, 0, 4, 4], picture[0, 0, 3:6, 3:6].mean())
