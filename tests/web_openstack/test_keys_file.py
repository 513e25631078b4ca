"""The keys file: whole or not at all, for its owner's hands only, and read again when it has changed."""

import json
import os
import stat
import threading

import pytest
import structlog
from keyed import NOW, Keys

from skylens.clock import FakeClock
from skylens.errors import SettingsError
from web_openstack import keys_file
from web_openstack.keyring import Keyring, Limits
from web_openstack.keys_file import KeysWatch


@pytest.fixture
def keys():
    made = Keys()
    made.add("one", note="a note")
    made.ring = made.ring.limiting("acme", Limits(rate="5/second", outstanding=7, per_day=9)).noting(NOW, "root", "x")
    return made


@pytest.fixture
def path(tmp_path, keys):
    keys_file.write(tmp_path / "keys.json", keys.ring)
    return tmp_path / "keys.json"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_written_is_read(path, keys):
    assert keys_file.read(path) == keys.ring
    assert json.loads(path.read_text())["limits"]["acme"] == {"rate": "5/second", "outstanding": 7, "per_day": 9}


def test_a_new_file_is_its_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        keys_file.write(tmp_path / "new.json", Keyring())
    finally:
        os.umask(before)
    assert mode(tmp_path / "new.json") == 0o600


@pytest.mark.parametrize(("there", "then"), [(0o640, 0o640), (0o644, 0o640), (0o666, 0o640), (0o400, 0o400)])
def test_a_group_that_may_read_it_still_may_and_nobody_else(path, there, then):
    path.chmod(there)
    keys_file.write(path, Keyring())
    assert mode(path) == then


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, keys, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keys_file.write(path, Keyring())
    assert keys_file.read(path) == keys.ring
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_writer_left_is_in_nobodys_way(path):
    (path.parent / f".{path.name}.new").write_text("half a fi")
    keys_file.write(path, Keyring())
    assert keys_file.read(path) == Keyring()
    assert list(path.parent.iterdir()) == [path]


def test_of_two_writers_one_waits(path):
    order, second = [], threading.Event()

    def write():
        second.set()
        with keys_file.locked(path):
            order.append("second")

    thread = threading.Thread(target=write)
    with keys_file.locked(path):
        thread.start()
        second.wait(30)
        thread.join(0.2)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"keys": [{"id": "00000000"}]}',
        '{"kyes": []}',
        '{"limits": {"acme": {"rate": "fast"}}}',
        '{"limits": {"acme": {"outstanding": -1}}}',
    ],
)
def test_a_damaged_file_is_refused_and_says_what_to_do(path, text):
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"keys.json is damaged: .*; put its last good copy back"):
        keys_file.read(path)


def test_a_missing_file_is_refused_and_says_how_it_is_made(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no keys file .*; make it: skylens keys --file .* add TENANT"):
        KeysWatch(tmp_path / "keys.json", FakeClock().clock())


@pytest.mark.parametrize("others", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(path, others):
    path.chmod(others)
    with pytest.raises(SettingsError, match=f"may be written by others \\(mode {others:o}\\): chmod go-w"):
        keys_file.read(path)


@pytest.mark.parametrize(("readable", "warned"), [(0o644, True), (0o640, False), (0o600, False)])
def test_a_file_that_all_may_read_is_read_with_a_warning(path, keys, readable, warned):
    path.chmod(readable)
    with structlog.testing.capture_logs() as lines:
        assert keys_file.read(path) == keys.ring
    assert [line["event"] for line in lines] == ["keys.readable_by_all"] * warned


class Watched:
    """A watch, and a clock to turn."""

    def __init__(self, path):
        self.clock = FakeClock()
        self.watch = KeysWatch(path, self.clock.clock())

    def look(self):
        """What is in force a second later, and what was logged."""
        self.clock.sleep(1)
        with structlog.testing.capture_logs() as lines:
            return self.watch.ring(), [line["event"] for line in lines]


def test_a_change_counts_within_a_second(path, keys):
    watched = Watched(path)
    keys_file.write(path, Keyring())
    assert watched.watch.ring() == keys.ring
    assert watched.look() == (Keyring(), ["keys.read"])
    assert watched.look() == (Keyring(), [])


def test_a_damaged_new_file_is_logged_once_and_the_last_good_one_stays(path, keys):
    watched = Watched(path)
    path.write_text("{")
    assert watched.look() == (keys.ring, ["keys.not_read"])
    assert watched.look() == (keys.ring, [])
    path.unlink()
    assert watched.look() == (keys.ring, ["keys.not_read"])
    assert watched.look() == (keys.ring, [])
    keys_file.write(path, Keyring())
    assert watched.look() == (Keyring(), ["keys.read"])


def test_a_file_that_others_may_write_from_now_on_is_noticed_and_not_believed(path, keys):
    watched = Watched(path)
    path.chmod(0o666)
    assert watched.look() == (keys.ring, ["keys.not_read"])


def test_an_older_copy_put_back_counts(path, keys, tmp_path):
    (tmp_path / "copy").write_bytes(path.read_bytes())
    (tmp_path / "copy").chmod(0o600)
    os.utime(tmp_path / "copy", (1, 1))
    keys_file.write(path, Keyring())
    watched = Watched(path)
    (tmp_path / "copy").rename(path)
    assert watched.look() == (keys.ring, ["keys.read"])


def test_while_one_thread_looks_the_others_go_on(path, keys, monkeypatch):
    watched, looking, go_on = Watched(path), threading.Event(), threading.Event()

    def slow(_):
        looking.set()
        assert go_on.wait(30)
        return Keyring()

    keys_file.write(path, Keyring())
    monkeypatch.setattr(keys_file, "read", slow)
    watched.clock.sleep(1)
    thread = threading.Thread(target=watched.watch.ring)
    thread.start()
    assert looking.wait(30)
    watched.clock.sleep(1)
    assert watched.watch.ring() == keys.ring
    go_on.set()
    thread.join(30)
    assert watched.watch.ring() == Keyring()
