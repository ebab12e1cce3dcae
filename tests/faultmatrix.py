"""The fault matrix: faults of the API and the network, and the exporter's behavior.

`FAULTS` declares the table of the documentation; tests/test_fault_matrix.py runs a real exporter
against each fault and compares the result with the table.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from rawserver import Handler, RawServer, answer, listing, portal, refusal, sends

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "faults.md"

TIMEOUT = 3.0
"""Listing timeout in seconds, for all accounts."""

LIMIT = 8 << 20
"""Maximum bytes of a page, for all accounts."""

AT_ONCE, RETRIED, TIMED_OUT = "immediately", "after two retries, in about 1 s", "at `timeout`"
PAGED = "after 500 pages, or at `timeout`"
WHEN: Mapping[str, tuple[float, float]] = {
    AT_ONCE: (0.0, 2.0),
    RETRIED: (0.3, TIMEOUT),
    TIMED_OUT: (TIMEOUT - 0.1, TIMEOUT + 2.0),
    PAGED: (0.0, 60.0),
}
"""Minimum and maximum duration of the scrape in seconds."""

LITTLE, SOME = "under 8 MiB", "under 4 times `max_response_size`"
MEMORY: Mapping[str, int] = {LITTLE: 8, SOME: 4 * LIMIT >> 20}
"""Maximum additional memory of the exporter in MiB."""

Way = Callable[[ExitStack], Mapping[str, str]]
"""Sets up a fault and returns the configuration of an affected account."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: in the documentation.
        way: sets it up.
        reason: of the failure; empty if the listing succeeds.
        when: of `WHEN`.
        memory: of `MEMORY`.
        shows: samples that must be present.
        announced: scrape timeout that is announced, in seconds.
    """

    name: str
    way: Way
    reason: str
    when: str = AT_ONCE
    memory: str = LITTLE
    shows: Mapping[str, float] = field(default_factory=dict)
    announced: float | None = None

    @property
    def goes_up(self) -> bool:
        """Whether the account is up."""
        return not self.reason and self.shows.get("cloudflare_mcp_up", 1.0) == 1.0

    @property
    def row(self) -> str:
        """The row of the documentation."""
        reason = f"`{self.reason}`" if self.reason else "none"
        cells = (self.name, reason, str(int(self.goes_up)), self.when, self.memory)
        return f"| {' | '.join(cells)} |\n"


def answering(handler: Handler, **keys: str) -> Way:
    """A server that answers each request like this."""

    def start(cleanup: ExitStack) -> Mapping[str, str]:
        return {"base_url": cleanup.enter_context(RawServer(handler)).base_url, **keys}

    return start


def status(line: str, body: bytes = b"<html>", headers: str = "") -> Way:
    """A response with this status line."""
    return answering(sends(answer(body, line, headers)))


def page(body: bytes, headers: str = "") -> Way:
    """A response with status 200."""
    return answering(sends(answer(body, headers=headers)))


# --- ways --------------------------------------------------------------------------------------


def refused(_: ExitStack) -> Mapping[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return {"base_url": f"http://127.0.0.1:{probe.getsockname()[1]}/client/v4"}


def black_hole(cleanup: ExitStack) -> Mapping[str, str]:
    """The port's accept queue is full, so nothing is ever answered."""
    listening = cleanup.enter_context(socket.socket())
    listening.bind(("127.0.0.2", 0))
    listening.listen(0)
    address = listening.getsockname()
    for _ in range(4):
        filler = cleanup.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(address)
    return {"base_url": f"http://127.0.0.2:{address[1]}/client/v4"}


def over_tls(name: str, **validity: object) -> Way:
    """A server with a certificate for this name; its CA is trusted if a time is given."""

    def start(cleanup: ExitStack) -> Mapping[str, str]:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name, **validity).configure_cert(context)  # type: ignore[arg-type]  # a time
        server = cleanup.enter_context(_tls_server(context))
        keys = {"base_url": f"https://127.0.0.1:{server}/client/v4"}
        if validity:
            trusted = cleanup.enter_context(authority.cert_pem.tempfile())
            keys["ca_file"] = trusted
        return keys

    return start


@contextmanager
def _tls_server(context: ssl.SSLContext) -> Iterator[int]:
    def handle(peer: socket.socket, _: str) -> None:
        peer.sendall(answer(listing([portal("a")])))

    class Server(RawServer):
        def _serve(self, connection: socket.socket) -> None:
            try:
                super()._serve(context.wrap_socket(connection, server_side=True))
            except (ssl.SSLError, OSError):
                connection.close()

    with Server(handle) as server:
        yield int(server.base_url.split(":")[2].split("/")[0])


def behind_proxy(line: str) -> Way:
    def start(cleanup: ExitStack) -> Mapping[str, str]:
        proxy = cleanup.enter_context(RawServer(sends(answer(b"", line))))
        return {
            "base_url": "https://api.example.com/client/v4",
            "proxy_url": proxy.base_url.removesuffix("/client/v4"),
        }

    return start


def without_token(cleanup: ExitStack) -> Mapping[str, str]:
    api = cleanup.enter_context(RawServer(sends(answer(listing([])))))
    return {"base_url": api.base_url, "api_token_file": "gone.token"}


def never(peer: socket.socket, _: str) -> None:
    peer.settimeout(TIMEOUT + 2)
    peer.recv(1)  # until the exporter disconnects


def dripping(peer: socket.socket, _: str) -> None:
    for byte in answer(listing([portal("a")])):
        peer.sendall(bytes([byte]))
        time.sleep(0.05)  # the fault


def late(peer: socket.socket, _: str) -> None:
    time.sleep(1.0)  # the fault
    peer.sendall(answer(listing([portal("a")])))


def by_page(pages: Callable[[int], bytes]) -> Handler:
    """A response per page number."""

    def handle(peer: socket.socket, head: str) -> None:
        number = int(head.split("page=")[1].split("&", maxsplit=1)[0].split(maxsplit=1)[0])
        peer.sendall(answer(pages(number)))

    return handle


def many(number: int) -> bytes:
    """A full page."""
    return listing([portal(f"p{number}-{one}") for one in range(20)])


def filled(unit: bytes) -> bytes:
    """A page of the maximum size, compressed."""
    before, after = b'{"success":true,"result":[', b"]}"
    count = (LIMIT - len(before) - len(after)) // len(unit)
    return gzip.compress(before + (unit * count).removesuffix(b",") + after)


ODD_SERVER = {"id": "s", "tools": "many"}
GZIP = "Content-Encoding: gzip\r\n"
UP = {"cloudflare_mcp_portals": 1.0}

FAULTS = (
    Fault("Nothing listens at the address", refused, "connection", RETRIED),
    Fault("Packets to the address are dropped", black_hole, "timeout", TIMED_OUT),
    Fault("The certificate authority is not trusted", over_tls("127.0.0.1"), "connection", RETRIED),
    Fault(
        "The proxy requires authentication",
        behind_proxy("407 Proxy Authentication Required"),
        "connection",
        RETRIED,
    ),
    Fault("The proxy cannot reach the API", behind_proxy("502 Bad Gateway"), "connection", RETRIED),
    Fault(
        "The connection is closed without a response", answering(sends(b"")), "connection", RETRIED
    ),
    Fault("The response is not HTTP", answering(sends(b"SSH-2.0-x\r\n")), "connection", RETRIED),
    Fault(
        "The response body is truncated",
        answering(sends(answer(b"{", length=500))),
        "connection",
        RETRIED,
    ),
    Fault("There is no response", answering(never), "timeout", TIMED_OUT),
    Fault("The response is sent one byte at a time", answering(dripping), "timeout", TIMED_OUT),
    Fault(
        "`scrape_timeout` is shorter than the listing",
        answering(late),
        "",
        shows={"cloudflare_mcp_up": 0.0},
        announced=0.2,
    ),
    Fault("401 in HTML", status("401 Unauthorized"), "auth"),
    Fault("403 with code 10000", status("403 Forbidden", refusal(10000)), "auth"),
    Fault("400 with code 6111", status("400 Bad Request", refusal(6111)), "auth"),
    Fault("The token file does not exist", without_token, "auth"),
    Fault("404 with code 7003", status("404 Not Found", refusal(7003)), "not_found"),
    Fault(
        "429 with `Retry-After`",
        status("429 Too Many Requests", refusal(971), "Retry-After: 60\r\n"),
        "rate_limited",
    ),
    Fault("Code 971 with another status", status("400 Bad Request", refusal(971)), "rate_limited"),
    Fault("400 with another code", status("400 Bad Request", refusal(7001)), "upstream_4xx"),
    Fault("500", status("500 Internal Server Error"), "upstream_5xx", RETRIED),
    Fault(
        "503 with `Retry-After`, from a proxy",
        status("503 Service Unavailable", headers="Retry-After: 999\r\n"),
        "upstream_5xx",
        RETRIED,
    ),
    Fault(
        "503 with `Retry-After`, from the API",
        status("503 Service Unavailable", refusal(1), "Retry-After: 60\r\n"),
        "upstream_5xx",
    ),
    Fault("200 with `success: false`", page(refusal(1234)), "api_error"),
    Fault("A redirect", status("302 Found", b"", "Location: http://[\r\n"), "invalid_response"),
    Fault("A login page", page(b"<html>Sign in</html>"), "invalid_response"),
    Fault("Truncated JSON", page(listing([portal("a")])[:-3]), "invalid_response"),
    Fault("Invalid gzip", page(b"{}", GZIP), "invalid_response"),
    Fault("Unsupported compression", page(b"{}", "Content-Encoding: br\r\n"), "invalid_response"),
    Fault(
        "Gzip that decompresses to far more than `max_response_size`",
        page(gzip.compress(bytes(1 << 26)), GZIP),
        "invalid_response",
        memory=SOME,
    ),
    Fault(
        "Gzip of 50,000 empty members", page(gzip.compress(b"") * 50_000, GZIP), "invalid_response"
    ),
    Fault(
        "More items than requested",
        page(filled(b"{},"), GZIP),
        "invalid_response",
        memory=SOME,
    ),
    Fault("Deeply nested JSON", page(filled(b"["), GZIP), "invalid_response", memory=SOME),
    Fault(
        "Endless pages",
        answering(by_page(many), timeout="60"),
        "invalid_response",
        PAGED,
        SOME,
    ),
    Fault(
        "Fewer items than `total_count` says",
        page(listing([portal("a")], total_count=5)),
        "incomplete",
    ),
    Fault(
        "An item that is not a portal",
        page(listing([portal("a"), 7])),
        "",
        shows={**UP, "cloudflare_mcp_skipped_records": 1.0},
    ),
    Fault(
        "A server with a field of the wrong type",
        page(listing([portal("a", (ODD_SERVER,))])),
        "",
        shows=UP,
    ),
    Fault(
        "An unknown value",
        page(listing([portal("a", ({"id": "s", "status": "new"},))])),
        "",
        shows=UP,
    ),
    Fault(
        "An interim response before the response",
        answering(sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(listing([portal("a")])))),
        "",
        shows=UP,
    ),
    Fault("A cookie", page(listing([portal("a")]), "Set-Cookie: a=b\r\n"), "", shows=UP),
)


def written(text: str) -> str:
    """The documentation page with the current table."""
    head, begin, _ = text.partition("| Failure |")
    titles = " `reason` | `up` | Response | Memory |\n| --- | --- | --- | --- | --- |\n"
    return head + begin + titles + "".join(fault.row for fault in FAULTS)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
