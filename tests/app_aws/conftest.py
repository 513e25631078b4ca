"""A model folder to install, and where to install it."""

import pytest
from networks import model_folder


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path):
    return model_folder(tmp_path / "source")
