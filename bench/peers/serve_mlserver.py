"""MLServer: a custom runtime in two parallel workers, with adaptive batching.

It speaks the V2 protocol: an image comes as base64 in JSON, as its documentation has it for binary content.
"""

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from recognise import Recogniser


class Recognise(MLModel):
    async def load(self) -> bool:
        self._recogniser = Recogniser()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = [self._recogniser.prepare(data) for data in Base64Codec.decode_input(payload.inputs[0])]
        labels = StringCodec.encode_output("label", self._recogniser.infer(images))
        return InferenceResponse(model_name=self.name, outputs=[labels])
