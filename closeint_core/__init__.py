# SPDX-License-Identifier: Apache-2.0
"""closeint: two people in close interaction, from an ordinary video to rigged characters.

Importing this package, ``closeint_core.clip`` or ``closeint_core.body.data`` needs numpy only;
torch is imported by the modules that compute with it.
"""

__version__ = "0.2.0"
"""The one place of the version; ``python scripts/release.py version X.Y.Z`` changes it and the files that repeat it."""
