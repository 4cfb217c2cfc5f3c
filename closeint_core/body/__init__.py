# SPDX-License-Identifier: Apache-2.0
"""Body models: the bundled default body, SMPL files, linear blend skinning and keypoint regressors.

``data``, ``load``, ``smpl_files`` and ``skinning`` need numpy only; ``torch_body`` needs torch.
"""
