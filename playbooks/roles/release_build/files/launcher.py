#!/usr/bin/python3 -IBS
# Starts this release's `skylens` with the distribution's Python and nothing else of it: no site packages, no PYTHON*
# variables, not the current folder. A link on the way here (`current`) is followed once, at the start.
import sys
from pathlib import Path

RELEASE, PYTHON = "@release@", "@python@"
home = Path(__file__).resolve().parents[1]
found = f"{sys.version_info.major}.{sys.version_info.minor}"
if found != PYTHON:
    sys.exit(f"skylens {RELEASE} was built for Python {PYTHON}, and {sys.executable} is {found}: set skylens_python")
sys.path.insert(0, str(home / "lib"))

from skylens.cli import main  # noqa: E402

sys.exit(main())
