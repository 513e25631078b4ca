"""What passes between a tier and systemd: listening sockets one way, readiness and signs of life the other.

Started by anything else, a tier inherits nothing and tells nobody. Reads only the environment that it is given.
"""

import math
import os
import socket
import struct
from collections.abc import Mapping, MutableMapping

from skylens import logs
from skylens.clock import Clock
from skylens.errors import SettingsError

FIRST = 3
"""The first inherited file descriptor (sd_listen_fds(3))."""
STATUS_EVERY = 5.0
"""Least seconds between two status lines."""
SIGNS = 6
"""Signs of life within the watchdog's time."""
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_PATIENCE = 1
"""Whole seconds that a busy systemd gets to take a message which must not be lost; for the others nobody waits."""

log = logs.get(__name__)


class Notifier:
    """Tells the service manager how this process is (sd_notify(3)). Never raises; says nothing when nobody listens.

    ``alive`` and ``status`` belong to one thread, the main loop's, and may be called at each turn.
    """

    def __init__(self, environ: Mapping[str, str], pid: int, clock: Clock) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = name.replace("@", "\0", 1) if name.startswith("@") else name
        self._socket: socket.socket | None = None
        self._clock, self._watchdog = clock, _watchdog(environ, pid)
        self._signed = self._said_at = -math.inf
        self._said, self._failed = "", False

    def ready(self, status: str) -> None:
        """The start is over: what this process is for, it does now."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def stopping(self, status: str) -> None:
        """It takes nothing more in. From now on systemd's TimeoutStopSec runs."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """What it does, for people; said when that changed, and not too often."""
        now = self._clock.ticks()
        if status != self._said and now - self._said_at >= STATUS_EVERY:
            self._said_at = now
            if self._send(f"STATUS={_line(status)}", socket.MSG_DONTWAIT):
                self._said = status

    def alive(self) -> None:
        """Feed the watchdog, if systemd runs one for this process."""
        now = self._clock.ticks()
        if self._watchdog and now - self._signed >= self._watchdog / SIGNS:
            self._signed = now
            self._send("WATCHDOG=1", socket.MSG_DONTWAIT)

    def _send(self, message: str, flags: int = 0) -> bool:
        """Whether it was taken."""
        if not self._address:
            return False
        try:
            if self._socket is None:  # kept open: signs of life go on when files run out
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _PATIENCE, 0))
            self._socket.sendto(message.encode(), flags, self._address)
        except OSError as error:
            if not self._failed:
                log.warning("systemd.not_told", error=str(error))
            self._failed = True
            return False
        return True


def inherited(environ: Mapping[str, str], pid: int, first: int = FIRST) -> dict[str, socket.socket]:
    """The listening sockets that systemd opened for process ``pid``, by their FileDescriptorName.

    They become ours and close when another program is executed; the environment stays as it is (``forget``). systemd
    keeps its own copy of each: what we close goes on taking connections in, for the next process to accept.
    Raises SettingsError for anything but named listening TCP sockets. ``first``: for tests.
    """
    if environ.get("LISTEN_PID") != str(pid):  # meant for a parent of ours, or nothing
        return {}
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if not (count.isascii() and count.isdigit()) or int(count) != len(names) or len(set(names)) != len(names):
        raise SettingsError(
            f"LISTEN_FDS={count}, LISTEN_FDNAMES={':'.join(names)}: each socket needs a name of its own"
        )
    return {name: _listening(name, first + number) for number, name in enumerate(names)}


def address(sock: socket.socket) -> str:
    """``host:port`` that a socket is bound to, as the settings write it."""
    host, port = sock.getsockname()[:2]
    return f"[{host.partition('%')[0]}]:{port}" if ":" in host else f"{host}:{port}"


def forget(environ: MutableMapping[str, str]) -> None:
    """Keep a child, such as the program that fetches credentials for AWS, from speaking to systemd in our name."""
    for name in VARIABLES:
        environ.pop(name, None)


def _listening(name: str, number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)  # noqa: FBT003 - takes no keyword
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise SettingsError(f"the inherited socket {name!r} cannot be used: {error}") from error
    fits = sock.family in {socket.AF_INET, socket.AF_INET6} and sock.type == socket.SOCK_STREAM
    if fits and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return sock
    sock.close()
    raise SettingsError(f"the inherited socket {name!r} is no listening TCP socket; ListenStream= takes address:port")


def _watchdog(environ: Mapping[str, str], pid: int) -> float:
    """Seconds within which systemd wants a sign of life of process ``pid``; 0 when it wants none."""
    time = environ.get("WATCHDOG_USEC", "")
    ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    return int(time) / 1e6 if ours and time.isascii() and time.isdigit() else 0.0


def _line(text: str) -> str:
    return " ".join(text.split())


NOBODY = Notifier({}, 0, Clock())
"""For whoever has no service manager."""
