"""`python -m alignment`: the same as `align`."""

import sys

from alignment.cli import entry

if __name__ == "__main__":
    sys.exit(entry())
