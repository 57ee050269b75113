"""`python -m sft`: the same as `align sft`."""

import sys

from alignment.command import main
from sft.config import COMMAND

if __name__ == "__main__":
    sys.exit(main(COMMAND, prog="python -m sft"))
