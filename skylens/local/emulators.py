"""The AWS API on loopback, for programs only: ministack answers for S3 and SQS, moto for EC2 and everything else."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from skylens.local import environment
from skylens.local.children import Child
from skylens.local.ports import HOST, Port
from skylens.local.probe import Probe

READY_SECONDS = 60


class Emulators:
    """Two child processes. They keep all data in memory: when one dies, the embedded cloud's data is gone with it."""

    def __init__(self, base: Mapping[str, str], folder: Path, logs: Path) -> None:
        """``base``: variables of every child; ``folder``: of the run, where ministack would put files if it did."""
        self._base, self._folder, self._logs = base, folder, logs
        self.data, self.control = Port(), Port()
        self.ministack = ["-m", "skylens.local.ministack_server"]
        self.children: list[Child] = []

    def environment(self) -> dict[str, str]:
        """AWS variables of everybody who is to use the emulators."""
        return environment.aws(self.control.url, self.data.url)

    def start(self) -> None:
        """Start both; returns before they are ready."""
        self.children = [
            self._child("ministack", self.ministack, self._ministack()),
            self._child(
                "moto", ["-m", "skylens.local.moto_server", "-H", HOST, "-p", str(self.control.number)], self._moto()
            ),
        ]

    def await_ready(self, probe: Probe) -> None:
        """Raises StartError with the end of the log of the one that failed."""
        ministack, moto = self.children
        for child, url in (
            (ministack, f"{self.data.url}/_ministack/health"),
            (moto, f"{self.control.url}/moto-api/data.json"),
        ):
            probe.await_child(child, partial(probe.ok, url), READY_SECONDS)

    def close(self) -> None:
        """Give the ports back, once the children are stopped."""
        self.data.close()
        self.control.close()

    def _child(self, name: str, arguments: list[str], variables: Mapping[str, str]) -> Child:
        command = [sys.executable, *arguments]
        return Child.start(name, command, {**self._base, **variables}, self._logs / f"{name}.log")

    def _ministack(self) -> dict[str, str]:
        return {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.data.number),
            "SERVICES": "s3,sqs",
            "S3_DATA_DIR": str(self._folder / "s3"),  # unused: S3_PERSIST is off
            "STATE_DIR": str(self._folder / "state"),  # unused: PERSIST_STATE is off
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AWS_ACCESS_KEY_ID": environment.KEY,  # it checks the signatures of presigned URLs
            "AWS_SECRET_ACCESS_KEY": environment.KEY,
            "DOCKER_HOST": "unix:///dev/null/no-docker",  # it would remove containers of the user's own ministack
            "LOG_LEVEL": "WARNING",
        }

    def _moto(self) -> dict[str, str]:
        return {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}
