"""The plain-text door: an image by multipart to any free path, its label back on the same connection."""

from dataclasses import dataclass

import falcon

from skylens.errors import BadRequestError, SkylensError, UnavailableError, UnknownJobError
from skylens.messages import Reply
from web_openstack import asked, problems
from web_openstack.door import Door
from web_openstack.jobs import Jobs
from web_openstack.uploads import Uploads, stem

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
        resp.content_type = problems.PLAIN
        try:
            resp.text = self._label(req)
        except SkylensError as error:
            problems.write_plain(req, resp, error)

    def _label(self, req: falcon.Request) -> str:
        with self.door.admit(req) as tenant:
            job, prefix = self._submit(req, tenant)
            req.context.job = job
            asked.stored(req)
            try:
                return prefix + label(job, self.jobs.find(job, tenant, self.longest, asked.gone(req)))
            except UnavailableError as error:
                raise UnavailableError(f"{later(job)} ({error.detail})", retry_after=error.retry_after) from error

    def _submit(self, req: falcon.Request, tenant: str) -> tuple[str, str]:
        """The job, and what goes before its label. The image's bytes are not held while its client waits."""
        if "multipart/form-data" not in (req.content_type or "").lower():
            raise BadRequestError("send the image as multipart/form-data")
        file = self.uploads.one(req)
        turn = req.get_header("Idempotency-Key") or ""
        job = self.jobs.submit(file.image, tenant=tenant, top=1, trace=asked.trace(req), turn=turn)
        return job, f"{stem(file.image.name)}:" if file.field == STEM_FIELD else ""


def label(job: str, reply: Reply | None) -> str:
    """The best label. Raises what went wrong."""
    if reply is None:
        raise UnavailableError(later(job), retry_after=2)
    if reply.result is None:
        raise reply.failure.error() if reply.failure else UnavailableError(later(job))
    return reply.result.labels[0].label


def later(job: str) -> str:
    return f"not answered yet; the answer will be at /v1/images/{job}"
