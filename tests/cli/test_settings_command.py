"""``skylens settings``: docs/settings.md has every setting, with a meaning; ``--check`` reads the lines of one tier."""

from io import StringIO
from pathlib import Path

import pytest

from skylens.cli import COMMANDS, main, parser
from skylens.cli.settings import CHECKED, markdown, sections
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


def check(tier, lines, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO(lines))
    status = main(["settings", "--check", tier])
    return status, capsys.readouterr().err


@pytest.mark.parametrize("tier", CHECKED)
def test_check_accepts_the_defaults_of_each_tier(tier, capsys, monkeypatch):
    assert check(tier, "", capsys, monkeypatch) == (0, "")


def test_check_reads_lines_as_an_environment_file_has_them(capsys, monkeypatch):
    lines = "# shared\n\nSKYLENS_DEPLOYMENT=lab\n  SKYLENS_API_KEYS=a:" + "0" * 64 + " b:" + "1" * 64 + "\n"
    assert check("web", lines + "SKYLENS_LISTEN=0.0.0.0:8080\n", capsys, monkeypatch) == (0, "")


@pytest.mark.parametrize(
    ("tier", "lines", "told"),
    [
        ("scaler", "SKYLENS_MAXIMUM=0", ["SKYLENS_MAXIMUM='0'", "greater than or equal to 1"]),
        ("scaler", "SKYLENS_MINIMUM=9\nSKYLENS_MAXIMUM=5", ["minimum 9", "maximum 5"]),
        ("web", "SKYLENS_MAX_WAIT=5", ["SKYLENS_MAX_WAIT is not", "did you mean SKYLENS_MAX_WAITS?"]),
        ("web", "SKYLENS_SLOTS=5", ["SKYLENS_SLOTS is not a setting of this tier; it is one of worker"]),
        ("worker", "SKYLENS_XYZZY=5", ["SKYLENS_XYZZY is not a setting of this tier\n"]),
        ("web", "SKYLENS_DEPLOYMENT=lab\nMAXIMUM=5", ["line 2 should read SKYLENS_NAME=value: 'MAXIMUM=5'"]),
        ("web", "SKYLENS_API_KEYS=lab:geheim", ["SKYLENS_API_KEYS=(hidden)"]),
    ],
)
def test_check_says_which_line_is_wrong_and_why(tier, lines, told, capsys, monkeypatch):
    status, err = check(tier, lines, capsys, monkeypatch)
    assert status == 2
    for words in told:
        assert words in err
    assert "geheim" not in err


def test_check_ignores_what_the_shell_has_set(capsys, monkeypatch):
    monkeypatch.setenv("SKYLENS_MAXIMUM", "none at all")
    monkeypatch.setenv("SKYLENS_NO_SUCH", "1")
    assert check("scaler", "SKYLENS_MINIMUM=1", capsys, monkeypatch) == (0, "")


def test_check_knows_no_other_tier(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        check("database", "", capsys, monkeypatch)
    assert "'database'" in capsys.readouterr().err
