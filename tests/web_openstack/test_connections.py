"""The main loop's turns: what they look at, what they forget, and which thread is woken."""

import contextlib
import socket

import pytest

from web_openstack.connections import Connections


class Channel:
    """One end of a connection, which counts how often it is asked what it waits for."""

    accepting = False

    def __init__(self, map_, end=None):
        self.socket, self.other = (end, None) if end else socket.socketpair()
        self.asked, self.read, self.wants = 0, b"", [True]
        self._fileno = self.socket.fileno()
        self.map = map_
        map_[self._fileno] = self

    def readable(self):
        self.asked += 1
        return self.wants.pop(0) if len(self.wants) > 1 else self.wants[0]

    def writable(self):
        return False

    def handle_read_event(self):
        self.read += self.socket.recv(100)

    def close(self):
        fd, self._fileno = self._fileno, None
        del self.map[fd]
        self.socket.close()
        self.other.close()

    handle_close = close


@pytest.fixture
def connections():
    made = Connections()
    yield made
    made.close()


def test_a_turn_asks_only_the_connection_that_was_at_work(connections):
    channels = [Channel(connections) for _ in range(20)]
    connections.turn(0)
    for channel in channels:
        channel.asked = 0
    channels[7].other.send(b"x")
    connections.turn(0)
    connections.turn(0)
    assert [number for number, channel in enumerate(channels) if channel.asked] == [7]
    assert channels[7].read == b"x"


def test_urgent_data_which_nobody_reads_is_no_news():
    with (
        contextlib.closing(Connections()) as connections,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        channel = Channel(connections, accepted)
        client.send(b"!", socket.MSG_OOB)
        client.send(b"x")
        while not channel.read:
            connections.turn(1)
        connections.turn(0)
        channel.asked = 0
        connections.turn(0.05)
        assert (channel.asked, channel.read) == (0, b"x")
        client.send(b"y")
        connections.turn(10)
        assert channel.read == b"xy"


def test_nothing_is_read_from_a_connection_that_wants_nothing_until_it_says_so(connections):
    channel = Channel(connections)
    channel.wants = [False]
    channel.other.send(b"x")
    connections.turn(0)
    connections.turn(0)
    assert channel.read == b""
    channel.wants = [True]
    assert connections.touch(channel)
    connections.turn(0)
    assert channel.read == b"x"
    connections.turn(0)
    assert not connections.touch(channel)


def test_a_thread_that_changes_a_channel_while_the_loop_looks_at_it_is_not_overlooked(connections):
    channel = Channel(connections)
    channel.other.send(b"x")
    channel.wants = [True, False]
    connections.turn(0)
    assert channel.read == b""
    assert not connections.touch(channel)


def test_a_connection_that_is_closed_is_forgotten_and_its_number_may_come_again(connections):
    channel = Channel(connections)
    connections.turn(0)
    channel.close()
    assert not connections.touch(channel)
    following = Channel(connections)
    following.other.send(b"x")
    connections.turn(0)
    assert following.read == b"x"


def test_a_connection_that_somebody_closed_under_the_loop_is_dropped_and_the_loop_goes_on(connections):
    broken, well = Channel(connections), Channel(connections)
    broken.socket.close()  # its number stays in the map
    well.other.send(b"x")
    connections.turn(0)
    assert broken._fileno is None
    connections.turn(0)
    assert well.read == b"x"
