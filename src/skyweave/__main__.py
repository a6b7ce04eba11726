"""``python -m skyweave``: the same as the ``skyweave`` command."""

import sys

from skyweave.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
