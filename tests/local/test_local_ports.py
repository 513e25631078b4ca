import socket

import pytest

from skylens.local.ports import Port, PortTakenError


def listen(number):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", number))
    server.listen()
    return server


def test_a_port_that_somebody_listens_on_is_refused_with_the_next_to_try():
    with listen(0) as server:
        number = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {number} is taken; try --port {number + 1}"):
            Port(number)


def test_a_reserved_port_can_be_served_by_a_child_again_and_again():
    port = Port()
    for _ in range(2):
        with listen(port.number), socket.create_connection(("127.0.0.1", port.number)):
            pass
    port.close()


def test_a_reserved_port_is_given_to_nobody_else():
    ports = [Port() for _ in range(50)]
    assert len({port.number for port in ports}) == 50
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", ports[0].number))
    for port in ports:
        port.close()


def test_a_fixed_port_is_free_again_at_once_after_its_service_ended():
    with listen(0) as server:
        number = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", number))
        accepted, _ = server.accept()
        accepted.close()  # our side closes first, so it keeps the connection in TIME_WAIT
        client.close()
    Port(number).close()
