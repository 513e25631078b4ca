"""What was refused before its body came gets no good answer, whatever it asked for: a proxy would wait for the body."""

from typing import Any

import falcon

from web_openstack.gate import REFUSED


class Refused:
    """Middleware, the innermost. Who asks for a key has said so by now; this is for what asks nobody for one."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        del resource, req_succeeded
        refused = req.env.get(REFUSED)
        if refused is None or resp.status_code >= 400:  # noqa: PLR2004 - an error of its own is as good
            return
        file: Any = resp.stream
        if file is not None:
            file.close()
            resp.stream = None
        raise refused
