"""Loopback ports that are kept for our children, so that no other process gets them between choice and use."""

import errno
import socket
import sys

from skylens.errors import SkylensError

HOST = "127.0.0.1"


class PortTakenError(SkylensError):
    code, title = "port-taken", "The port is taken"


class Port:
    """A port on loopback, reserved until ``close``.

    On Linux a socket that is bound but does not listen keeps the port from everybody except a socket that binds it
    with SO_REUSEADDR, as every server here does; that also holds while a child restarts. Elsewhere the port is only
    chosen, and freed at once.
    """

    def __init__(self, wanted: int = 0) -> None:
        """``wanted``: 0 takes any free port. Raises PortTakenError."""
        self._socket = socket.socket()
        if wanted:  # an old connection in TIME_WAIT is no reason to refuse
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, wanted))
        except OSError as error:
            self._socket.close()
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(f"port {wanted} is taken; try --port {wanted + 1}") from None
            raise PortTakenError(f"port {wanted} cannot be used: {error.strerror}") from None
        self.number: int = self._socket.getsockname()[1]
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux":
            self._socket.close()

    @property
    def address(self) -> str:
        """As ``host:port``."""
        return f"{HOST}:{self.number}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def close(self) -> None:
        self._socket.close()
