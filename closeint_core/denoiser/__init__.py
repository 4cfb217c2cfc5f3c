# SPDX-License-Identifier: Apache-2.0
"""The CloseInt network: two people's motion, denoised together (Huang et al., CVPR 2024).

B windows of T frames (published: 16) of two people; a person-frame is 157 numbers: 144 pose (24 joints, 6D ROWS),
10 betas, 3 crop camera. The network works on the residual to a mean (initial pose, zero shape, ordinary camera)::

    person A: x (157)                     condition A, timestep           person B: x (157)
         |                                        |                            |
    motion_embed + position          image feature, crop -> project       motion_embed + position
         |                           (or KeypointEncoder), extras              |
         h_a                         -> feature_embed + time -> emb            h_b
         |                                        |                            |
    +----v------------- block, 4 times, weights shared by both ----------------v----+
    |  h + SelfAttention over T (AdaLN(h; emb))                                     |
    |  h + CrossAttention: queries AdaLN(h; emb), keys and values AdaLN'(other; emb)|
    |        h_a <----------------- last layer's states ------------------> h_b     |
    |        (times 0 in frames with a single person)                               |
    |  h + FFN(AdaLN(h; emb))                                                       |
    +----|----------------------------------------------------------------------|---+
         v                                                                      v
    [h, crop] -> head 144, shape_head 10, cam_head 3                       the same heads
         |                                                                      |
         + mean -> pose, betas, crop camera of A                          ... and of B

    noise -> DDIM, 5 of 100 steps (t = 80, 60, 40, 20, 0), the network predicts the clean sample
             between steps: guides, that is energies (reprojection, penetration, contact, ground, prior)
             or the encode-decode projection of the interaction prior

In a few lines::

    model = load_denoiser("checkpoint.pkl")              # published, or our own .safetensors
    conditions = Conditions(init_pose6d, person_crops(boxes, image_size), features)
    state = Sampler(model).sample(conditions, seed=0)    # PairState, (B, T, 2, ...)
    state.rotations(), state.betas, state.translation(conditions.crops)

- ``Conditions``: initial pose, crops, HMR2.0 features or Halpe-26 keypoints (NaN where unseen), frames with one person.
- ``Denoiser(DenoiserConfig(...))``: the network; ``model(noisy, timesteps, conditions)`` trains it.
  ``load_denoiser``, ``save_denoiser``: published files (any flavour) and our own.
- ``Sampler(model, steps, guides, penetration, precision, graphs).sample(conditions, noise, seed)``.
- ``EnergyGuidance(body, energies)`` with ``ReprojectionEnergy``, ``PenetrationEnergy``, ``ContactEnergy``,
  ``GroundEnergy``, ``LimitEnergy``, ``PriorEnergy``, or anything that maps a ``GuidedMotion`` to (B,).
- ``InteractionPrior``: VQ-VAE over pair motion in a canonical frame; ``project``, ``PriorEnergy``, ``PriorProjection``;
  ``report`` gives perplexity and reconstruction error; ``CodeModel`` and ``draw_interactions`` make new interactions;
  ``default_prior``, ``load_prior``, ``save_prior``.
- ``load_hmr2``, ``HMR2Extractor``: features and initial poses from video frames.
- ``rotation6d``: the two 6D conventions, by name. HMR2.0's is columns, everything else here is rows.
"""

from closeint_core.denoiser.canonical import PairFrames, PairMotion, pair_frames
from closeint_core.denoiser.checkpoint import load_denoiser, save_denoiser
from closeint_core.denoiser.conditions import Conditions, KeypointEncoder
from closeint_core.denoiser.crops import Crops, person_crops
from closeint_core.denoiser.guidance import (
    ContactEnergy,
    EnergyGuidance,
    GroundEnergy,
    GuidedMotion,
    LimitEnergy,
    PenetrationEnergy,
    ReprojectionEnergy,
)
from closeint_core.denoiser.hmr2 import HMR2, load_hmr2
from closeint_core.denoiser.hmr2_images import HMR2Extractor
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.denoiser.prior import (
    CodeModel,
    InteractionPrior,
    PriorConfig,
    default_prior,
    draw_interactions,
    load_prior,
    report,
    save_prior,
)
from closeint_core.denoiser.prior_guidance import PriorEnergy, PriorProjection
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.schedule import CosineSchedule
from closeint_core.denoiser.state import PairState, mean_state

__all__ = [
    "HMR2",
    "CodeModel",
    "Conditions",
    "ContactEnergy",
    "CosineSchedule",
    "Crops",
    "Denoiser",
    "DenoiserConfig",
    "EnergyGuidance",
    "GroundEnergy",
    "GuidedMotion",
    "HMR2Extractor",
    "InteractionPrior",
    "KeypointEncoder",
    "LimitEnergy",
    "PairFrames",
    "PairMotion",
    "PairState",
    "PenetrationEnergy",
    "PriorConfig",
    "PriorEnergy",
    "PriorProjection",
    "ReprojectionEnergy",
    "Sampler",
    "default_prior",
    "draw_interactions",
    "load_denoiser",
    "load_hmr2",
    "load_prior",
    "mean_state",
    "pair_frames",
    "person_crops",
    "report",
    "save_denoiser",
    "save_prior",
]
