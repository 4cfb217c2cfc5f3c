# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.windows import randomize

from closeint_core.denoiser import checkpoint
from closeint_core.denoiser.checkpoint import load_denoiser, read_torch_file, save_denoiser
from closeint_core.denoiser.hmr2 import HMR2, HMR2Config, load_hmr2
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.errors import CloseintError

SMALL = DenoiserConfig(dim=32, depth=2, hidden=48, feature=64)
TINY_HMR2 = HMR2Config(32, 2, 4, 64, 192, 16, 2, 2, 8, 24)


def published(model: Denoiser, prefix: str = "") -> dict[str, torch.Tensor]:
    """State dict as published: with the unused layer, tables of sinusoids and buffers of the body model."""
    table = model.positions[:, None]
    extra = {
        "out.linear.weight": torch.zeros(157, model.config.dim),
        "out.linear.bias": torch.zeros(157),
        "sequence_pos_encoder.pe": table,
        "embed_timestep.sequence_pos_encoder.pe": table,
        "smpl.v_template": torch.zeros(7, 3),
    }
    return {prefix + name: tensor.clone() for name, tensor in (model.state_dict() | extra).items()}


def write(path: Path, weights: dict[str, torch.Tensor]) -> Path:
    torch.save({"model": weights, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}}, path)
    return path


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("flavour", [(False, False), (True, False), (False, True), (True, True)])
def test_published_files(tmp_path, prefix, flavour):
    config = DenoiserConfig("hmr2", *flavour, dim=32, depth=2, hidden=48, feature=64)
    model = randomize(Denoiser(config))
    found = load_denoiser(write(tmp_path / "checkpoint.pkl", published(model, prefix)))
    assert found.config == config
    assert same(model, found)
    assert not found.training


@pytest.mark.parametrize(
    "name",
    ["motion_embed.weight", "blocks.1.ca_block.xf_norm.emb_layers.1.bias", "cam_head.0.weight", "project.1.bias"],
)
def test_a_missing_key_is_named(tmp_path, name):
    weights = published(Denoiser(SMALL))
    del weights[name]
    with pytest.raises(CloseintError, match=f"lacks {name}"):
        load_denoiser(write(tmp_path / "a.pkl", weights))


@pytest.mark.parametrize("name", ["motion_embed.weight", "head.1.weight", "blocks.0.ffn.linear2.bias"])
def test_a_misshapen_key_is_named(tmp_path, name):
    weights = published(Denoiser(SMALL))
    weights[name] = torch.zeros(*weights[name].shape[:-1], weights[name].shape[-1] + 1)
    with pytest.raises(CloseintError, match=name):
        load_denoiser(write(tmp_path / "a.pkl", weights))


def test_other_things_that_are_wrong(tmp_path):
    def refused(match: str, **changes: torch.Tensor) -> None:
        named = {name.replace("__", "."): value for name, value in changes.items()}
        with pytest.raises(CloseintError, match=match):
            load_denoiser(write(tmp_path / "a.pkl", published(Denoiser(SMALL)) | named))

    refused("unknown weights: blocks.0.extra", blocks__0__extra=torch.zeros(1))
    refused(r"feature_embed\.weight has 40 columns", feature_embed__weight=torch.zeros(32, 40))
    refused(r"head\.1\.bias is not finite", head__1__bias=torch.full((144,), float("nan")))
    refused(r"sequence_pos_encoder\.pe is no table", sequence_pos_encoder__pe=torch.ones(5000, 1, 32))
    torch.save({"weights": {}}, tmp_path / "b.pkl")
    with pytest.raises(CloseintError, match="'model'"):
        load_denoiser(tmp_path / "b.pkl")
    torch.save([1], tmp_path / "b.pkl")
    with pytest.raises(CloseintError, match="list"):
        load_denoiser(tmp_path / "b.pkl")
    with pytest.raises(CloseintError, match="no checkpoint at") as missing:
        load_denoiser(tmp_path / "none.pkl")
    assert missing.value.exit_code == 3


class Malicious:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return (Path.touch, (self.flag,))


class MaliciousCall:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


@pytest.mark.parametrize("kind", ["model", "optimizer", "bare"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, kind):
    path, flag = tmp_path / "a.pkl", tmp_path / "was-run"
    content = {"model": published(Denoiser(SMALL)), "optimizer": {}}
    for bad in (Malicious(flag), MaliciousCall()):
        if kind == "bare":
            path.write_bytes(pickle.dumps(bad))
        else:
            torch.save(content | {kind: bad}, path)
        with pytest.raises(CloseintError):
            load_denoiser(path)
    assert not flag.exists()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1), length=st.integers(1, 200), cut=st.booleans(), own=st.booleans())
def test_damaged_files_give_a_sentence(tmp_path, position, length, cut, own):
    path = tmp_path / ("a.safetensors" if own else "a.pkl")
    model = Denoiser(DenoiserConfig(dim=8, depth=1, hidden=8, feature=8))
    if own:
        save_denoiser(model, path)
    else:
        torch.save({"model": model.state_dict()}, path)
    content = bytearray(path.read_bytes())
    start = int(position * (len(content) - 1))
    if cut:
        content = content[:start]
    else:
        for i in range(start, min(start + length, len(content))):
            content[i] ^= 0x5A
    path.write_bytes(content)
    with contextlib.suppress(CloseintError):
        load_denoiser(path)  # damage may hit a number, and then goes unseen


@pytest.mark.parametrize("condition", ["hmr2", "keypoints"])
def test_our_own_files(tmp_path, condition):
    config = DenoiserConfig(condition, keypoints=True, dim=32, depth=2, heads=4, hidden=48, feature=64)
    model = randomize(Denoiser(config))
    save_denoiser(model, tmp_path / "a.safetensors")
    found = load_denoiser(tmp_path / "a.safetensors")
    assert found.config == config
    assert same(model, found)
    save_denoiser(model, tmp_path / "half.safetensors", torch.float16)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "a.safetensors").stat().st_size
    half = load_denoiser(tmp_path / "half.safetensors").state_dict()
    assert all((half[name] - value).abs().max() < 2e-3 for name, value in model.state_dict().items())


def test_safetensors_of_another_kind(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(CloseintError, match="does not say what it is"):
        load_denoiser(tmp_path / "a.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata={"closeint": '{"format": "soup/1"}'})
    with pytest.raises(CloseintError, match="soup"):
        load_denoiser(tmp_path / "a.safetensors")


def test_a_lightning_file_with_its_configuration(tmp_path):
    """Objects of its configuration library are passed over without that library, and without running anything."""
    module = types.ModuleType("yacs.config")
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    module.CfgNode = node  # type: ignore[attr-defined]
    package = types.ModuleType("yacs")
    sys.modules |= {"yacs": package, "yacs.config": module}
    model = randomize(HMR2(TINY_HMR2))
    content = {
        "epoch": 35,
        "pytorch-lightning_version": "1.8.1",
        "state_dict": model.state_dict() | {"discriminator.a": torch.zeros(2), "smpl.betas": torch.zeros(1, 10)},
        "hyper_parameters": {"cfg": node(MODEL=node(NAME="hmr2")), "folder": Path("a/b"), "number": np.float64(0.5)},
    }
    try:
        torch.save(content, tmp_path / "a.ckpt")
    finally:
        del sys.modules["yacs"], sys.modules["yacs.config"]
    found = load_hmr2(tmp_path / "a.ckpt", heads=4, decoder_heads=2)
    assert found.config == TINY_HMR2
    assert same(model, found)
    assert not isinstance(read_torch_file(tmp_path / "a.ckpt")["hyper_parameters"]["cfg"], node)


def test_large_files_are_mapped(tmp_path, monkeypatch):
    """What comes of them does not depend on the file any more."""
    model = randomize(HMR2(TINY_HMR2))
    torch.save({"state_dict": model.state_dict(), "optimizer": torch.zeros(1000)}, tmp_path / "a.ckpt")
    monkeypatch.setattr(checkpoint, "_LARGE", 0)
    found = load_hmr2(tmp_path / "a.ckpt", heads=4, decoder_heads=2)
    size = (tmp_path / "a.ckpt").stat().st_size
    (tmp_path / "a.ckpt").write_bytes(bytes(size))
    assert same(model, found)


def test_hmr2_files_that_are_wrong(tmp_path):
    weights = HMR2(TINY_HMR2).state_dict()
    for change, match in (
        ({"backbone.pos_embed": None}, r"lacks backbone\.pos_embed"),
        ({"smpl_head.decpose.weight": None}, r"lacks smpl_head\.decpose\.weight"),
        ({"smpl_head.decpose.weight": torch.zeros(3, 3)}, r"smpl_head\.decpose\.weight is \(3, 3\)"),
        ({"backbone.cls": torch.zeros(1)}, r"unknown weights: backbone\.cls"),
    ):
        changed = {name: value for name, value in (weights | change).items() if value is not None}
        torch.save({"state_dict": changed}, tmp_path / "a.ckpt")
        with pytest.raises(CloseintError, match=match):
            load_hmr2(tmp_path / "a.ckpt", heads=4, decoder_heads=2)
