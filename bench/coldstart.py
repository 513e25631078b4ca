"""How long a worker takes from the start of its process to `ready`: bundled model, an AWS that answers at once.

Prints medians by the clock and by CPU time, which a busy machine disturbs least, and where the CPU time goes.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

STARTS = 7
STEPS = """
import time
def step(name, last=[0.0]):
    now = time.process_time()
    print(f"{name}\\t{1000 * (now - last[0]):.1f}")
    last[0] = now
step("the interpreter")
from skylens import logs
step("import structlog")
import skylens.settings
step("import pydantic and the settings")
import skylens.queues
step("import boto3")
from app_aws import registry
step("import numpy and Pillow")
import app_aws.service
step("import the rest")
import onnxruntime
step("import onnxruntime")
registry.load(registry.BUNDLED / "cifar10")
step("load the bundled model")
from skylens.aws import Aws
aws = Aws("us-east-1")
aws.sqs(), aws.sqs_polling(), aws.s3()
step("make AWS clients")
"""
SERVICES = ("SQS", "S3")


class Answers(BaseHTTPRequestHandler):
    """Just enough of SQS, S3 and an instance's metadata to become ready."""

    NO_OBJECT = b"<Error><Code>NoSuchKey</Code><Message>There is none</Message></Error>"
    METADATA = MappingProxyType({"/latest/api/token": b"t", "/latest/meta-data/instance-id": b"i-0123456789abcdef0"})

    protocol_version = "HTTP/1.1"
    ready = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b'\\"ready\\"' in body:
            self.ready.set()
        queue = f"http://{self.headers['Host']}/1/{json.loads(body or b'{}').get('QueueName', 'queue')}"
        self._answer(200, json.dumps({"QueueUrl": queue, "MessageId": "1"}).encode())

    def do_GET(self) -> None:
        known = self.path in self.METADATA
        self._answer(200 if known else 404, self.METADATA.get(self.path, self.NO_OBJECT))

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amzn-RequestId", "1")
        self.send_header("x-amz-request-id", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def start(environment: dict[str, str]) -> tuple[float, float]:
    """Seconds to `ready` by the clock, and of CPU by then. Raises RuntimeError when it does not get there."""
    Answers.ready.clear()
    began = time.perf_counter()
    command = [sys.executable, "-m", "skylens.cli", "worker"]
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    came = Answers.ready.wait(60)
    took, used = time.perf_counter() - began, _used(worker.pid)
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(30)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    if not came:
        raise RuntimeError("the worker did not say that it is ready")
    return took, used


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SKYLENS_", "AWS_"))}
    environment |= {f"AWS_ENDPOINT_URL_{name}": url for name in SERVICES}
    environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = url
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "SKYLENS_MODEL": "cifar10"}
    starts = [start(environment) for _ in range(STARTS)]
    for index, unit in enumerate(("by the clock", "of CPU")):
        times = sorted(one[index] for one in starts)
        middle = statistics.median(times)
        print(f"start to ready, {unit:12} median {middle:.2f} s, best {times[0]:.2f}, worst {times[-1]:.2f}")
    _explain(environment)
    server.shutdown()


def _explain(environment: dict[str, str]) -> None:
    rows: dict[str, list[float]] = {}
    for _ in range(STARTS):
        out = subprocess.run([sys.executable, "-c", STEPS], env=environment, check=True, capture_output=True, text=True)
        for line in out.stdout.splitlines():
            name, _, spent = line.partition("\t")
            rows.setdefault(name, []).append(float(spent))
    for name, times in rows.items():
        print(f"  {name:34} {statistics.median(times):6.0f} ms of CPU")


if __name__ == "__main__":
    main()
