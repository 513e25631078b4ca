"""mosec: one stage of two processes, batched by its controller. The body is the image."""

import os

from mosec import Server, Worker
from recognise import Array, Recogniser

BATCH, WAIT_MS = 8, 2


class Recognise(Worker):
    def __init__(self) -> None:
        self._recogniser = Recogniser()

    def deserialize(self, data: bytes) -> Array:
        return self._recogniser.prepare(data)

    def forward(self, data: list[Array]) -> list[str]:
        return self._recogniser.infer(data)

    def serialize(self, data: str) -> bytes:
        return data.encode()


if __name__ == "__main__":
    os.environ |= {"MOSEC_ADDRESS": "127.0.0.1", "MOSEC_PORT": os.environ["PEERS_PORT"], "MOSEC_TIMEOUT": "60000"}
    server = Server()
    server.append_worker(Recognise, num=2, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
