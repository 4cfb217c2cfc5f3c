# SPDX-License-Identifier: Apache-2.0
"""What closeint learns from: made and recorded interactions, and how a camera and its detectors see them."""
