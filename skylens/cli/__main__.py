"""``python -m skylens.cli``: the ``skylens`` command without its console script."""

import sys

from skylens.cli import main

sys.exit(main())
