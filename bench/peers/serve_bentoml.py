"""BentoML: a service of two workers, with adaptive batching. An image comes as a form's file."""

import bentoml
from PIL import Image
from recognise import Recogniser

BATCH = 8


@bentoml.service(workers=2, traffic={"timeout": 60}, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Recognise:
    def __init__(self) -> None:
        self._recogniser = Recogniser()

    @bentoml.api(batchable=True, max_batch_size=BATCH)
    def recognise(self, images: list[Image.Image]) -> list[str]:
        return self._recogniser.infer([self._recogniser.tensor(image) for image in images])
