"""systemd as a process sees it: a socket that hears what is told, and listening sockets that outlive every process."""

import fcntl
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress

PATIENCE = 60.0
"""Real seconds after which a message is believed never to come."""
ABOVE = 20
"""File descriptors from here on are the copies to hand over: above all that a program moves them to."""

_BECOME = """
import os, sys
copies, command = sys.argv[1].split(","), sys.argv[2:]
for number, copy in enumerate(filter(None, copies), 3):
    os.dup2(int(copy), number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(command[0], command)
"""
"""Moves the sockets to where systemd puts them and becomes the command: only that knows its process id."""


class ServiceManager:
    """A context. Owns a thread that hears everything at once, as systemd does, and ends with the context."""

    def __init__(self, folder, watchdog=None, *, abstract=False):
        """``watchdog``: seconds within which it wants a sign of life. ``abstract``: its socket has no file."""
        self._ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ears.bind(f"\0{folder}/notify" if abstract else f"{folder}/notify")
        self._listening = {}
        self._news, self._messages = threading.Condition(), []
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._hear, name="service-manager", daemon=True)
        self.environ = {"NOTIFY_SOCKET": f"@{folder}/notify" if abstract else f"{folder}/notify"}
        if watchdog:
            self.environ["WATCHDOG_USEC"] = str(int(watchdog * 1e6))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.close()
        self._thread.join()
        for sock in [self._ears, self._ended, *self._listening.values()]:
            sock.close()

    def _hear(self):
        while self._ended not in select.select([self._ears, self._ended], [], [])[0]:
            self.heard()

    def listen(self, name, host="127.0.0.1"):
        """Open a listening socket to hand over by this name; its port."""
        sock = self._listening[name] = socket.create_server((host, 0))
        return sock.getsockname()[1]

    def start(self, command, environ, **options):
        """Run a command with all the sockets, as a ``Popen``."""
        copies = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, ABOVE) for one in self._listening.values()]
        given = {"LISTEN_FDS": str(len(copies)), "LISTEN_FDNAMES": ":".join(self._listening)} if copies else {}
        become = [sys.executable, "-I", "-S", "-c", _BECOME, ",".join(map(str, copies)), *command]
        environ = {**environ, **self.environ, **given}
        try:
            return subprocess.Popen(become, env=environ, pass_fds=copies, **options)
        finally:
            for copy in copies:
                os.close(copy)

    def heard(self):
        """The lines of all messages so far, in order."""
        with self._news:
            with suppress(BlockingIOError):
                while True:
                    self._messages += self._ears.recv(65536, socket.MSG_DONTWAIT).decode().splitlines()
            self._news.notify_all()
            return list(self._messages)

    def wait_for(self, line, times=1):
        """Return once it was told this, so many times in all."""
        with self._news:
            told = self._news.wait_for(lambda: self._messages.count(line) >= times, PATIENCE)
            assert told, f"{line} is not among {self._messages}"

    def forget(self):
        """Start anew with nothing heard."""
        self.heard()
        with self._news:
            self._messages.clear()
