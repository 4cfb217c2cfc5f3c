# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a motion, and how to mend it without parting two people who touch. numpy only, no bpy.

``points`` poses single points of a body; ``spheres`` fills a body with spheres, from which gaps and depths between two
people follow; ``series`` measures a motion frame by frame; ``contacts`` holds contacts; ``smoothing`` and ``ground``
change a motion of both people together.
"""
