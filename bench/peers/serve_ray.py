"""Ray Serve: a deployment of two replicas of a core each, with dynamic request batching. The body is the image."""

import os
import signal

import ray
from ray import serve
from recognise import Array, Recogniser
from starlette.requests import Request

BATCH, WAIT, MOST_WAITING = 8, 0.002, 64


@serve.deployment(num_replicas=2, max_ongoing_requests=MOST_WAITING, ray_actor_options={"num_cpus": 1})
class Recognise:
    def __init__(self) -> None:
        self._recogniser = Recogniser()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT)
    async def _infer(self, images: list[Array]) -> list[str]:
        return self._recogniser.infer(images)

    async def __call__(self, request: Request) -> str:
        return await self._infer(self._recogniser.prepare(await request.body()))


if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _temp_dir=os.environ["PEERS_FOLDER"],
        object_store_memory=256 * 1024**2,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["PEERS_PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Recognise.bind())
    signal.pause()  # until Ray's own handler of SIGTERM ends the process, and the cluster with it
