# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from closeint_core.body.parts import PART_INDEX, PARTS
from closeint_core.eyes.layers import PLACE_FEATURES
from closeint_core.eyes.meeting import Meeting, Meetings

CELLS = 20
HAND, BACK = PART_INDEX["left_hand"], PART_INDEX["spine3_back"]
HAND_AT, BACK_AT = (12, 4), (12, 7)  # row and column: the hand's and the back's cells


def pair(hand_at=HAND_AT, back_at=BACK_AT) -> torch.Tensor:
    """Features of both people that are the logits of their maps: a hand of the one, and a back of the other."""
    logits = torch.zeros(2, 1 + len(PARTS), CELLS, CELLS)
    logits[:, 0] = 30.0
    logits[0, 1 + HAND, hand_at[0], hand_at[1]] = 60.0
    logits[1, 1 + BACK, back_at[0], back_at[1]] = 60.0
    return logits


def met(fine: torch.Tensor, front: int = 0) -> Meeting:
    """Of maps as they are told; the person ``front`` is seen wherever they are."""
    torch.manual_seed(0)
    meetings = Meetings(fine.shape[1])
    with torch.no_grad():
        meetings.whole.weight.copy_(torch.eye(1 + len(PARTS))[:, :, None, None])
        meetings.whole.bias.zero_()
    masks = torch.zeros(2, 1 + 2 * len(PARTS), CELLS, CELLS)
    masks[front, 1 + HAND] = 60.0
    masks[1 - front, 1 + len(PARTS) + HAND] = 60.0
    with torch.no_grad():
        found: Meeting = meetings(fine, masks)
    return found


def test_parts_are_where_their_maps_are():
    found = met(pair())
    assert found.where.shape == (2, 30, PLACE_FEATURES + 5)
    x, y = (HAND_AT[1] + 0.5) / CELLS, (HAND_AT[0] + 0.5) / CELLS
    first = torch.tensor([math.sin(3.1 * x), math.sin(6.3 * x)])
    torch.testing.assert_close(found.where[0, HAND, :2], first, atol=1e-4, rtol=1e-4)
    assert found.where[0, HAND, 4].item() == pytest.approx(math.sin(3.1 * y), abs=1e-4)
    # What the picture shows there: the features of the hand's cell.
    torch.testing.assert_close(found.shown[0, HAND], pair()[0, :, HAND_AT[0], HAND_AT[1]], atol=1e-3, rtol=1e-3)


def test_two_parts_are_as_near_as_a_blob_between_their_cells_says():
    found = met(pair())
    for number, spread in enumerate((1.2, 3.5)):
        reach = math.ceil(2.5 * 3.5)
        total = sum(math.exp(-(k**2) / (2 * spread**2)) for k in range(-reach, reach + 1)) ** 2
        near = math.exp(-(3**2) / (2 * spread**2)) / total
        said = -math.log(0.02) * found.beside[0, HAND, BACK, number].item()
        assert said == pytest.approx(math.log(near + 0.02), abs=1e-3)
    assert found.beside[0, HAND, HAND, 0].item() == pytest.approx(-1, abs=1e-3)


def test_both_tell_the_same_of_where_they_meet():
    found = met(pair() + torch.randn(2, 31, CELLS, CELLS, generator=torch.Generator().manual_seed(1)))
    turned = found.beside[1].transpose(0, 1)
    torch.testing.assert_close(found.beside[0, ..., :4], turned[..., :4], atol=1e-4, rtol=1e-3)


def test_what_shows_where_both_are_tells_who_is_before():
    over = {front: met(pair(back_at=HAND_AT), front).where[0, HAND, -2:] for front in (0, 1)}
    assert over[0][0] == pytest.approx(0, abs=0.01)  # one cell of the own body
    assert over[0][1] == pytest.approx(-1, abs=0.01)  # none of the other's
    torch.testing.assert_close(over[1], over[0].flip(0), atol=0.01, rtol=0.0)
