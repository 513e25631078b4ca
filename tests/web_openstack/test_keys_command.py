"""``skylens keys``: the secret is printed once, alone; the file keeps who did what."""

import itertools
import json
import os
import pwd
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from skylens.cli import main
from skylens.clock import FakeClock
from web_openstack import keys_file
from web_openstack.keyring import Limits
from web_openstack.keys import FORM, strategy

USER = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLENS_KEYS_FILE", str(tmp_path / "keys.json"))
    return tmp_path / "keys.json"


@pytest.fixture
def run(path, capsys):
    """Run a command; the lines of its standard output."""

    def go(*words, status=0):
        assert main(["keys", *words]) == status
        out = capsys.readouterr()
        go.told = out.err
        return out.out.splitlines()

    return go


@pytest.fixture
def turn(monkeypatch):
    """Turn the command's clock to so many seconds after its beginning."""
    begin = 1_700_000_000

    def to(seconds):
        monkeypatch.setattr("web_openstack.keys_cli.time", SimpleNamespace(time=lambda: begin + seconds))
        return datetime.fromtimestamp(begin + seconds, UTC)

    to(0)
    return to


def entries(path):
    return keys_file.read(path).keys


def test_a_key_is_made_and_printed_alone_and_lets_in(path, run):
    (key,) = run("add", "acme", "--note", "the dashboard", "--scope", "read", "--scope", "operate")
    assert FORM.fullmatch(key)
    assert key not in run.told
    assert "key " + key.split("_")[1] + " of tenant acme: read, operate; never expires" in run.told
    (entry,) = entries(path)
    assert (entry.note, entry.scopes) == ("the dashboard", ("read", "operate"))
    caller = strategy((), lambda: keys_file.read(path), FakeClock().clock()).caller(
        {"Authorization": f"Bearer {key}"}.get
    )
    assert (caller.tenant, caller.key) == ("acme", entry.id)


def test_a_client_may_submit_and_read_unless_told_otherwise(path, run):
    run("add", "acme")
    assert entries(path)[0].scopes == ("submit", "read")


def test_the_list_shows_no_secret_and_says_what_has_expired(path, run, turn):
    (brief,), (kept,), (gone,) = run("add", "acme", "--expires", "12h"), run("add", "acme"), run("add", "globex")
    run("revoke", gone.split("_")[1])
    turn(12 * 3600)
    shown = "\n".join(run("list", "--json"))
    states = {one["id"]: one["state"] for one in map(json.loads, shown.splitlines())}
    assert states == {brief.split("_")[1]: "expired", kept.split("_")[1]: "valid", gone.split("_")[1]: "revoked"}
    table = "\n".join(run("list"))
    assert all(word in table for word in ("expired", "valid", "revoked", "never"))
    for key, entry in zip((brief, kept, gone), entries(path), strict=True):
        for text in (shown, table, path.read_text()):
            assert key.split("_")[2] not in text
        assert entry.sha256 not in shown + table


def test_a_rotated_key_has_the_same_rights_and_the_old_one_its_overlap(path, run, turn):
    (old,) = run("add", "acme", "--scope", "submit", "--note", "camera", "--expires", "90d")
    now = turn(10 * 86400)
    (new,) = run("rotate", old.split("_")[1], "--overlap", "7d")
    first, second = entries(path)
    assert (second.tenant, second.scopes, second.note) == ("acme", ("submit",), "camera")
    assert first.expires == now + timedelta(days=7)
    assert second.expires == now + timedelta(days=90)
    assert new != old


def test_an_overlap_does_not_make_the_old_key_live_longer(path, run, turn):
    (old,) = run("add", "acme", "--expires", "1h")
    end = entries(path)[0].expires
    run("rotate", old.split("_")[1], "--overlap", "7d", "--expires", "2d")
    assert [entry.expires for entry in entries(path)] == [end, turn(0) + timedelta(days=2)]


def test_a_key_that_is_not_valid_any_more_is_not_rotated(path, run):
    (key,) = run("add", "acme")
    name = key.split("_")[1]
    run("revoke", name)
    run("rotate", name, "--overlap", "1d", status=2)
    assert f"key {name} is revoked; make another one" in run.told


def test_revoking_twice_is_once(path, run, turn):
    (key,) = run("add", "acme")
    run("revoke", key.split("_")[1])
    first = entries(path)
    turn(60)
    run("revoke", key.split("_")[1])
    assert entries(path) == first


@pytest.mark.parametrize("words", [("revoke", "00000000"), ("rotate", "00000000", "--overlap", "1d")])
def test_an_unknown_id_is_said(run, words):
    run("add", "acme")
    run(*words, status=2)
    assert "no key has the id '00000000'; `skylens keys list` shows" in run.told


def test_limits_are_set_one_by_one_shown_and_taken_away(path, run):
    run("add", "acme")
    assert run("limit", "acme") == ["acme: no limits of its own"]
    run("limit", "acme", "--rate", "100/second", "--per-day", "9")
    assert run("limit", "acme", "--outstanding", "5") == [
        "acme: at most 100/second, at most 5 outstanding, at most 9 a day"
    ]
    assert "acme: at most 100/second, at most 5 outstanding, at most 9 a day" in run("list")
    assert keys_file.read(path).limits == {"acme": Limits(rate="100/second", outstanding=5, per_day=9)}
    run("limit", "acme", "--rate", "none", "--outstanding", "0", "--per-day", "0")
    assert keys_file.read(path).limits == {}


def test_who_did_what_is_kept(run, turn):
    (key,) = run("add", "acme", "--scope", "read")
    name = key.split("_")[1]
    (new,) = run("rotate", name, "--overlap", "1d")
    run("revoke", name)
    run("limit", "acme", "--per-day", "9")
    assert run("history") == [
        f"2023-11-14 22:13 UTC  {USER}  {what}"
        for what in (
            f"added key {name} of tenant acme: read; never expires",
            f"rotated {name} until 2023-11-15 22:13 UTC: key {new.split('_')[1]} of tenant acme: read; never expires",
            f"revoked {name}",
            "limited acme: at most 9 a day",
        )
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "Acme"), "no tenant"),
        (("add", "acme", "--expires", "soon"), "such as 90d"),
        (("add", "acme", "--expires", "999999w"), "more than a century"),
        (("add", "acme", "--scope", "all"), "invalid choice"),
        (("limit", "acme", "--rate", "fast"), "such as 100/second"),
        (("limit", "acme", "--per-day", "-1"), "not a whole number"),
        (("limit", "acme", "--per-day", "many"), "not a whole number"),
        (("rotate", "00000000"), "--overlap"),
        ((), "COMMAND"),
    ],
)
def test_a_wrong_word_is_named(path, capsys, words, said):
    with pytest.raises(SystemExit) as end:
        main(["keys", *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err
    assert not path.exists()


def test_without_a_file_there_is_nothing_to_list_or_revoke(run):
    for words in (("list",), ("revoke", "00000000"), ("history",), ("limit", "acme", "--per-day", "9")):
        run(*words, status=2)
        assert "there is no keys file" in run.told


def test_a_damaged_file_is_never_written_over(path, run):
    path.write_text("{")
    path.chmod(0o600)
    run("add", "acme", status=2)
    assert "is damaged" in run.told
    assert path.read_text() == "{"


def test_a_folder_that_cannot_be_written_is_said(run, path):
    run("--file", "/proc/nowhere/keys.json", "add", "acme", status=2)
    assert "keys file /proc/nowhere/keys.json cannot be written" in run.told


def test_which_file_has_to_be_said(run, monkeypatch):
    monkeypatch.delenv("SKYLENS_KEYS_FILE")
    run("list", status=2)
    assert "which keys file?" in run.told


def test_many_at_once_lose_nobodys_key(path):
    def make(number):
        command = [sys.executable, "-m", "skylens.cli", "keys", "--file", str(path), "add", f"t{number}"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    with ThreadPoolExecutor(2) as clients:
        made = list(clients.map(make, range(6)))
    assert {key.split("_")[1] for key in made} == {entry.id for entry in entries(path)}
    assert len(keys_file.read(path).history) == 6


def test_the_help_shows_every_command_at_work(capsys):
    with pytest.raises(SystemExit):
        main(["keys", "--help"])
    out = capsys.readouterr().out
    for word in itertools.chain(("add", "list", "rotate", "revoke", "limit"), ("submit", "read", "delete", "operate")):
        assert word in out
