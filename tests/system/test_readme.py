"""What the README tells a newcomer to type works as it stands, against a running system."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def commands(heading):
    """The shell lines of a section's code blocks, comments cut."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.system
def test_the_second_terminal(start, tmp_path):
    """Each command of "Try it" but `make run`, which is what ``start`` stands for; on the port that it got."""
    cloud = start("--max", "2", "--boot", "1")
    lines = [line for line in commands("Try it") if not line.startswith("make")]
    assert len(lines) >= 4
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    for line in lines:
        typed = line.replace("http://127.0.0.1:8080", cloud.url).replace(".venv/bin/", f"{BIN}/")
        if "skylens" in typed:
            typed += f" --url {cloud.url}"
        done = subprocess.run(
            typed, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (typed, done.stdout, done.stderr)
        if "classify" in typed:
            assert all(name in done.stdout for name in ("airplane", "truck", "frog"))
        if typed.endswith(f"{cloud.url}/"):
            assert done.stdout == "ship"
        if typed.endswith("/v1/images"):
            assert json.loads(done.stdout)["labels"][0]["label"] == "ship"


def test_the_targets_named_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_linked_in_the_documents_exists():
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / link).exists(), (document.name, link)


def test_ci_runs_the_readmes_own_test_command():
    assert "make test" in commands("Test it")
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
