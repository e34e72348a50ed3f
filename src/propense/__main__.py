"""`python -m propense` is `propense`."""

from __future__ import annotations

import sys

from propense.cli import main

if __name__ == "__main__":
    sys.exit(main())
