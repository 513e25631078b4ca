"""Celery: the task, and the front that makes an HTTP request of it: Falcon and waitress, a thread for each client.

Redis keeps the queue and the results. ``acks_late``: a task is only gone from the queue once it is done. Messages are
msgpack, which takes bytes as they are.
"""

import os
from functools import cache

from celery import Celery
from recognise import Recogniser

app = Celery("peers", broker=os.environ["PEERS_REDIS"], backend=os.environ["PEERS_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_serializer="msgpack",
    result_serializer="msgpack",
    accept_content=["msgpack"],
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@cache
def recogniser() -> Recogniser:
    """One for each process of the pool."""
    return Recogniser()


@app.task(name="recognise")
def recognise(data: bytes) -> str:
    return recogniser().infer([recogniser().prepare(data)])[0]


def front() -> None:
    import falcon  # noqa: PLC0415 - the workers need no front
    import waitress  # noqa: PLC0415

    class Images:
        def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
            resp.text = recognise.delay(req.bounded_stream.read()).get(timeout=60)

    api = falcon.App(media_type=falcon.MEDIA_TEXT)
    api.add_route("/recognise", Images())
    waitress.serve(
        api, host="127.0.0.1", port=int(os.environ["PEERS_PORT"]), threads=int(os.environ["PEERS_CLIENTS"]), ident=None
    )


if __name__ == "__main__":
    front()
