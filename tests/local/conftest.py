import pytest
from harness import Cloud
from standins import FOREIGN, STANDIN_UP


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloud")
    with Cloud(folder, "--boot", "0.2", command=STANDIN_UP, environment=FOREIGN) as running:
        yield running
