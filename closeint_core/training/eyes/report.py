# SPDX-License-Identifier: Apache-2.0
"""The eyes judged at length: on renders of held-out kinds and, if there, on labelled footage.

    python -m closeint_core.training.eyes.report WEIGHTS -o REPORT.json --interactions POOL.npz [--labelled DIR]

Half of the held-out interactions give the calibration, which is written into a copy of the weights; the other half give
the figures. Labelled footage chooses nothing: the threshold of a touch comes from renders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.look import PairEyes
from closeint_core.eyes.network import PairNetwork
from closeint_core.eyes.prompts import PromptErrors
from closeint_core.eyes.weights import load_eyes, save_eyes
from closeint_core.files import atomic_path
from closeint_core.rendering.renderer import RenderedPairs
from closeint_core.training.batches import Share
from closeint_core.training.eyes.answers import Answers, answers_of
from closeint_core.training.eyes.config import EyesConfig
from closeint_core.training.eyes.labelled import Prompting, evidence_of, measure_labelled, read_labelled
from closeint_core.training.eyes.measures import calibrate, close_and_apart, diagrams, false_threshold, measure
from closeint_core.training.eyes.pictures import PairPictures, make_batch
from closeint_core.training.schedule import seed_everything
from closeint_core.training.synthetic_source import DataConfig

_FRAMES = 3


@dataclass(frozen=True)
class ReportSizes:
    """Pictures: a batch, for the calibration, for the figures (clips of three frames), of couples who stand close."""

    batch: int = 96
    calibration: int = 960
    figures: int = 1152
    close: int = 2000


def report_on_renders(
    network: PairNetwork, body: TorchBody, config: EyesConfig, sizes: ReportSizes, seed: int = 5
) -> tuple[dict[str, Any], Calibration]:
    """Figures on renders of held-out kinds, and the calibration.

    Returns:
        ``rows``: measures for prompts that are exact or err, from one frame or three; ``diagrams`` of the row with
        prompts that err and three frames; ``threshold``: the calibrated probability of a touch at 1 % false pairs of
        groups of parts; and how much was looked at.
    """
    narrow = body.template.device.type == "cuda"
    clips = replace(config, frames=_FRAMES, clips=1, reuse=1)
    fitted = _held_out(clips, body, sizes.batch, seed, 0)
    judged = _held_out(clips, body, sizes.batch, seed + 1, 1)
    near = _held_out(replace(clips, clips=0, touching=0.0, near=1.0), body, sizes.batch, seed + 2, 1)
    wrong = PromptErrors()

    def asked(source: PairPictures, steps: range, errors: PromptErrors | None, frames: int) -> Answers:
        parts = []
        for step, rendered in _renders(source, steps):
            seed_everything(seed, 0, step, "degrade judged")
            parts.append(answers_of(network, [(rendered, make_batch(rendered, source.draws, errors))], frames, narrow))
        return Answers.join(parts)

    calibration = calibrate(asked(fitted, range(_steps(sizes.calibration, sizes.batch)), wrong, _FRAMES))
    couples: list[Answers] = []
    while sum(int(close_and_apart(part).sum()) for part in couples) < sizes.close and len(couples) < 200:
        couples.append(asked(near, range(len(couples), len(couples) + 1), wrong, 1))
    apart = Answers.join(couples)
    threshold = false_threshold(apart)
    rows, drawn = {}, {}
    for told, errors in (("exact", None), ("with errors", wrong)):
        for frames in (1, _FRAMES):
            answers = asked(judged, range(_steps(sizes.figures, sizes.batch)), errors, frames)
            rows[f"prompts {told}, frames {frames}"] = measure(answers, calibration, threshold)
            drawn = diagrams(answers, calibration)
    counts = {"pictures": _steps(sizes.figures, sizes.batch) * sizes.batch, "close": int(close_and_apart(apart).sum())}
    said = float(calibration.touch(torch.tensor(threshold).numpy()))
    return {"rows": rows, "diagrams": drawn, "threshold": said, "counts": counts}, calibration


def _steps(pictures: int, batch: int) -> int:
    return max(1, pictures // batch)


def _held_out(config: EyesConfig, body: TorchBody, batch: int, seed: int, half: int) -> PairPictures:
    data, share = DataConfig(pool=256, chunk=128, renew=0), Share(batch, seed, split="test")
    source = PairPictures(config, data, body, share)
    source.keep_every_second(half)
    return source


def _renders(source: PairPictures, steps: range) -> Iterator[tuple[int, RenderedPairs]]:
    for step in steps:
        yield step, source.rendered(step)


def report_on_labelled(eyes: PairEyes, folder: Path, threshold: float) -> dict[str, Any]:
    """Measures with intervals for prompts from labels, exact and off by 15 and 30 % of the trunk."""
    frames = read_labelled(folder)
    rows = {}
    for name, prompting, neighbours in (
        ("labelled prompts", Prompting(), True), ("labelled prompts, one frame", Prompting(), False),
        ("prompts off by 15 %", Prompting(0.15, 1), True), ("prompts off by 30 %", Prompting(0.3, 1), True),
    ):  # fmt: skip
        found = evidence_of(eyes, frames, prompting, neighbours)
        rows[name] = measure_labelled(frames, found, threshold)
    return {"rows": rows, "frames": len(frames)}


def main(
    weights: Path,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JSON")],
    interactions: Annotated[str, typer.Option(help="File of interactions, as in the configuration.")] = "",
    panoramas: Annotated[str, typer.Option(help="File of panoramas, as in the configuration.")] = "",
    labelled: Annotated[Path | None, typer.Option(help="Folder with clips and labels.")] = None,
    calibrated: Annotated[Path | None, typer.Option(help="Where to write the weights with their calibration.")] = None,
    small: Annotated[bool, typer.Option(help="A tenth of the pictures.")] = False,
) -> None:
    """Judge the eyes and write the figures as JSON."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network, _, card = load_eyes(weights)
    body = TorchBody(load_body("default")).to(device)
    sizes = ReportSizes(16, 96, 96, 100) if small else ReportSizes()
    config = EyesConfig(interactions=interactions, panoramas=panoramas)
    found, calibration = report_on_renders(network.to(device).eval(), body, config, sizes)
    result: dict[str, Any] = {"renders": found}
    if calibrated is not None:
        save_eyes(network, calibrated, calibration, {**card, "touch_threshold": found["threshold"]})
    if labelled is not None:
        eyes = PairEyes(network, calibration, device)
        result["labelled"] = report_on_labelled(eyes, labelled, found["threshold"])
    with atomic_path(output) as temporary:
        temporary.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
