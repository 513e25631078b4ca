"""The systems, and how each peer is started and asked, as its documentation recommends for a model on two cores."""

import base64
import json
from collections.abc import Callable, Mapping

from peers.install import HERE
from peers.ours import Skylens
from peers.peer import Peer
from peers.system import TASK, Ask, System

BOUNDARY = "peers1f0e3dad"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(name: str) -> Callable[[bytes], bytes]:
    """The image as the file ``name`` of a form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="image.jpg"\r\n'

    def encode(image: bytes) -> bytes:
        return f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()

    return encode


def v2(image: bytes) -> bytes:
    """A request of the V2 inference protocol."""
    data = [base64.b64encode(image).decode()]
    tensor = {"name": "image", "shape": [1, 1], "datatype": "BYTES", "data": data}
    return json.dumps({"inputs": [tensor | {"parameters": {"content_type": "base64"}}]}).encode()


def server(name: str) -> tuple[str]:
    """The peer's file here as a program."""
    return (str(HERE / f"serve_{name}.py"),)


MLSERVER: Mapping[str, str] = {
    "MLSERVER_HOST": "127.0.0.1",
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "{port2}",
    "MLSERVER_METRICS_PORT": "{port3}",
    "MLSERVER_PARALLEL_WORKERS": "2",
    "MLSERVER_DEBUG": "false",
    "MLSERVER_MODEL_NAME": "recognise",
    "MLSERVER_MODEL_IMPLEMENTATION": "serve_mlserver.Recognise",
    "MLSERVER_MODEL_MAX_BATCH_SIZE": "8",
    "MLSERVER_MODEL_MAX_BATCH_TIME": "0.002",
}
CELERY = ("-A", "serve_celery", "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
BENTO = ("serve", "serve_bentoml:Recognise", "--host", "127.0.0.1", "--port", "{port}")

SYSTEMS: tuple[System, ...] = (
    Skylens("skylens", "fast"),
    Skylens("skylens-plain", "plain"),
    Peer("litserve", Ask("/predict", ("label",), FORM, form("request")), [server("litserve")]),
    Peer("mosec", Ask("/inference"), [server("mosec")]),
    Peer(
        "bentoml",
        Ask("/recognise", (0,), FORM, form("images")),
        [("-m", "bentoml", *BENTO)],
        {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{folder}"},
    ),
    Peer("ray", Ask("/"), [server("ray")], {"RAY_USAGE_STATS_ENABLED": "0"}),
    Peer(
        "mlserver",
        Ask("/v2/models/recognise/infer", ("outputs", 0, "data", 0), "application/json", v2),
        [("-m", "mlserver.cli.main", "start", "{folder}")],
        MLSERVER,
    ),
    Peer(
        "celery",
        Ask("/recognise"),
        [("-m", "celery", *CELERY, *QUIET), server("celery")],
        {"PEERS_REDIS": "redis://127.0.0.1:{port2}/0"},
        keeps=TASK,
        redis=True,
    ),
)
