"""LitServe: a LitAPI, two workers, batched.

An image comes as a form's file, as LitServe's documentation has it: it reads bodies as JSON or as forms.
"""

import os

import litserve
from fastapi import UploadFile
from recognise import Array, Recogniser

BATCH, WAIT = 8, 0.002


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        self._recogniser = Recogniser()

    def decode_request(self, request: UploadFile) -> Array:
        return self._recogniser.prepare(request.file.read())

    def batch(self, inputs: list[Array]) -> list[Array]:
        return inputs

    def unbatch(self, output: list[str]) -> list[str]:
        return output

    def predict(self, x: list[Array]) -> list[str]:
        return self._recogniser.infer(x)

    def encode_response(self, output: str) -> dict[str, str]:
        return {"label": output}


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=WAIT)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEERS_PORT"]),
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
