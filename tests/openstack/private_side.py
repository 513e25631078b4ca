"""A deployment whose private side is a real Nova guest, and whose AWS side is emulators and workers on this machine."""

import hashlib
import os
import random
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

import httpx2
from crowd import media_type
from playbook import PLAYBOOKS, Run, run
from private_cloud import CLOUD, SCRIPTS, environment
from up_on_playbooks import register_image

from skylens import __version__
from skylens.local import state
from skylens.local.clients import Clients

GUEST_IMAGE = Path(os.environ.get("OUT", "/var/tmp/skylens-openstack-image"))
BUILD = Path("/var/tmp/skylens-openstack-build")
"""Kept, as the guest's image is: only the first run on a machine fetches wheels."""
HOST = "172.24.4.1"
"""This machine on the guests' outer network."""
NETWORK = "172.24.4.0/24"
KEY = "a key for the tests"
QUESTIONS, CLIENTS = 10, 64
"""One request of so many is an image, the others ask for answers; and most requests that wait at once."""
NEXT_VERSION = f"{__version__}.post1"
SOURCES = ("skylens", "web_openstack", "app_aws", "autoscaler", "requirements", "samples", "playbooks")
FILES = ("pyproject.toml", "README.md", "LICENSE")


class AwsSide:
    """``aws_side.py`` as a process: the emulators, and a worker for each instance."""

    def __init__(self, folder: Path) -> None:
        self._state, self._log = folder / "aws.json", (folder / "aws.txt").open("wb")
        command = [
            sys.executable,
            str(Path(__file__).with_name("aws_side.py")),
            HOST,
            str(self._state),
            str(folder / "logs"),
        ]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        self._wait_ready()

    def _wait_ready(self, patience: float = 60) -> None:
        deadline, pause = time.monotonic() + patience, threading.Event()
        while not (found := state.read(self._state)) or not found.ready:
            assert self._process.poll() is None, f"the AWS side ended: see {self._log.name}"
            assert time.monotonic() < deadline, "the AWS side is not ready"
            pause.wait(0.2)

    @property
    def environment(self) -> dict[str, str]:
        return state.read(self._state).environment

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()


def guest_image() -> None:
    subprocess.run([SCRIPTS / "image.sh"], check=True, stdin=subprocess.DEVNULL)


class PrivateSide:
    """The deployment ``guest``, its inventory in ``folder``."""

    def __init__(self, folder: Path, aws: AwsSide) -> None:
        self.folder, self._aws = folder, aws
        emulators = aws.environment
        self._variables = {
            "skylens_deployment": "guest",
            "skylens_api_keys": [f"tests:{hashlib.sha256(KEY.encode()).hexdigest()}"],
            "skylens_smoke_key": KEY,
            "skylens_settings": {"visibility_timeout": 10},
            "skylens_web_settings": {"cache_mib": 0},  # every image is to be work
            "skylens_scaler_settings": {"expected_boot_seconds": 5, "scale_in_seconds": 60, "tick_seconds": 3},
            "skylens_build": str(BUILD),
            "skylens_maximum": 2,
            "skylens_worker_ami": register_image(Clients(emulators).ec2()),
            "skylens_aws_credentials": "key",
            "skylens_aws_endpoints": {
                "s3": emulators["AWS_ENDPOINT_URL_S3"],
                "sqs": emulators["AWS_ENDPOINT_URL_SQS"],
                **dict.fromkeys(("ec2", "autoscaling", "cloudwatch"), emulators["AWS_ENDPOINT_URL"]),
            },
            "skylens_cloud": CLOUD,
            "skylens_web_flavor": "m1.small",
            "skylens_web_image": "skylens-guest",
            "skylens_web_image_file": str(GUEST_IMAGE / "image.qcow2"),
            "skylens_web_image_kernel": str(GUEST_IMAGE / "vmlinuz"),
            "skylens_web_image_initrd": str(GUEST_IMAGE / "initrd"),
            "skylens_web_image_properties": {"os_command_line": "root=/dev/vda ro console=ttyS0 quiet mitigations=off"},
            "skylens_external_network": "public",
            "skylens_admin_networks": [NETWORK],
            "skylens_client_networks": [NETWORK],
        }

    def play(self, name: str, *arguments: str, source: Path | None = None) -> Run:
        """Run a playbook of this checkout, or of another ``source``; what it printed is kept in ``folder``."""
        playbooks = (source / "playbooks") if source else PLAYBOOKS
        done = run(
            playbooks / name,
            self._variables,
            {**environment(), **self._aws.environment},
            *arguments,
            folder=self.folder,
            timeout=1800,
        )
        with (self.folder / "played.txt").open("a") as played:
            played.write(f"==== {name} {' '.join(arguments)}: {done.rc} {done.stats}\n{done.output}\n")
        return done

    @property
    def endpoint(self) -> str:
        """Of the only web node, by its floating IP."""
        return f"https://{self.address}"

    address = ""

    def client(self, **options) -> httpx2.Client:
        """Trusts the deployment's own authority and nobody else; has the key."""
        trusted = ssl.create_default_context(cafile=str(self.folder / "secrets" / "ca.pem"))
        return httpx2.Client(
            base_url=self.endpoint,
            verify=trusted,
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=120,
            trust_env=False,
            **options,
        )

    def reachable(self, port: int) -> bool:
        """Whether the web node takes connections there from outside."""
        try:
            socket.create_connection((self.address, port), timeout=5).close()
        except OSError:
            return False
        return True

    def shell(self, command: str) -> str:
        """What a command prints on the web node."""
        secrets = self.folder / "secrets"
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        done = subprocess.run(
            ["ssh", "-i", secrets / "id_ed25519", *options, f"debian@{self.address}", command],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout


class Answer(NamedTuple):
    at: float
    method: str
    status: int
    said: str
    """The body, or the error."""
    seconds: float


class Load:
    """``rate`` requests a second from their own threads until the block is left.

    As asynchronous clients make them: an image, then some questions for its answer. When all ``CLIENTS`` wait for an
    answer, none is made until one has it, and the rate is less.
    """

    def __init__(self, side: PrivateSide, pictures: list[tuple[str, bytes]], rate: float) -> None:
        self._side, self._pictures, self._rate = side, pictures, rate
        self._done, self._free = threading.Event(), threading.Semaphore(CLIENTS)
        self._asked: deque[str] = deque(maxlen=10)
        """Paths of the images taken in last."""
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._client = self._side.client()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._pool.shutdown()
        self._client.close()

    @property
    def rate(self) -> float:
        """Requests a second that were really made."""
        times = [one.at for one in self.answers]
        return len(times) / (max(times) - min(times))

    @property
    def summary(self) -> str:
        waits = sorted(answer.seconds for answer in self.answers)
        return (
            f"{len(waits)} requests, {sum(one.method == 'POST' for one in self.answers)} of them images, "
            f"{self.rate:.1f} a second, {len(self.failed)} failed; "
            f"median {statistics.median(waits):.2f} s, largest {waits[-1]:.2f} s"
        )

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status not in {200, 202}]

    def _send(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._done.wait(max(0.0, began + sent / self._rate - time.monotonic())):
            if not self._free.acquire(timeout=1):
                continue
            picture = self._pictures[sent % len(self._pictures)]
            if sent % QUESTIONS and self._asked:
                self._pool.submit(self._one, "GET", random.choice(tuple(self._asked)))
            else:
                self._pool.submit(self._one, "POST", "/v1/images", picture)
            sent += 1

    def _one(self, method: str, path: str, picture: tuple[str, bytes] = ("", b"")) -> None:
        began = time.monotonic()
        headers = {"Content-Type": media_type(picture[0]), "Prefer": "respond-async"} if picture[0] else {}
        try:
            got = self._client.request(method, path, content=picture[1], headers=headers)
            self.answers.append(Answer(began, method, got.status_code, got.text, time.monotonic() - began))
            if method == "POST" and "Location" in got.headers:
                self._asked.append(got.headers["Location"])
        except httpx2.HTTPError as error:
            self.answers.append(Answer(began, method, 0, repr(error), time.monotonic() - began))
        finally:
            self._free.release()


def next_version(folder: Path) -> Path:
    """This source tree with the next version number, as a user has it after `git pull`."""
    here = PLAYBOOKS.parent
    for name in SOURCES:
        shutil.copytree(here / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "build", "secrets"))
    for name in FILES:
        shutil.copy(here / name, folder / name)
    for path in (folder / "pyproject.toml", folder / "skylens" / "__init__.py"):
        path.write_text(path.read_text().replace(f'"{__version__}"', f'"{NEXT_VERSION}"', 1))
    return folder
