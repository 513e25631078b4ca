"""The autoscaler's own boto3 client of EC2."""

import http.server
import threading

import pytest
from botocore.exceptions import ReadTimeoutError

from skylens.aws import Aws
from skylens.instances import Ec2Instances


class Silent(http.server.ThreadingHTTPServer):
    """Takes requests and answers none of them until ``over``."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.over, self.asked = threading.Event(), 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked += 1
        self.server.over.wait(60)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def silent():
    with Silent() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def test_a_launch_without_an_answer_was_sent_once(silent, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", f"http://127.0.0.1:{silent.server_port}")
    instances = Ec2Instances(Aws("us-east-1").ec2(0.5), "one", "one-worker")
    with pytest.raises(ReadTimeoutError):
        instances.launch(1, "token")
    assert silent.asked == 1


def test_a_call_takes_no_longer_than_it_may():
    config = Aws("us-east-1").ec2(5).meta.config
    assert config.connect_timeout + config.read_timeout == 5
