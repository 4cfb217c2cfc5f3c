# SPDX-License-Identifier: Apache-2.0
"""Pictures of a clip without Blender or a graphics card: overlay on the footage and a view from the side."""
