"""``/v1/images``: one image in, its labels out."""

from dataclasses import dataclass

import falcon

from skylens import logs
from skylens.errors import UnavailableError
from skylens.messages import Reply, encode
from web_openstack import asked, direct, problems
from web_openstack.deletion import Deletion
from web_openstack.direct import Direct
from web_openstack.door import Door
from web_openstack.idempotency import Idempotency
from web_openstack.jobs import Jobs
from web_openstack.uploads import Uploads
from web_openstack.webhooks.callbacks import Callback, Callbacks, promised

log = logs.get(__name__)


def answer(resp: falcon.Response, job: str, reply: Reply | None) -> None:
    """Write the result, the failure, or that it is still worked on."""
    resp.set_header("Cache-Control", "no-store")
    if reply is None:
        resp.status = falcon.HTTP_202
        resp.location = f"/v1/images/{job}"
        resp.set_header("Retry-After", "1")
        resp.data = encode({"id": job, "status": "working"})
        resp.content_type = falcon.MEDIA_JSON
    elif reply.failure is not None:
        problems.write(resp, reply.failure.error(), id=job)
    else:
        resp.content_location = f"/v1/images/{job}"
        resp.data = encode(reply.result)
        resp.content_type = falcon.MEDIA_JSON


@dataclass(frozen=True)
class Images:
    """``POST /v1/images``."""

    door: Door
    uploads: Uploads
    jobs: Jobs
    idempotency: Idempotency
    waits: asked.Waits
    callbacks: Callbacks
    direct: Direct

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        is_upload = asked.media(req) == falcon.MEDIA_JSON  # counted against the tenant's limits when it was invited
        with self.door.admit_many(req) if is_upload else self.door.admit(req) as tenant:
            top, callback = asked.top(req), self.callbacks.asked(req, tenant, "image")
            wait = 0.0 if callback else self.waits.preferred(req, resp)
            job = (self._of_upload if is_upload else self._submit)(req, tenant, top, callback)
            req.context.job = job
            asked.stored(req)
            answer(resp, job, self._await(req, job, tenant, wait) if wait else None)

    def _await(self, req: falcon.Request, job: str, tenant: str, wait: float) -> Reply | None:
        """The answer; None, too, when AWS fails just now: the job is taken in, and can be asked for later."""
        try:
            return self.jobs.find(job, tenant, wait, asked.gone(req))
        except UnavailableError:
            return None

    def _of_upload(self, req: falcon.Request, tenant: str, top: int, callback: Callback | None) -> str:
        submitted = direct.read(direct.Submitted, req.bounded_stream)
        turn, trace = req.get_header("Idempotency-Key") or "", asked.trace(req)
        return self.direct.submit(submitted, tenant=tenant, top=top, trace=trace, turn=turn, callback=callback)

    def _submit(self, req: falcon.Request, tenant: str, top: int, callback: Callback | None) -> str:
        image = self.uploads.one(req).image
        key, trace = req.get_header("Idempotency-Key"), asked.trace(req)
        if key is not None:
            return self.idempotency.submit(key, image, tenant=tenant, top=top, trace=trace, callback=callback)
        job = self.jobs.new_id()
        with promised(callback, job):
            return self.jobs.submit(image, tenant=tenant, top=top, trace=trace, job=job)


@dataclass(frozen=True)
class ImageById:
    """``GET`` and ``DELETE /v1/images/{id}``."""

    door: Door
    jobs: Jobs
    waits: asked.Waits
    deletion: Deletion

    def on_get(self, req: falcon.Request, resp: falcon.Response, job: str) -> None:
        with self.door.visit(req, "read") as (tenant, may_wait):
            wait = self.waits.of_query(req)
            answer(resp, job, self.jobs.find(job, tenant, wait if may_wait else 0, asked.gone(req)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, job: str) -> None:
        resp.set_header("Cache-Control", "no-store")
        with self.door.visit(req, "delete") as (tenant, _):
            self.deletion.delete(job, tenant)
        req.context.job = job
        log.info("audit.deleted", tenant=tenant, job=job, client=req.remote_addr, request=req.context.id)
        resp.status = falcon.HTTP_204
