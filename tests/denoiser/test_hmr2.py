# SPDX-License-Identifier: Apache-2.0
"""HMR2.0's preprocessing and batching (its numbers are compared in test_reference_parity.py)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.windows import randomize

from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.hmr2 import HMR2, HMR2Config, load_hmr2
from closeint_core.denoiser.hmr2_images import IMAGENET_MEAN, IMAGENET_STD, HMR2Extractor, crop_image
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.progress import Progress

TINY = HMR2Config(64, 1, 4, 64, 192, 32, 1, 2, 16, 32)


def picture(height: int = 240, width: int = 320, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 20 + 2, width // 20 + 2, 3))
    return scipy.ndimage.zoom(coarse, (20, 20, 1), order=1)[:height, :width].clip(0, 255).astype(np.uint8)


def plain_crop(image: np.ndarray, center: np.ndarray, side: float) -> np.ndarray:
    """Blur everything, then read each output pixel by interpolation: slow, and plainly right."""
    source = image.astype(np.float64)
    factor = side / 256 / 2
    if factor > 1.1:
        sigma = (factor - 1) / 2
        source = scipy.ndimage.gaussian_filter(source, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    grid = (np.arange(256) - 128) * side / 256
    rows, columns = np.meshgrid(grid + center[1], grid + center[0], indexing="ij")
    channels = [
        scipy.ndimage.map_coordinates(source[..., c], [rows, columns], order=1, mode="grid-constant") for c in range(3)
    ]
    return (np.stack(channels) / 255 - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]


@given(st.floats(-40, 360), st.floats(-40, 280), st.floats(40, 1500), st.integers(0, 100))
@settings(max_examples=25)
def test_crops_against_the_plain_way(x, y, side, seed):
    image, center = picture(seed=seed), np.array([x, y])
    found, expected = crop_image(image, center, side), plain_crop(image, center, side)
    # OpenCV interpolates with positions rounded to 1/32 of a pixel
    inside = np.abs(found - expected)
    assert np.median(inside) < 0.03
    assert np.quantile(inside, 0.98) < 0.25


def test_centre_stays_centre_and_colours_stay():
    image = np.zeros((200, 300, 3), np.uint8)
    image[90:111, 140:161] = [255, 128, 0]
    crop = crop_image(image, np.array([150.0, 100.0]), 100.0)
    shade = crop[:, 128, 128] * IMAGENET_STD + IMAGENET_MEAN
    assert np.abs(shade * 255 - [255, 128, 0]).max() < 1
    black = crop_image(image, np.array([-900.0, -900.0]), 100.0)[:, 128, 128] * IMAGENET_STD + IMAGENET_MEAN
    assert np.abs(black).max() < 1e-5


@pytest.fixture(scope="module")
def model() -> HMR2:
    return randomize(HMR2(TINY)).eval()


class Frames:
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self):
        return iter([(i + 7, picture(seed=i)) for i in range(self.count)])


def crops(frames: int, people: int) -> Crops:
    rng = np.random.default_rng(1)
    center = torch.tensor(rng.uniform(60, 200, (frames, people, 2)), dtype=torch.float32)
    side = torch.tensor(rng.uniform(60, 700, (frames, people)), dtype=torch.float32)
    return Crops(center, side, torch.tensor([320.0, 240.0]).expand(frames, people, 2), torch.full_like(side, 400.0))


@pytest.mark.parametrize("people", [1, 2])
def test_batches_over_people_and_frames(model, people):
    where = crops(5, people)
    batched = HMR2Extractor(model, batch=4).extract(Frames(5), where, Progress())
    assert batched.features.shape == (5, people, 32)
    for frame, (_, image) in enumerate(Frames(5)):
        for person in range(people):
            crop = crop_image(image, where.center[frame, person].numpy(), float(where.side[frame, person]))
            with torch.no_grad():
                one = model(torch.from_numpy(crop)[None])
            assert (one.feature[0] - batched.features[frame, person]).abs().max() < 1e-4
            assert (one.rotations[0] - batched.rotations[frame, person]).abs().max() < 1e-4
            assert (one.camera[0] - batched.camera[frame, person]).abs().max() < 1e-4


def test_a_video_that_ends_early(model):
    found = HMR2Extractor(model, batch=4).extract(Frames(3), crops(5, 2), Progress())
    assert found.features.shape[:2] == (5, 2)
    assert torch.equal(found.features[4], found.features[2])


def test_half_precision_of_the_image_part_only(model):
    where = crops(3, 2)
    exact = HMR2Extractor(model).extract(Frames(3), where, Progress())
    half = HMR2Extractor(randomize(HMR2(TINY)), half=True).extract(Frames(3), where, Progress())
    assert half.rotations.dtype == torch.float32
    assert 0 < (half.features - exact.features).abs().max() < 0.02
    identity = half.rotations @ half.rotations.mT - torch.eye(3)
    assert identity.abs().max() < 1e-5


def test_cancel(model):
    with pytest.raises(Cancelled):
        HMR2Extractor(model).extract(Frames(3), crops(3, 2), Progress(lambda: True))


def test_means_from_their_file(model, tmp_path):
    weights = {name: value for name, value in model.state_dict().items() if "init_" not in name}
    torch.save({"state_dict": weights}, tmp_path / "a.ckpt")
    with pytest.raises(CloseintError, match=r"smpl_head\.init_body_pose"):
        load_hmr2(tmp_path / "a.ckpt", 4, 2)
    np.savez(tmp_path / "m.npz", pose=np.arange(144.0), shape=np.zeros(10), cam=np.ones(3))
    found = load_hmr2(tmp_path / "a.ckpt", 4, 2, tmp_path / "m.npz")
    assert torch.equal(found.smpl_head.init_body_pose[0], torch.arange(144.0))
    (tmp_path / "m.npz").write_bytes(b"no")
    with pytest.raises(CloseintError, match=r"m\.npz"):
        load_hmr2(tmp_path / "a.ckpt", 4, 2, tmp_path / "m.npz")
