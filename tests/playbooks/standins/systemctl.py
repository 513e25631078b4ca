#!/usr/bin/python3
"""Stands in for systemctl on a pretended web node: starts the real HAProxy and a scripted web tier, and keeps a log."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/run/standin")
STARTS = {
    "skylens-web.service": ["/usr/bin/python3", "/standins/web.py"],
    "haproxy.service": ["haproxy", "-W", "-f", "/etc/haproxy/haproxy.cfg"],
}
PATIENCE = 20.0


def pid(unit):
    """Its process, 1 for one that is only pretended, 0 when it does not run."""
    try:
        number = int((STATE / unit).read_text() or 0)
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] if number > 1 else "S"
    except (OSError, ValueError):
        return 0
    return number if state != "Z" else 0


def stop(unit):
    if pid(unit) > 1:
        os.kill(pid(unit), signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while pid(unit) and time.monotonic() < until:
            time.sleep(0.02)
    (STATE / unit).unlink(missing_ok=True)


def start(unit):
    if unit not in STARTS:
        (STATE / unit).write_text("1")
        return
    Path("/run/haproxy").mkdir(exist_ok=True)
    with (STATE / f"{unit}.out").open("ab") as out:
        files = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
        started = subprocess.Popen(STARTS[unit], **files, start_new_session=True)
    (STATE / unit).write_text(str(started.pid))


def main():
    STATE.mkdir(exist_ok=True)
    verb, *units = [word for word in sys.argv[1:] if not word.startswith("-")]
    with (STATE / "log").open("a") as log:
        print(verb, *units, file=log)
    if verb == "is-active":
        return 0 if all(pid(unit) or unit.startswith("systemd-") for unit in units) else 3
    if verb in {"restart", "stop"}:
        for unit in units:
            stop(unit)
            if verb == "restart":
                start(unit)
    if verb == "reload":
        os.kill(pid(units[0]), signal.SIGUSR2)
    if verb == "show":
        for unit in units:
            print(f"Id={unit}\nActiveState={'active' if pid(unit) else 'inactive'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
