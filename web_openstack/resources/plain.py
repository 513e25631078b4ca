"""The plain-text door: an image by multipart to any free path, its label back on the same connection."""

from dataclasses import dataclass

import falcon

from skylens.errors import BadRequestError, SkylensError, UnavailableError, UnknownJobError
from skylens.messages import Reply
from web_openstack import asked
from web_openstack.door import Door
from web_openstack.jobs import Jobs
from web_openstack.uploads import Part, Uploads, stem

STEM_FIELD = "inputFile"
"""The field whose answer carries the file's stem."""
RESERVED = ("/v1/", "/internal/", "/page/")


@dataclass(frozen=True)
class PlainDoor:
    """``POST /`` and ``POST`` of any path that is not taken."""

    door: Door
    uploads: Uploads
    jobs: Jobs
    longest: float
    """Seconds the connection is kept."""

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        """Falcon sink: whatever no route has taken."""
        if req.path.startswith(RESERVED) or req.method != "POST":
            raise UnknownJobError(f"nothing is served at {req.method} {req.path[:200]}")
        self.on_post(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = "text/plain; charset=utf-8"
        try:
            resp.text = self._label(req)
        except SkylensError as error:
            resp.status = error.status
            resp.text = error.detail
            if error.retry_after is not None:
                resp.set_header("Retry-After", str(error.retry_after))

    def _label(self, req: falcon.Request) -> str:
        with self.door.admit(req) as tenant:
            part = self._part(req)
            if part.image is None:
                raise AssertionError  # Uploads.one raises instead
            job = self.jobs.submit(part.image, tenant=tenant, top=1, trace=asked.trace(req))
            req.context.job = job
            return plain(part, job, self.jobs.find(job, tenant, self.longest, asked.gone(req)))

    def _part(self, req: falcon.Request) -> Part:
        if "multipart/form-data" not in (req.content_type or "").lower():
            raise BadRequestError("send the image as multipart/form-data")
        return self.uploads.one(req)


def plain(part: Part, job: str, reply: Reply | None) -> str:
    """The label, after the file's stem if the field asks for it. Raises what went wrong."""
    if reply is None:
        raise UnavailableError(f"not answered yet; the answer will be at /v1/images/{job}", retry_after=2)
    if reply.result is None:
        raise reply.failure.error() if reply.failure else UnavailableError(f"no answer for {job}")
    label = reply.result.labels[0].label
    return f"{stem(part.name)}:{label}" if part.field == STEM_FIELD else label
