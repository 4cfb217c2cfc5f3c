# SPDX-License-Identifier: Apache-2.0
"""From video frames to what HMR2.0 says of each person: crops, batches over people and frames, half precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.hmr2 import HMR2, IMAGE_SIZE
from closeint_core.progress import Progress

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
_SHRUNK = 1.1  # crops whose half side exceeds this many output sizes are blurred before they are shrunk


def crop_image(image: np.ndarray, center: np.ndarray, side: float, size: int = IMAGE_SIZE) -> np.ndarray:
    """A square crop as HMR2.0 was trained on.

    Args:
        image: uint8 (H, W, 3) RGB. center: (2,) pixels. side: pixels. size: of the result.

    Returns:
        f4 (3, size, size), ImageNet's mean and deviation taken out; black outside of the image.
    """
    import cv2  # here, so that a network can run where there are no pictures

    factor = side / size / 2.0
    matrix = np.array([[1.0, 0.0, -center[0]], [0.0, 1.0, -center[1]]]) * (size / side)
    matrix[:, 2] += size / 2
    source: np.ndarray = image
    if factor > _SHRUNK:
        sigma = (factor - 1.0) / 2.0
        radius = int(4.0 * sigma + 0.5)
        # Only what the crop shows, and what the blur brings into it, is worth blurring.
        low = np.floor(center - side / 2).astype(int) - radius - 2
        high = np.ceil(center + side / 2).astype(int) + radius + 2
        low = np.clip(low, 0, [image.shape[1] - 1, image.shape[0] - 1])
        high = np.clip(high, low + 1, [image.shape[1], image.shape[0]])
        region = image[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        source = cv2.GaussianBlur(region, (2 * radius + 1, 2 * radius + 1), sigma, borderType=cv2.BORDER_REPLICATE)
        matrix[:, 2] += matrix[:, :2] @ low
    crop = cv2.warpAffine(source, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    crop = (crop.astype(np.float32) / 255.0 - IMAGENET_MEAN) / IMAGENET_STD
    return np.ascontiguousarray(crop.transpose(2, 0, 1))


@dataclass
class PersonFeatures:
    """What HMR2.0 says of P people in T frames, float32 on the CPU.

    Attributes:
        features: (T, P, 1024). rotations: (T, P, 24, 3, 3), camera axes. betas: (T, P, 10). camera: (T, P, 3).
    """

    features: Tensor
    rotations: Tensor
    betas: Tensor
    camera: Tensor


class HMR2Extractor:
    """Runs HMR2.0 over a video.

    Args:
        model: from ``load_hmr2``. device: where it runs. batch: crops at once.
        half: float16 for the vision transformer, by default on a GPU only; the decoder stays in float32.
    """

    def __init__(self, model: HMR2, device: str = "cpu", batch: int = 32, half: bool | None = None) -> None:
        self.device = torch.device(device)
        self.batch = batch
        self.model = model.eval().to(self.device)
        if half if half is not None else self.device.type == "cuda":
            self.model.backbone.half()

    def extract(self, frames: Iterable[tuple[int, np.ndarray]], crops: Crops, progress: Progress) -> PersonFeatures:
        """Features of every person and frame.

        Args:
            frames: (index, uint8 (H, W, 3) RGB) of T frames in order; no more than a batch's crops are kept.
            crops: batch shape (T, P).
        """
        count, people = crops.side.shape
        centers, sides = crops.center.numpy(), crops.side.numpy()
        waiting: list[np.ndarray] = []
        outputs: list[tuple[Tensor, ...]] = []
        for number, (_, image) in enumerate(frames):
            if number >= count:
                break
            waiting += [crop_image(image, centers[number, p], float(sides[number, p])) for p in range(people)]
            if len(waiting) >= self.batch or number == count - 1:
                outputs.append(self._run(np.stack(waiting)))
                waiting = []
            progress.update("image features", number + 1, count)
        if waiting:
            outputs.append(self._run(np.stack(waiting)))
        rotations, betas, camera, feature = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        missing = count * people - len(feature)  # a damaged video gives fewer frames than it promised: the last stays
        joined = (
            torch.cat([x, x[-people:].repeat(missing // people, *[1] * (x.ndim - 1))])
            for x in (feature, rotations, betas, camera)
        )
        return PersonFeatures(*(x.unflatten(0, (count, people)) for x in joined))

    @torch.inference_mode()
    def _run(self, crops: np.ndarray) -> tuple[Tensor, ...]:
        return tuple(x.cpu() for x in self.model(torch.from_numpy(crops).to(self.device)))
