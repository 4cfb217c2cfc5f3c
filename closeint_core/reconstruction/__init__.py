# SPDX-License-Identifier: Apache-2.0
"""From a video to a clip: the order of the stages."""
