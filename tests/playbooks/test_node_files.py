"""Files are written on a node whole or not at all, and only when they differ. Their owner is who writes, there root."""

import grp
import json
import os
import subprocess

import pytest
from rendered import ROLES, need

SCRIPT = ROLES / "node_files" / "files" / "write_files.py"
GROUP = grp.getgrgid(os.getgid()).gr_name


def write(*entries, absent=(), check=False, rc=0):
    """The paths that were written, or what was wrong."""
    command = [need("/usr/bin/python3"), "-ISBc", SCRIPT.read_text(), *(["--check"] if check else [])]
    wanted = [{"mode": "0600", "group": GROUP, **entry} for entry in entries]
    given = json.dumps({"wanted": wanted, "absent": list(absent)})
    done = subprocess.run(command, input=given, text=True, capture_output=True, check=False)
    assert done.returncode == rc, done.stderr
    return done.stderr if rc else done.stdout.split()


def test_a_file_is_written_once_and_with_its_folder(tmp_path):
    path = tmp_path / "new" / "file"
    entry = {"path": str(path), "content": "häß\n"}
    assert write(entry) == [str(path)]
    assert write(entry) == []
    assert path.read_text() == "häß\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [{"content": "other"}, {"mode": "0644"}])
def test_another_content_or_mode_is_written(tmp_path, change):
    entry = {"path": str(tmp_path / "file"), "content": "text"}
    write(entry)
    assert write({**entry, **change}) == [entry["path"]]
    assert write({**entry, **change}) == []


def test_a_folder_gets_its_mode(tmp_path):
    entry = {"path": str(tmp_path / "folder"), "mode": "0700"}
    assert write(entry) == [entry["path"]]
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700
    assert write(entry) == []


def test_check_mode_says_what_it_would_write_even_where_a_group_is_missing(tmp_path):
    entry = {"path": str(tmp_path / "file"), "content": "text", "group": "no-such-group"}
    assert write(entry, check=True) == [entry["path"]]
    assert not (tmp_path / "file").exists()
    assert "no-such-group" in write(entry, rc=1)


def test_a_file_that_is_not_valid_leaves_the_old_one(tmp_path):
    entry = {"path": str(tmp_path / "file"), "content": "good\n", "validate": ["grep", "-q", "good"]}
    write(entry)
    said = write({**entry, "content": "bad\n"}, rc=1)
    assert f"{entry['path']} would be wrong, and was left as it is" in said
    assert (tmp_path / "file").read_text() == "good\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_may_not_be_there_is_removed_once_the_others_are_written(tmp_path):
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    entry = {"path": old, "content": "secret\n"}
    write(entry)
    assert write({**entry, "path": new}, absent=[old], check=True) == [new, old]
    assert write({**entry, "path": new}, absent=[old]) == [new, old]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert write({**entry, "path": new}, absent=[old]) == []
