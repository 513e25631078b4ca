"""The main loop, by epoll: a turn costs what happened in it, however many connections there are.

Waitress asks each connection at each turn, which with a thousand waiting clients is milliseconds an event.
"""

import select
from collections import deque
from typing import Any

from waitress import wasyncore


class Connections(dict[int, Any]):
    """Waitress's map from file descriptors to what reads and writes them. Owned by the main loop.

    What one of them waits for is looked at when it comes in, after it was at work, and when ``touch`` says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._told: dict[int, int] = {}
        """What epoll was told to wait for."""
        self._touched: deque[int] = deque()

    def __setitem__(self, fd: int, channel: Any) -> None:
        super().__setitem__(fd, channel)
        self._touched.append(fd)

    def __delitem__(self, fd: int) -> None:
        super().__delitem__(fd)
        if self._told.pop(fd, 0):
            self._epoll.unregister(fd)

    def touch(self, channel: Any) -> bool:
        """Whether a channel waits for something else than epoll does; the next turn looks at it. From any thread."""
        fd = channel._fileno  # noqa: SLF001 - waitress's own name for it; None once it is closed
        if fd is None or wanted(channel) == self._told.get(fd, 0):
            return False
        self._touched.append(fd)
        return True

    def turn(self, timeout: float) -> None:
        """Wait for at most ``timeout`` seconds, and have whatever is ready read and write."""
        while self._touched:
            self._look(self._touched.popleft())
        for fd, events in self._epoll.poll(timeout):
            channel = self.get(fd)
            if channel is None:
                continue
            if events & select.EPOLLRDHUP:
                channel.handle_close()
            else:
                wasyncore.readwrite(channel, events)
            self._touched.append(fd)

    def _look(self, fd: int) -> None:
        """Tell epoll. Once more if meanwhile another thread changed its mind, for that one saw what was told before."""
        channel = self.get(fd)
        while channel is not None and (flags := wanted(channel)) != (told := self._told.get(fd, 0)):
            self._told[fd] = flags
            try:
                self._tell(fd, flags, told)
            except OSError:  # it is no open connection
                self._told.pop(fd, None)
                channel.handle_close()
                return

    def _tell(self, fd: int, flags: int, told: int) -> None:
        if not flags:
            self._epoll.unregister(fd)
        elif told:
            self._epoll.modify(fd, flags)
        else:
            self._epoll.register(fd, flags)

    def close(self) -> None:
        wasyncore.close_all(self)
        self._epoll.close()


def wanted(channel: Any) -> int:
    """What a channel waits for, as epoll's flags. Not for urgent data: nobody reads it, so its news would never end.

    While its request waits for something else, nothing is read; whether its client leaves is asked for all the same.
    """
    leaves = select.EPOLLRDHUP if getattr(channel, "is_waiting", False) else 0
    reads = select.EPOLLIN if channel.readable() else 0
    return leaves | reads | (select.EPOLLOUT if channel.writable() and not channel.accepting else 0)
