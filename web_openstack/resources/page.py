"""``/``: the page for people; a ``POST`` there is the plain-text door's."""

from dataclasses import dataclass
from pathlib import Path

import falcon

from web_openstack.resources.plain import PlainDoor


@dataclass(frozen=True)
class Page:
    html: Path
    plain: PlainDoor | None

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        del req
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Cache-Control", "no-cache")
        resp.data = self.html.read_bytes()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self.plain is None:
            raise falcon.HTTPMethodNotAllowed(["GET", "OPTIONS"])
        self.plain.on_post(req, resp)
