# SPDX-License-Identifier: Apache-2.0
"""Frames of a video or an image folder, at their exact rate."""
