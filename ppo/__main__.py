"""`python -m ppo`: the same as `align ppo`."""

import sys

from alignment.command import main
from ppo.config import COMMAND

if __name__ == "__main__":
    sys.exit(main(COMMAND))
