"""``skylens settings`` and docs/settings.md: every setting is there, with a meaning."""

from pathlib import Path

import pytest

from skylens.cli import COMMANDS, main, parser
from skylens.cli.settings import markdown, sections
from skylens.settings import PREFIX, TIERS

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
ROWS = [(title, row) for title, rows in sections() for row in rows]


def test_docs_settings_md_is_what_the_command_prints(capsys):
    assert main(["settings", "--markdown"]) == 0
    assert DOCS.read_text().endswith("\n\n" + capsys.readouterr().out), (
        "out of date: keep the heading and put the output of `skylens settings --markdown` below it"
    )


def test_every_setting_of_every_tier_is_listed():
    listed = {row.variable for _, row in ROWS}
    assert listed == {PREFIX + name.upper() for tier in TIERS for name in tier.model_fields}


@pytest.mark.parametrize(("title", "row"), ROWS, ids=lambda value: getattr(value, "variable", ""))
def test_every_setting_has_a_meaning_and_allowed_values(title, row):
    assert row.meaning.endswith("."), f"{row.variable} of {title!r} lacks its sentence"
    assert row.allowed


def test_a_pipe_in_a_pattern_does_not_break_the_table():
    for line in markdown().splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") == 5, line


def test_the_list_for_people_names_variables_and_defaults(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["settings"]) == 0
    out = capsys.readouterr().out
    assert "SKYLENS_VISIBILITY_TIMEOUT" in out
    assert "whole number from 5 to 43200" in out


@pytest.mark.parametrize("command", ["classify", "status", "settings"])
def test_help_shows_examples(command, capsys):
    assert command in COMMANDS
    with pytest.raises(SystemExit) as stopped:
        parser(command).parse_args([command, "--help"])
    assert stopped.value.code == 0
    assert "examples:" in capsys.readouterr().out
