# SPDX-License-Identifier: Apache-2.0
"""What the pictures show: tracked people with keypoints, landmarks and how sure they are."""
