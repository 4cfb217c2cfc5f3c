# SPDX-License-Identifier: Apache-2.0
"""Draws a contact sheet of synthetic interactions for a person to judge, and prints their figures."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import cv2

from closeint_core.training.synthetic import KINDS, Generator
from closeint_core.training.synthetic.diversity import measure_diversity
from closeint_core.training.synthetic.generate import acceptable
from closeint_core.training.synthetic.sheet import contact_sheet


def main() -> None:
    """Parse the arguments, generate, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--kinds", nargs="*", choices=KINDS.all_names(), default=None)
    parser.add_argument(
        "--family", choices=sorted(KINDS.families()), help="kinds of one family, on the side of --split"
    )
    parser.add_argument("--collection", choices=("first", "wide"), default="first")
    parser.add_argument("--count", type=int, default=None, help="pairs; one of each kind if not given")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kinds = options.kinds
    if options.family:
        kinds = [n for n in KINDS.families()[options.family] if n in KINDS.names(options.split, "wide")]
    generator = Generator(kinds, None if kinds else options.split, collection=options.collection)
    made = generator(options.count or len(generator.kinds), options.frames, options.seed)
    print(f"acceptable: {float(acceptable(made).float().mean()):.2f}")
    if len(made) > 1:
        print(dataclasses.asdict(measure_diversity(made, generator.body)))
    cv2.imwrite(str(options.output), contact_sheet(made, generator.body)[..., ::-1])


if __name__ == "__main__":
    main()
