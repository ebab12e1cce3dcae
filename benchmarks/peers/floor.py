"""The least that a scrape can cost: receive the same bodies, throw them away, send the text.

With ``FLOOR_WRITES=ready`` the text is there as bytes and is only compressed and sent; with
``lines`` it is written anew, one f-string a sample from ready labels and values, which is the
least that Python needs to write so many lines one by one.
"""

from __future__ import annotations

import gzip
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

URL = (
    f"{os.environ['CLOUDFLARE_BASE_URL']}/accounts/{os.environ['CLOUDFLARE_ACCOUNT_ID']}"
    "/access/ai-controls/mcp/portals"
)
PAGES = int(os.environ["FLOOR_PAGES"])
PER_PAGE = os.environ["PER_PAGE"]
LEVEL = int(os.environ["FLOOR_GZIP_LEVEL"])
TEXT = Path(os.environ["FLOOR_TEXT"]).read_bytes() if "FLOOR_TEXT" in os.environ else b""
LINES = os.environ["FLOOR_WRITES"] == "lines"
PIECE = 1 << 20

session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['CLOUDFLARE_API_TOKEN']}"
session.headers["Accept-Encoding"] = "gzip"


def split(text: str) -> list[tuple[str, str, str]]:
    """Each line as name, labels and value; a comment as a name alone."""
    found = []
    for line in text.splitlines():
        name, brace, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        found.append((name, labels, value) if brace and line[0] != "#" else (line, "", ""))
    return found


SPLIT = split(TEXT.decode()) if LINES else []
if LINES:
    TEXT = b""


def receive(page: int) -> None:
    """One page, decompressed and let go."""
    asked = {"page": str(page), "per_page": PER_PAGE}
    with session.get(URL, params=asked, stream=True) as response:
        while response.raw.read1(PIECE, decode_content=True):
            pass


def write() -> bytes:
    """The text."""
    if not LINES:
        return TEXT
    return "".join(
        [f"{name}{{{labels}}} {value}\n" if value else f"{name}\n" for name, labels, value in SPLIT]
    ).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers ``/metrics``; anything else at once."""

    def do_GET(self) -> None:
        """Called by the base class."""
        body = b""
        if self.path == "/metrics":
            for page in range(1, PAGES + 1):
                receive(page)
            body = write()
        self.send_response(200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, LEVEL)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Silent."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
