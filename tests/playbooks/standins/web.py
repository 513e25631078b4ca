"""Stands in for the web tier on a pretended web node. It knows one setting: with seven images a second it is ill."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ILL = 'RATE_LIMIT="7/second"'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        release = Path("/opt/skylens/current").resolve().name if self.path == "/v1/status" else ""
        said = {"ready": not ILLNESS, "reasons": ["it is ill"] if ILLNESS else [], "node": release}
        body = json.dumps(said).encode()
        self.send_response(503 if ILLNESS else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ILLNESS = ILL in Path("/etc/skylens/web.env").read_text()
internal = ThreadingHTTPServer(("127.0.0.1", 8081), Handler)
threading.Thread(target=internal.serve_forever, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
