"""One request as it comes in, without a connection: what its parser asks of gate and rooms, and when."""

import pytest
from waitress.adjustments import Adjustments

from skylens.clock import FakeClock
from web_openstack import incoming
from web_openstack.callers import SCOPES, Caller, Open
from web_openstack.gate import Gate
from web_openstack.room import Room

MOST = 2 * 1024**2


def test_a_wait_that_was_over_before_it_does_not_end_the_next():
    told, room = [], Room(MOST, FakeClock())
    before = room.ask("acme", MOST // 2, lambda: None)

    class AtOnce:
        """A gate that says at once who it is, and once more when nobody waits for it."""

        def ready(self, _header, tell):
            told.append(tell)
            return True

        def verdict(self, _header):
            return Caller("acme", "a key", frozenset(SCOPES))

    parser = incoming.Parser(Adjustments(), AtOnce(), room, None, peer="", turned_away=lambda: None, tell=lambda: None)
    parser.received(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MOST // 2}\r\n\r\n".encode())
    told[0]()
    assert (parser.go_on(), parser.refused, bool(parser.waiting)) == (b"", None, True)
    room.leave(before)
    assert (parser.go_on(), parser.refused, parser.waiting) == (b"", None, None)


@pytest.mark.parametrize(
    ("proxy", "said", "sharer"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("", "192.0.2.7", "127.0.0.1"),
        ("10.0.0.1", "192.0.2.7", "127.0.0.1"),
    ],
)
def test_where_nobody_is_asked_who_they_are_networks_share_the_room(proxy, said, sharer):
    room, given = (
        Room(MOST, FakeClock()),
        {"trusted_proxy": proxy, "trusted_proxy_headers": "x-forwarded-for"} if proxy else {},
    )
    parser = incoming.Parser(
        Adjustments(**given), Gate(Open()), room, None, peer="127.0.0.1", turned_away=lambda: None, tell=lambda: None
    )
    forwarded = f"X-Forwarded-For: {said}\r\n" if said else ""
    parser.received(f"POST / HTTP/1.1\r\nHost: a\r\n{forwarded}Content-Length: {MOST // 2}\r\n\r\n".encode())
    assert dict(room._own) == {sharer: MOST // 2}


def test_json_that_is_refused_asks_for_no_memory():
    room, memory = Room(4 * 1024**2, FakeClock()), Room(4 * 1024**2, FakeClock())
    for one in (room, memory):
        one.ask("other", 2 * 1024**2 - 1, lambda: None)
    parser = incoming.Parser(
        Adjustments(), Gate(Open()), room, memory, peer="acme", turned_away=lambda: None, tell=lambda: None
    )
    head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for part in (head.encode(), b"180000\r\n" + bytes(0x180000)):
        parser.received(part)
    assert (parser.completed, bool(parser.refused), parser.waiting) == (True, True, None)
    assert memory.taken() == 2 * 1024**2 - 1
