# SPDX-License-Identifier: Apache-2.0
"""``python -m closeint_core`` is the ``closeint`` command."""

from closeint_core.cli import main

if __name__ == "__main__":  # processes that plan import this again
    main()
