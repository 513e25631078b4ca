"""A web node that is pretended: this machine's files under an overlay, with its own network and processes.

What is written there is written nowhere, its ports 443 and 8080 are its own, and a stand-in for systemctl starts the
real HAProxy and a scripted web tier. Needs root; nothing is left of it once its first process is ended.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playbook import PLAYBOOKS, RECAP

STANDINS = Path(__file__).with_name("standins")
_ENTER = """\
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mkdir -p "$1/root/standins" "$1/root$2"
mount --bind "$2" "$1/root$2"
cp "$3"/*.py "$1/root/standins"
install -m 755 "$3/systemctl.py" "$1/root/usr/local/bin/systemctl"
python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'
exec chroot "$1/root" sh -c 'echo entered; exec cat'
"""
"""Last, the first process there says that all is there, and stays until its standard input ends."""


class PretendedNode:
    """A context. ``folder`` is the inventory's, and is the same folder inside. ``always``: words of every play."""

    def __init__(self, folder, variables, *always):
        self.folder, self.always = folder, always
        (folder / "overlay").mkdir()
        here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        node = {**here, "ansible_python_interpreter": "/usr/bin/python3", "ansible_host": "127.0.0.1"}
        inventory = {"all": {"hosts": {"localhost": here}, "children": {"web": {"hosts": {"node-1": node}}}}}
        inventory["all"]["vars"] = variables
        (folder / "hosts.json").write_text(json.dumps(inventory))

    def __enter__(self):
        spaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        words = ["sh", "-c", _ENTER, "sh", str(self.folder / "overlay"), str(self.folder), str(STANDINS)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._first = subprocess.Popen([*spaces, *words], **pipes, text=True, start_new_session=True)
        said = self._first.stdout.readline()
        if said != "entered\n":
            self.__exit__()
            missing = f"no node can be pretended here: {said}"
            pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
        return self

    def __exit__(self, *_):
        self._first.kill()  # and with it all the processes inside
        self._first.communicate()

    def command(self, *words):
        """Words that run ``words`` inside."""
        (inside,) = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        enter = [
            "nsenter",
            "--target",
            inside,
            "--mount",
            "--net",
            "--pid",
            f"--root=/proc/{inside}/root",
            f"--wd=/proc/{inside}/root",
        ]
        return [*enter, "env", "-i", f"PATH={os.environ['PATH']}", f"HOME={self.folder}", "LC_ALL=C.UTF-8", *words]

    def read(self, *words):
        return subprocess.check_output(self.command(*words), text=True).strip()

    def play(self, playbook, *words):
        """Exit status, what changed on (control node, web node), and all that it said."""
        done = subprocess.run(self._play(playbook, *words), stdout=subprocess.PIPE, text=True, check=False)
        changed = {host: int(counts.split("changed=")[1].split()[0]) for host, counts in RECAP.findall(done.stdout)}
        return done.returncode, changed, done.stdout

    def kill_play_at(self, task, playbook, *words):
        """Kill a play, with every process of it, as soon as it says that this task begins."""
        running = subprocess.Popen(
            self._play(playbook, *words), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        for line in running.stdout:
            if line.startswith("TASK") and task in line:
                os.killpg(running.pid, signal.SIGKILL)
                running.communicate()
                return
        raise AssertionError(f"no task {task!r}; the play ended with {running.wait()}")

    def _play(self, playbook, *words):
        play = [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            str(self.folder / "hosts.json"),
            f"{PLAYBOOKS}/{playbook}",
        ]
        config = f"ANSIBLE_CONFIG={PLAYBOOKS}/ansible.cfg"
        return self.command("ANSIBLE_NOCOLOR=1", config, *play, *self.always, *words)
