"""What every test may use."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")  # on a busy machine any example may take long


@pytest.fixture
def shared() -> Path:
    """The photographs and models beside the checkout; a laptop may lack them, CI may not."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        missing = f"{folder} is missing"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return folder


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Python's collector of cycles, which counts objects and not their bytes, does not run."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
