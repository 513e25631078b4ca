"""A key is rotated and revoked in the file of a web tier under load."""

import argparse
import re
import secrets
import threading
from contextlib import contextmanager

import pytest
from keyed import DAY, NOW, ask, header, serving, until
from web_tier import picture

from skylens.clock import Clock
from web_openstack.keys_cli import COMMANDS, Desk
from web_openstack.keys_file import KeysWatch

PNG = {"Content-Type": "image/png", "Prefer": "respond-async"}


@pytest.fixture
def command(tmp_path, capsys):
    """Run ``skylens keys`` at the fake clock's beginning; the key that it prints, if it does."""

    def run(action, **given):
        desk = Desk(tmp_path / "keys.json", NOW, "tester", secrets.token_hex)
        words = {"scope": None, "expires": None, "note": "", **given}
        COMMANDS[action](desk, argparse.Namespace(**words))
        printed = re.search(r"^sk_\w+$", capsys.readouterr().out, re.MULTILINE)  # the server's log is there as well
        return printed and printed[0]

    return run


@contextmanager
def load(port, key, clients=4):
    """Clients that go on sending and asking with a key; the list of statuses so far."""
    over, statuses = threading.Event(), []

    def go_on():
        while not over.is_set():
            statuses.append(ask(port, "POST", "/v1/images", picture(), PNG | header(key))[0])
            statuses.append(ask(port, "GET", "/v1/status", headers=header(key))[0])

    threads = [threading.Thread(target=go_on) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def test_within_the_overlap_nobody_is_refused_and_after_it_the_old_key_is(make_web, command, tmp_path):
    old = command("add", tenant="acme")
    web = make_web(ring=KeysWatch(tmp_path / "keys.json", Clock()).ring, max_predicted_wait=86400)
    with serving(web) as port, load(port, old) as with_old:
        until(lambda: len(with_old) > 20)
        new = command("rotate", id=old.split("_")[1], overlap=7 * DAY)
        assert new != old
        until(lambda: ask(port, "GET", "/v1/status", headers=header(new))[0] == 200)
        before = len(with_old)
        with load(port, new) as with_new:
            until(lambda: len(with_old) > before + 40 and len(with_new) > 40)
        assert set(with_old) == {200, 202}
        assert set(with_new) == {200, 202}
        web.clock.sleep(7 * 86400)
        until(lambda: with_old[-1] == 401)
        assert ask(port, "GET", "/v1/status", headers=header(new))[0] == 200


def test_a_revoked_key_is_refused_without_a_restart(make_web, command, tmp_path):
    key = command("add", tenant="acme")
    web = make_web(ring=KeysWatch(tmp_path / "keys.json", Clock()).ring)
    with serving(web) as port:
        assert ask(port, "GET", "/v1/status", headers=header(key))[0] == 200
        command("revoke", id=key.split("_")[1])
        until(lambda: ask(port, "GET", "/v1/status", headers=header(key))[0] == 401)
