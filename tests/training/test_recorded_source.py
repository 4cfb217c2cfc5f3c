# SPDX-License-Identifier: Apache-2.0
"""Annotation files as a source: windows, people put back where they stood, bodies of both genders, single people."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.annotations import sequence, write_annotations, write_bodies
from support.windows import IMAGE_SIZE

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.state import PairState
from closeint_core.errors import CloseintError
from closeint_core.training.batches import Share, TrainingBatch
from closeint_core.training.recorded_source import RecordedConfig, RecordedSource, place_people, published_layout


@pytest.fixture(scope="module")
def bodies(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("published") / "data"
    write_bodies(data)
    return data


@pytest.fixture
def data(bodies, tmp_path) -> Path:
    (tmp_path / "smpl").symlink_to(bodies / "smpl")
    return tmp_path


@pytest.fixture(scope="module")
def neutral(bodies) -> TorchBody:
    return TorchBody(load_body("smpl-neutral", bodies))


def source(data: Path, body: TorchBody, batch: int = 2, **options) -> RecordedSource:
    shared = {name: options.pop(name) for name in ("rank", "world", "split") if name in options}
    return RecordedSource(RecordedConfig(str(data)), body, Share(batch, 3, **shared), **options)


def tensors(batch: TrainingBatch) -> list[torch.Tensor]:
    found = []
    for part in (batch, batch.conditions, batch.conditions.crops):
        found += [value for f in fields(part) if isinstance(value := getattr(part, f.name), torch.Tensor)]
    return found


@settings(max_examples=30)
@given(
    st.integers(0, 10**6),
    st.floats(-2, 2),
    st.floats(-1, 1),
    st.floats(1.5, 20),
    st.floats(300, 3000),
)
def test_translations_are_found_from_keypoints(seed, x, y, z, focal):
    draw = torch.Generator().manual_seed(seed)
    points = 0.5 * torch.randn(3, 26, 3, generator=draw)
    size = torch.tensor([1280.0, 720.0]).expand(3, 2)
    crops = Crops(torch.zeros(3, 2), torch.ones(3), size, torch.full((3,), focal))
    wanted = torch.tensor([x, y, z + 3.0]).expand(3, 3)
    pixels = crops.project(points + wanted[:, None])
    confidence = (torch.rand(3, 26, 1, generator=draw) < 0.7).float()
    pixels = torch.where(confidence > 0, pixels, torch.full_like(pixels, 1e4))  # what nobody saw must not count
    found, placed = place_people(points, torch.cat([pixels, confidence], -1), crops)
    assert placed.all()
    torch.testing.assert_close(found, wanted, rtol=2e-3, atol=2e-3)


def test_translation_is_the_weighted_least_squares_solution():
    draw = torch.Generator().manual_seed(0)
    points = 0.5 * torch.randn(1, 26, 3, generator=draw)
    crops = Crops(torch.zeros(1, 2), torch.ones(1), torch.tensor([[640.0, 480.0]]), torch.tensor([800.0]))
    pixels = crops.project(points + torch.tensor([0.2, 0.1, 4.0])) + 5 * torch.randn(1, 26, 2, generator=draw)
    weights = torch.rand(1, 26, generator=draw)
    found, _ = place_people(points, torch.cat([pixels, weights[..., None]], -1), crops)
    rows, sides = [], []
    for (px, py), (X, Y, Z), w in zip(pixels[0].tolist(), points[0].tolist(), weights[0].tolist(), strict=True):
        u, v = (px - 320) / 800, (py - 240) / 800
        rows += [[w**0.5, 0, -(w**0.5) * u], [0, w**0.5, -(w**0.5) * v]]
        sides += [w**0.5 * (u * Z - X), w**0.5 * (v * Z - Y)]
    np.testing.assert_allclose(found[0], np.linalg.lstsq(np.array(rows), np.array(sides), rcond=None)[0], rtol=1e-3)


def test_too_few_keypoints_place_nobody():
    points = torch.randn(1, 26, 3, generator=torch.Generator().manual_seed(0))
    crops = Crops(torch.zeros(1, 2), torch.ones(1), torch.tensor([[640.0, 480.0]]), torch.tensor([800.0]))
    keypoints = torch.zeros(1, 26, 3)
    keypoints[:, :3, 2] = 1
    assert not place_people(points, keypoints, crops)[1].any()


def test_a_batch_is_what_was_annotated(data, neutral):
    record, translation = sequence(frames=18)
    write_annotations(data, "train", [record])
    made = source(data, neutral, batch=3)
    assert len(made) == 3
    batch = made.batch(0)
    rows = made.starts[made.rows(0)]
    assert sorted(rows.tolist()) == [0, 1, 2]
    frames = rows[:, None] + torch.arange(16)
    state = PairState.of(batch.target)
    torch.testing.assert_close(state.translation(batch.conditions.crops), translation[frames], rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(state.betas, torch.tensor(record["shapes"])[frames], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(batch.conditions.features, torch.tensor(record["features"])[frames])
    torch.testing.assert_close(batch.conditions.keypoints, torch.tensor(record["pose2ds_pred"])[frames])
    torch.testing.assert_close(batch.keypoints, torch.tensor(record["pose2ds"])[frames][..., :2])
    assert batch.conditions.crops.image_size[0, 0, 0].tolist() == list(IMAGE_SIZE)
    assert batch.valid.all()
    assert not batch.conditions.single.any()
    # The truth projects where the annotated keypoints are.
    skeleton = neutral.skeleton(state.rotations(), state.betas, state.translation(batch.conditions.crops))
    pixels = batch.conditions.crops.project(neutral.points("halpe")(skeleton, state.betas))
    assert (pixels - batch.keypoints).norm(dim=-1).max() < 1.0


@pytest.mark.parametrize("gender", [0, 1])
def test_gendered_shapes_are_carried_to_the_neutral_body(data, neutral, gender):
    """The gendered bodies' means are shapes of the neutral one, which must therefore be found exactly."""
    record, translation = sequence(frames=16, gender=gender)
    number = {1: 0, 0: 1}[gender]
    truth = torch.tensor(record["shapes"])
    told = truth.clone()
    told[..., number] -= 1.0  # of the gendered body, whose mean has this one in it
    write_annotations(data, "train", [record | {"shapes": told.numpy()}])
    batch = source(data, neutral, batch=1).batch(0)
    state = PairState.of(batch.target)
    torch.testing.assert_close(state.betas[0], truth, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(state.translation(batch.conditions.crops)[0], translation, rtol=2e-3, atol=5e-3)


def test_without_gendered_bodies_shapes_count_as_neutral(tmp_path, neutral):
    write_bodies(tmp_path, ())
    record, _ = sequence(frames=16, gender=1)
    write_annotations(tmp_path, "train", [record])
    said: list[str] = []
    batch = source(tmp_path, neutral, batch=1, say=said.append).batch(0)
    assert len(said) == 1
    assert "no male body" in said[0]
    torch.testing.assert_close(PairState.of(batch.target).betas[0], torch.tensor(record["shapes"]))


def test_every_window_comes_once_in_a_pass_whatever_the_processes(data, neutral):
    write_annotations(data, "train", [sequence(frames=18)[0], sequence(frames=19, seed=1)[0]])
    alone = source(data, neutral, batch=4)
    assert len(alone) == 3 + 4
    assert alone.starts.tolist() == [0, 1, 2, 18, 19, 20, 21]
    assert alone.steps(4) == 7
    seen = torch.cat([alone.rows(step) for step in range(7)])
    for number in range(4):
        assert sorted(seen[7 * number : 7 * number + 7].tolist()) == list(range(7))
    assert seen[:7].tolist() != seen[7:14].tolist()
    pair = [source(data, neutral, batch=2, rank=rank, world=2) for rank in range(2)]
    for step in range(7):
        assert torch.equal(torch.cat([one.rows(step) for one in pair]), alone.rows(step))
    for a, b in zip(tensors(alone.batch(5)), tensors(source(data, neutral, batch=4).batch(5)), strict=True):
        assert torch.equal(a, b)


def test_windows_to_judge_by(data, neutral):
    write_annotations(data, "test", [sequence(frames=40)[0], sequence(frames=16, seed=1)[0]])
    write_annotations(data, "train", [sequence(frames=16)[0]])
    made = source(data, neutral, batch=8, split="test")
    # range(0, F - 16, 16): tails are dropped, and so is a sequence of 16 frames, as published.
    assert made.starts.tolist() == [0, 16]
    assert made.rows(0).tolist() == [0, 1]
    assert len(source(data, neutral, batch=8, split="test", most=1)) == 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_single_person_is_doubled_backwards(data, neutral, split):
    record, translation = sequence(frames=17, people=1)
    write_annotations(data, split, [record])
    made = source(data, neutral, batch=1, split=split)
    made.starts = made.starts[:1]
    batch = made.batch(0)
    assert batch.conditions.single.all()
    moved = PairState.of(batch.target).translation(batch.conditions.crops)[0]
    torch.testing.assert_close(moved[:, 0], translation[:16, 0], rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(moved[:, 1], translation[1:, 0].flip(0), rtol=1e-3, atol=2e-3)
    features = torch.tensor(record["features"])[:, 0]
    torch.testing.assert_close(batch.conditions.features[0, :, 1], features[1:].flip(0))
    assert batch.valid[..., 0].all()
    assert bool(batch.valid[..., 1].all()) == (split == "train")  # judged once


def test_frames_without_a_truth(data, neutral):
    record, _ = sequence(frames=20)
    record["valid"][:5, 1] = 0
    record["patch_scale"][:5, 1] = 0
    record["poses"][7, 0] = np.nan
    record["pose2ds"][9, 0, :, 2] = 0
    write_annotations(data, "train", [record])
    made = source(data, neutral, batch=1)
    made.starts = torch.tensor([0])
    batch = made.batch(0)
    wrong = torch.ones(16, 2, dtype=torch.bool)
    wrong[:5, 1] = wrong[7, 0] = wrong[9, 0] = False
    assert torch.equal(batch.valid[0], wrong)
    assert torch.equal(batch.conditions.single[0] == 1, ~wrong.all(1))
    assert all(torch.isfinite(x).all() for x in tensors(batch) if x.is_floating_point())
    record["valid"][:, 1] = 0  # then there is one person
    write_annotations(data, "train", [record])
    assert source(data, neutral, batch=1).batch(0).conditions.single.all()
    record["valid"][:, 0] = 0
    write_annotations(data, "train", [record])
    with pytest.raises(CloseintError, match="No sequence"):
        source(data, neutral)


def test_what_is_missing_is_a_sentence(data, neutral):
    with pytest.raises(CloseintError, match="no data set Hi4D") as missing:
        source(data, neutral)
    assert missing.value.exit_code == 3
    record, _ = sequence(frames=16)
    del record["features"]
    write_annotations(data, "train", [record])
    with pytest.raises(CloseintError, match=r"no features.*keypoints"):
        source(data, neutral)
    assert source(data, neutral, features=False).batch(0).conditions.features is None
    with pytest.raises(CloseintError, match="17 frames"):
        source(data, neutral, features=False, length=17)


def test_the_folder_may_be_named_in_three_ways(data):
    write_annotations(data, "train", [sequence(frames=16)[0]])
    inside = data / "dataset"
    for folder in (data, inside):
        assert published_layout(folder, "Hi4D") == (inside, data)
    repository = data / "repository"
    repository.mkdir()
    (repository / "data").symlink_to(data)
    assert published_layout(repository, "Hi4D") == (repository / "data" / "dataset", repository / "data")


def test_touches_are_of_parts_that_are_near(data, neutral):
    record, _ = sequence(frames=16)
    # Both people in one place: each body part touches its like.
    for name in ("poses", "shapes", "pose2ds"):
        record[name][:, 1] = record[name][:, 0]
    write_annotations(data, "train", [record])
    batch = source(data, neutral, batch=1).batch(0)
    assert batch.contacts.diagonal(dim1=-2, dim2=-1).all()
    assert not batch.contacts.all()
