"""`python -m reward_model`: the same as `align reward`."""

import sys

from alignment.command import main
from reward_model.config import COMMAND

if __name__ == "__main__":
    sys.exit(main(COMMAND, prog="python -m reward_model"))
