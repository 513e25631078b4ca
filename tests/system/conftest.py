"""The whole system, really running: door, emulated cloud, workers as processes, autoscaler."""

import pytest
from crowd import many
from harness import Cloud

from app_aws import engine, registry


class Offline:
    """What the engine says of an image with no system around it."""

    def __init__(self):
        self.engine = registry.load(registry.BUNDLED / "cifar10")

    def label(self, data):
        scores = self.engine.infer([self.engine.prepare(data)])[0]
        return engine.top(scores, self.engine.labels, 1)[0].label


@pytest.fixture(scope="session")
def offline():
    return Offline()


@pytest.fixture(scope="session")
def pictures():
    """A thousand different pictures: (file name, bytes)."""
    return many(1000)


@pytest.fixture
def start(tmp_path):
    """Start clouds that stop at the end of the test, whatever happens: ``start("--max", "4")``."""
    running = []

    def begin(*arguments, **options):
        folder = tmp_path / f"cloud-{len(running)}"
        folder.mkdir()
        running.append(Cloud(folder, *arguments, **options).__enter__())
        return running[-1]

    yield begin
    for cloud in running:
        cloud.__exit__(None, None, None)
