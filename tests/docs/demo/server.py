"""A service that answers everything with 200, so that it is ready at once."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"fine")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing for each request."""


server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("[INFO] Ready", flush=True)
server.serve_forever()
