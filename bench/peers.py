"""Skylens beside its peers: the same model, the same JPEG files, the same cores.

Each peer serves as its own documentation recommends, in a virtual environment of its own, which the first run makes in
``.cache/peers``. docs/benchmarks.md says what is measured, and how. ``--list`` names the systems.
"""

from peers.compare import main

if __name__ == "__main__":
    main(__doc__)
