# SPDX-License-Identifier: Apache-2.0
"""Recorded interactions that a user brings: annotation files, motion capture, parametric motion."""

from closeint_core.training.readers.deepmimic import read_deepmimic
from closeint_core.training.readers.hi4d import AnnotatedSequence, read_annotations
from closeint_core.training.readers.mocap import read_asf_amc, read_bvh
from closeint_core.training.readers.parametric import ParametricMotion, read_amass, read_interhuman
from closeint_core.training.readers.retarget import Recording, Retargeted, retarget

__all__ = [
    "AnnotatedSequence",
    "ParametricMotion",
    "Recording",
    "Retargeted",
    "read_amass",
    "read_annotations",
    "read_asf_amc",
    "read_bvh",
    "read_deepmimic",
    "read_interhuman",
    "retarget",
]
