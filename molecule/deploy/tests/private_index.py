"""A package index on port 8900 that wants a user and a password: python3 private_index.py DIRECTORY FILE, with USER:PASSWORD in it."""

import base64
import http.server
import sys
from functools import partial
from pathlib import Path

DIRECTORY = sys.argv[1]
LOGIN = Path(sys.argv[2]).read_text(encoding="utf-8")


class Index(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(LOGIN.encode()).decode():
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()


http.server.ThreadingHTTPServer(("", 8900), partial(Index, directory=DIRECTORY)).serve_forever()
