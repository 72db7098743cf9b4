"""`python -m cachetop`: the headless half."""

import sys

from cachetop.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
