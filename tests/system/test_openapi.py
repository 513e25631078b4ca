"""``openapi.json`` tells the truth: schemathesis finds no answer of the running door that it does not describe."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.system
def test_schemathesis_finds_nothing(start):
    cloud = start("--max", "1", "--boot", "1", "--set", "web.wait_seconds=1", "--set", "web.max_wait_seconds=2")
    found = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"{cloud.url}/openapi.json",
            "--max-examples=25",
            "--seed=1",
            "--request-timeout=30",
            "--checks=all",
            "--exclude-checks=positive_data_acceptance",  # any bytes are `binary` to a schema, few are an image
            "--no-color",
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        cwd=cloud.folder,
    )
    assert found.returncode == 0, found.stdout[-6000:]
