# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.windows import Windows, randomize, synthetic_windows
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, silu

from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.errors import CloseintError

FLAVOURS = [(False, False), (True, False), (False, True), (True, True)]


@pytest.fixture(scope="module")
def windows(body) -> Windows:
    return synthetic_windows(body, 3, 16)


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return randomize(Denoiser()).eval()


def plain(model: Denoiser, x: Tensor, timestep: int, conditions: Conditions) -> Tensor:
    """The published network written out for each person with torch's own attention. x (B, T, 2, 157)."""
    weights = model.state_dict()

    def dense(name: str, value: Tensor) -> Tensor:
        return value @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def adaptive(name: str, value: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = dense(f"{name}.emb_layers.1", silu(embedding)).chunk(2, -1)
        return layer_norm(value, (256,), eps=1e-6) * (1 + scale) + shift

    def attention(name: str, query: Tensor, other: Tensor) -> Tensor:
        module = nn.MultiheadAttention(256, 8, add_zero_attn=True, batch_first=True)
        module.load_state_dict({k: weights[f"{name}.{k}"] for k in module.state_dict()})
        return module(query, other, other, need_weights=False)[0]

    def block(name: str, own: Tensor, other: Tensor, embedding: Tensor) -> Tensor:
        query = adaptive(f"{name}.sa_block.norm", own, embedding)
        own = own + attention(f"{name}.sa_block.attention", query, query)
        query = adaptive(f"{name}.ca_block.norm", own, embedding)
        own = own + attention(
            f"{name}.ca_block.attention", query, adaptive(f"{name}.ca_block.xf_norm", other, embedding)
        )
        hidden = gelu(dense(f"{name}.ffn.linear1", adaptive(f"{name}.ffn.norm", own, embedding)))
        return own + dense(f"{name}.ffn.linear2", hidden)

    table = model.positions
    info = conditions.crops.info()
    assert conditions.features is not None
    read = torch.cat([conditions.features, info], -1)
    read = layer_norm(read, (1027,), weights["project.0.weight"], weights["project.0.bias"])
    condition = dense("project.1", read)
    time = dense("embed_timestep.time_embed.2", silu(dense("embed_timestep.time_embed.0", table[timestep])))
    embedding = time + dense("feature_embed", condition)
    states = [dense("motion_embed", x[:, :, p]) + table[: x.shape[1]] for p in (0, 1)]
    mask = 1.0 if conditions.single is None else 1 - conditions.single[..., None]
    for layer in range(4):
        states = [block(f"blocks.{layer}", states[p], states[1 - p] * mask, embedding[:, :, p]) for p in (0, 1)]
    out = []
    for p in (0, 1):
        read = torch.cat([states[p], info[:, :, p]], -1)
        parts = [
            dense(f"{head}.1", layer_norm(read, (259,), weights[f"{head}.0.weight"], weights[f"{head}.0.bias"]))
            for head in ("head", "shape_head", "cam_head")
        ]
        out.append(torch.cat(parts, -1))
    return torch.stack(out, 2)


@pytest.mark.parametrize("timestep", [80, 0])
@torch.no_grad()
def test_against_the_network_written_out(model, windows, timestep):
    single = torch.zeros(3, 16)
    single[1] = 1
    single[2, 5:9] = 1
    conditions = replace(windows.conditions, single=single)
    x = torch.randn(3, 16, 2, 157, generator=torch.Generator().manual_seed(1))
    found = model(x, torch.full((3,), timestep), conditions)
    assert (found - plain(model, x, timestep, conditions)).abs().max() < 1e-5


def test_size(model):
    published = sum(p.numel() for p in model.parameters()) + 157 * 257  # out.linear, which nothing uses
    assert abs(published / 1e6 - 5.85) < 0.03


@pytest.mark.parametrize("frames", [1, 2, 7, 61])
@torch.no_grad()
def test_any_length(model, body, frames):
    windows = synthetic_windows(body, 2, frames)
    x = torch.randn(2, frames, 2, 157)
    found = model(x, torch.tensor([3, 77]), windows.conditions)
    assert found.shape == x.shape
    assert (found[:1] - plain(model, x, 3, windows.conditions)[:1]).abs().max() < 1e-5


@torch.no_grad()
def test_a_single_person_sees_nobody(model, windows):
    """With the mask set, what the other does changes nothing; without it, it does."""
    x = torch.randn(3, 16, 2, 157)
    other = x.clone()
    other[:, :, 1] += 1
    times = torch.full((3,), 40)
    alone = replace(windows.conditions, single=torch.ones(3, 16))
    difference = (model(x, times, alone) - model(other, times, alone))[:, :, 0].abs().max()
    assert difference == 0
    assert (model(x, times, windows.conditions) - model(other, times, windows.conditions))[:, :, 0].abs().max() > 1e-3


@torch.no_grad()
def test_who_is_listed_first_does_not_matter(model, windows):
    given = windows.conditions
    swapped = Conditions(given.init_pose6d.flip(2), given.crops[:, :, [1, 0]], given.features.flip(2))
    x = torch.randn(3, 16, 2, 157)
    times = torch.tensor([0, 40, 80])
    assert (model(x, times, given) - model(x.flip(2), times, swapped).flip(2)).abs().max() < 1e-5


@pytest.mark.parametrize("flavour", FLAVOURS)
@torch.no_grad()
def test_extra_inputs_count_in_the_last_step_only(windows, flavour):
    config = DenoiserConfig(penetration=flavour[0], keypoints=flavour[1])
    model = randomize(Denoiser(config)).eval()
    assert model.feature_embed.weight.shape[1] == 256 + flavour[0] + 78 * flavour[1]
    x = torch.randn(3, 16, 2, 157)
    moved = replace(windows.conditions, keypoints=windows.conditions.keypoints + 100)
    for timestep, live in ((20, False), (19, True), (0, True)):
        times = torch.full((3,), timestep)
        difference = (model(x, times, windows.conditions) - model(x, times, moved)).abs().max()
        assert (difference > 1e-4) == (live and flavour[1])


@torch.no_grad()
def test_a_batch_is_its_windows(model, windows):
    x = torch.randn(3, 16, 2, 157)
    times = torch.tensor([0, 40, 80])
    batch = model(x, times, windows.conditions)
    for i in range(3):
        one = slice(i, i + 1)
        assert (model(x[one], times[one], windows.conditions[one]) - batch[one]).abs().max() < 1e-5


def test_everything_learns(windows):
    model = Denoiser(DenoiserConfig(penetration=True, keypoints=True))
    model(torch.randn(3, 16, 2, 157), torch.tensor([0, 40, 80]), windows.conditions).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_features_are_needed(model, windows):
    with pytest.raises(CloseintError, match=r"HMR2\.0 features"):
        model.prepare(replace(windows.conditions, features=None))


def test_configurations():
    assert DenoiserConfig.from_dict({"condition": "keypoints", "depth": 2}).depth == 2
    for wrong in ({"depht": 2}, {"depth": "2"}, {"condition": "smell"}, {"penetration": 1}):
        with pytest.raises(CloseintError, match=next(iter(wrong))):
            DenoiserConfig.from_dict(wrong)
