# SPDX-License-Identifier: Apache-2.0
"""closeint: two people in close interaction, from an ordinary video to rigged characters.

Importing this package, ``closeint_core.clip`` or ``closeint_core.body.data`` needs numpy only;
torch is imported by the modules that compute with it.
"""

__version__ = "0.1.0"
