"""Runs a playbook with an inventory of its own, and reads the recap."""

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)


class Run(NamedTuple):
    rc: int
    stats: dict[str, dict[str, int]]
    """Of each host: ok, changed, unreachable, failed, skipped, rescued, ignored."""
    output: str


def run(
    playbook: str | Path,
    variables: Mapping[str, Any],
    env: Mapping[str, str],
    *args: str,
    folder: Path,
    hosts: Mapping[str, Mapping[str, Any]] | None = None,
    timeout: float = 600,
) -> Run:
    """``folder`` is the inventory's: a second run that is given the same one finds what the first has left there.

    ``hosts`` are more hosts of this machine, with variables of their own.
    """
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = {
        "all": {
            "hosts": {name: {**here, **own} for name, own in {"localhost": {}, **(hosts or {})}.items()},
            "vars": dict(variables),
            "children": {"web": {}},
        }
    }
    (folder / "hosts.json").write_text(json.dumps(inventory))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", folder / "hosts.json", playbook, *args],
        cwd=PLAYBOOKS,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    stats = {
        host: {word: int(count) for word, count in re.findall(r"(\w+)=(\d+)", counts)}
        for host, counts in RECAP.findall(done.stdout)
    }
    return Run(done.returncode, stats, done.stdout)


def kill(
    playbook: str | Path,
    env: Mapping[str, str],
    *args: str,
    folder: Path,
    task: int,
    seconds: float,
    roles: str = "",
) -> str | None:
    """Kill a play with all its processes, ``seconds`` after it began its ``task``; which one that was.

    Only tasks of roles whose names begin with ``roles`` count. None when the play was over before; it must have been
    good then. The inventory is that of the ``run`` before.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "ansible", "playbook", "-i", folder / "hosts.json", playbook, *args],
        cwd=PLAYBOOKS,
        env={**os.environ, "HOME": str(folder), "ANSIBLE_NOCOLOR": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as play:
        assert play.stdout
        said: list[str] = []
        lines = (said.append(line) or line for line in play.stdout)
        reached = list(itertools.islice((line for line in lines if line.startswith(f"TASK [{roles}")), task))
        with contextlib.suppress(subprocess.TimeoutExpired):
            play.wait(seconds)
        if play.poll() is not None:
            assert play.returncode == 0, "".join(said)[-6000:]
            return None
        for process in [*psutil.Process(play.pid).children(recursive=True), psutil.Process(play.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    return reached[-1]
