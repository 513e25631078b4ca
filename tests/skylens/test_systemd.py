"""What a tier and systemd say to each other, over a real datagram socket and with real listening sockets."""

import os
import socket
import sys

import pytest
from service_manager import ServiceManager

from skylens import systemd
from skylens.clock import FakeClock
from skylens.errors import SettingsError
from skylens.systemd import SIGNS, STATUS_EVERY, Notifier

PID = 4711
FAR = 200
"""Where the tests put inherited sockets: 3 is the test runner's own."""


@pytest.fixture
def time():
    return FakeClock()


@pytest.fixture
def manager(tmp_path):
    with ServiceManager(tmp_path, watchdog=60) as made:
        yield made


@pytest.mark.parametrize("abstract", [False, True])
def test_each_message_reaches_the_manager(tmp_path, time, abstract):
    with ServiceManager(tmp_path, abstract=abstract) as manager:
        notifier = Notifier(manager.environ, PID, time.clock())
        notifier.ready("serves")
        notifier.status("works")
        notifier.stopping("drains")
        assert manager.heard() == ["READY=1", "STATUS=serves", "STATUS=works", "STOPPING=1", "STATUS=drains"]


def test_a_status_is_one_line_whatever_is_in_it(manager, time):
    Notifier(manager.environ, PID, time.clock()).status("a proxy's\nMAINPID=1\r\npage")
    assert manager.heard() == ["STATUS=a proxy's MAINPID=1 page"]


def test_a_status_is_told_when_it_changed_and_not_too_often(manager, time):
    notifier = Notifier(manager.environ, PID, time.clock())
    for words in ("one", "one", "two", "three"):
        notifier.status(words)
    assert manager.heard() == ["STATUS=one"]
    time.sleep(STATUS_EVERY)
    notifier.status("three")
    time.sleep(STATUS_EVERY)
    notifier.status("three")
    assert manager.heard() == ["STATUS=one", "STATUS=three"]


def test_signs_of_life_are_several_within_the_watchdogs_time_and_not_one_a_turn(manager, time):
    notifier = Notifier(manager.environ | {"WATCHDOG_PID": str(PID)}, PID, time.clock())
    for _ in range(600):
        notifier.alive()
        time.sleep(0.1)
    assert SIGNS - 1 <= manager.heard().count("WATCHDOG=1") <= SIGNS


@pytest.mark.parametrize(
    "changes", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "soon"}]
)
def test_a_watchdog_that_is_not_ours_gets_no_signs_of_life(manager, time, changes):
    Notifier(manager.environ | changes, PID, time.clock()).alive()
    assert manager.heard() == []


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "@nobody-listens-here", "vsock:2:1", "/" + "x" * 200])
def test_without_a_manager_that_hears_a_tier_goes_on(time, name):
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1"}, PID, time.clock())
    notifier.ready("serves")
    notifier.status("works")
    notifier.alive()
    notifier.stopping("drains")


def test_a_manager_that_does_not_listen_holds_nobody_up_and_hears_the_last_status_later(tmp_path, time):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60"}, PID, time.clock())
        for number in range(2000):
            notifier.status(f"turn {number}")
            notifier.alive()
            time.sleep(60)
        while not ears.recv(100).endswith(b"turn 1999"):
            notifier.status("turn 1999")


def test_children_cannot_speak_for_the_tier():
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_PID": "1", "LISTEN_PID": "1", "LISTEN_FDS": "1", "PATH": "/bin"}
    systemd.forget(environ)
    assert environ == {"PATH": "/bin"}


def put(*socks):
    """Copies of the sockets where ``inherited`` is told to look; it owns them from then on."""
    for number, sock in enumerate(socks, FAR):
        os.dup2(sock.fileno(), number)


def told(count=1, names="public", pid=PID):
    return {"LISTEN_PID": str(pid), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}


def test_listening_sockets_are_inherited_by_name_and_close_when_another_program_is_executed():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        put(one, two)
        found = systemd.inherited(told(2, "public:internal"), PID, FAR)
        assert {name: sock.getsockname() for name, sock in found.items()} == {
            "public": one.getsockname(),
            "internal": two.getsockname(),
        }
        assert not any(os.get_inheritable(sock.fileno()) for sock in found.values())
        assert systemd.address(found["public"]) == f"127.0.0.1:{one.getsockname()[1]}"
        for sock in found.values():
            sock.close()


@pytest.mark.parametrize("environ", [{}, told(pid=1), {"LISTEN_PID": "", "LISTEN_FDS": "1"}])
def test_sockets_for_another_process_are_not_ours(environ):
    assert systemd.inherited(environ, PID, FAR) == {}


@pytest.mark.parametrize(
    "environ",
    [
        told(2),
        told(2, "public:public"),
        told("", ""),
        told("two", "public:internal"),
        told(-1),
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "2"},
    ],
)
def test_sockets_without_a_name_each_are_refused(environ):
    with pytest.raises(SettingsError, match="each socket needs a name of its own"):
        systemd.inherited(environ, PID, FAR)


def test_what_is_no_listening_tcp_socket_is_refused(tmp_path):
    with (
        socket.socket() as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(str(tmp_path / "socket"))
        local.listen()
        for sock in (silent, datagrams, local):
            put(sock)
            with pytest.raises(SettingsError, match="'public' is no listening TCP socket"):
                systemd.inherited(told(), PID, FAR)
    with pytest.raises(SettingsError, match="'public' cannot be used"):
        systemd.inherited(told(), PID, FAR)
    with (tmp_path / "file").open("wb") as file:
        put(file)
        with pytest.raises(SettingsError, match="'public' cannot be used"):
            systemd.inherited(told(), PID, FAR)
        os.close(FAR)


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (("0.0.0.0", 80), "0.0.0.0:80"),
        (("::", 80, 0, 0), "[::]:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1]:80"),
    ],
)
def test_an_address_reads_as_in_the_settings(bound, expected):
    class Bound:
        def getsockname(self):
            return bound

    assert systemd.address(Bound()) == expected


def test_a_process_finds_its_sockets_where_systemd_puts_them(manager):
    port = manager.listen("public")
    code = (
        "import os; from skylens import systemd;"
        "print({name: systemd.address(one) for name, one in systemd.inherited(os.environ, os.getpid()).items()})"
    )
    with manager.start([sys.executable, "-c", code], dict(os.environ), stdout=-1, text=True) as process:
        output, _ = process.communicate(timeout=60)
    assert output.strip() == str({"public": f"127.0.0.1:{port}"})
