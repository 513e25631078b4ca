"""The OpenStack without guests that some tests use."""

import os

import pytest
from neighbours import leave
from private_cloud import bring_up, connect


@pytest.fixture(scope="module")
def empty_cloud():
    """A member's connection, the project empty before and after. A laptop may lack what the cloud needs, CI may not."""
    if lacking := bring_up("fake"):
        pytest.fail(lacking) if os.environ.get("CI") == "true" else pytest.skip(lacking)
    with connect() as connection:
        leave(connection)
        yield connection
        leave(connection)
