"""``/v1/uploads``: a place for a big image, which does not come through the door."""

from dataclasses import dataclass

import falcon

from skylens.errors import UnsupportedImageError
from skylens.messages import encode, moment
from web_openstack import asked, direct
from web_openstack.direct import Direct
from web_openstack.door import Door


@dataclass(frozen=True)
class UploadList:
    """``POST /v1/uploads``."""

    door: Door
    direct: Direct

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        with self.door.admit(req) as tenant:
            if asked.media(req) != falcon.MEDIA_JSON:
                raise UnsupportedImageError("say what you will store as application/json: content_type, size, sha256")
            announced = direct.read(direct.Announced, req.bounded_stream)
            name, invitation = self.direct.invite(announced, tenant)
        resp.status = falcon.HTTP_201
        resp.set_header("Cache-Control", "no-store")
        resp.content_type = falcon.MEDIA_JSON
        expires = moment(int(self.direct.jobs.clock.now()) + direct.SECONDS)
        resp.data = encode(
            {"id": name, "method": "PUT", "url": invitation.url, "headers": invitation.headers, "expires": expires}
        )
