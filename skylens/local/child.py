"""Become another program that dies with its parent: ``python child.py PARENT_PID COMMAND...``.

Run by path, with nothing imported but the standard library, so that it costs a few milliseconds. Linux kills a process
that asked for it (PR_SET_PDEATHSIG) once the parent's *thread* that made it is gone, even by ``kill -9``; the wish
outlives exec. Asking from ``preexec_fn`` would be unsafe beside threads, hence this program in between.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit("prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != parent:  # it died before we asked, so nobody will ever tell us
            sys.exit(f"parent {parent} is gone")
    os.execvp(command[0], command)  # noqa: S606 - becoming the command without a shell is what this program is for


if __name__ == "__main__":
    main(sys.argv[1:])
