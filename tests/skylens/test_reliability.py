"""Each test that ``docs/reliability.md`` calls a proof exists, and runs when the page says it does."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = re.findall(r"`([a-z_]+/test_\w+\.py)::(test_\w+)`(?: \((\w+)\))?", PAGE)
LATER = {"soak", "nightly", "openstack", "guest"}


def test_every_test_that_is_named_exists():
    assert len(NAMED) > 40
    missing = [
        f"{file}::{name}"
        for file, name, _ in NAMED
        if not re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_what_make_test_does_not_run_is_marked_and_nothing_else():
    for file, name, told in NAMED:
        text = (ROOT / "tests" / file).read_text()
        above = re.search(rf"((?:^@.*\n|^    .*\n|^\)\n)*)^def {name}\(", text, re.MULTILINE)[1]
        whole = re.search(r"^pytestmark = .*", text, re.MULTILINE)
        marks = set(re.findall(r"pytest\.mark\.(\w+)", above + (whole[0] if whole else ""))) & LATER
        assert told in marks if told else not marks, (file, name, marks, told)


def test_every_promise_names_its_proof():
    rows = [line for line in PAGE.partition("## Slow clients")[0].splitlines() if line.startswith("|")]
    promises = [row for row in rows if not row.startswith(("|---", "| promise"))]
    assert all("::test_" in row for row in promises), [row[:80] for row in promises if "::test_" not in row]
