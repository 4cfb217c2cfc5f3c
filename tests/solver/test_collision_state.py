# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from support.people import near_pair

from closeint_core.body.data import load_body
from closeint_core.body.spheres import spheres_of
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.solver.collision_state import CollisionState
from closeint_core.solver.terms import PairTerms

BODY = TorchBody(load_body())


@pytest.fixture(scope="module")
def clip() -> InteractionClip:
    return near_pair()


def skins_of(clip: InteractionClip) -> CollisionState:
    return CollisionState(BODY, PairTerms(BODY, clip, spheres_of(BODY)))


def test_looking_at_some_frames_again_is_looking_at_all(clip):
    frames = torch.arange(clip.frames)
    skins, other = skins_of(clip), skins_of(clip)
    rotations, transl = skins.terms.old_rotations, skins.terms.old_transl
    skins.look(rotations, transl, frames)
    other.look(rotations, transl, frames)
    expected = measure_penetration(skins.at.numpy(), BODY.data.faces).max_depth
    np.testing.assert_allclose(skins.depth.numpy(), expected, atol=1e-6)
    assert expected.max() > 0.01
    moved = transl.clone()
    moved[1, 2:4, 1] += 0.03
    skins.look(rotations, moved, torch.tensor([2, 3]))
    other.look(rotations, moved, frames)
    torch.testing.assert_close(skins.at, other.at)
    torch.testing.assert_close(skins.depth, other.depth)
    torch.testing.assert_close(skins.terms.lowest.moments, other.terms.lowest.moments)

    def deep(one: CollisionState) -> set[tuple[int, int, int]]:
        found = one.found.take(one.found.depth > 0)
        return set(zip(found.frame.tolist(), found.person.tolist(), found.vertex.tolist(), strict=True))

    assert deep(skins) == deep(other)


def test_sunk_is_the_lowest_vertex_of_any_foot(clip):
    low = clip.transl.copy()
    low[0, :, 2] -= np.linspace(0.0, 0.2, clip.frames)
    low[1, :, 2] += 1.0
    skins = skins_of(clip.copy(transl=low))
    skins.look(skins.terms.old_rotations, skins.terms.old_transl, torch.arange(clip.frames))
    feet = np.isin(BODY.data.parts, (7, 8, 10, 11))
    expected = np.clip(-skins.at.numpy()[:, :, feet, 2].min((0, 2)), 0, None)
    assert expected.max() > 0.02
    np.testing.assert_allclose(skins.sunk.numpy(), expected, atol=1e-6)


def test_pairs_of_some_frames_are_those_of_all(clip):
    frames = torch.arange(clip.frames)
    skins = skins_of(clip)
    rotations, transl = skins.terms.old_rotations, skins.terms.old_transl
    skins.look(rotations, transl, frames)
    belief = torch.zeros(2, clip.frames, 24)
    belief[:, :, 18:24] = 0.8
    push = torch.ones(clip.frames)
    doubt = 1 - belief

    def pairs(chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        skeleton = skins.terms.skeleton(rotations[:, chosen], transl[:, chosen])
        made = skins.pairs(chosen, skeleton, push, push, belief, doubt, 0.15)
        return {name: one.weight.sum(1) for name, one in made}

    some = torch.tensor([1, 4])
    whole, part = pairs(frames), pairs(some)
    assert set(whole) == set(part) == {"contact", "apart", "separation"}
    for name, weight in part.items():
        torch.testing.assert_close(weight, whole[name][some])


def test_frames_in_which_people_are_apart_are_not_near(clip):
    away = clip.transl.copy()
    away[1, 3:, 1] += 8.0
    skins = skins_of(clip.copy(transl=away))
    skins.look(skins.terms.old_rotations, skins.terms.old_transl, torch.arange(clip.frames))
    assert skins.near(0.05).tolist() == [True, True, True, False, False]
