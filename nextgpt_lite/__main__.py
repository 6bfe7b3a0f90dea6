"""`python -m nextgpt_lite` is the command `nextgpt-lite`."""

import sys

from nextgpt_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
