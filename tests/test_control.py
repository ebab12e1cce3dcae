"""Reload and configuration over HTTP, asked for by pages and crowds that have no business there."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from exporter.web.public_address import PublicAddress
from processes import RunningExporter, get
from webserver import Source, site
from webserver import WebServer as Served

RunExporter = Callable[..., RunningExporter]

PROXY = "https://metrics.example.com/mcp"


class Control:
    """Counts its reloads."""

    def __init__(self) -> None:
        self.reloads = 0

    async def reload(self) -> str | None:
        self.reloads += 1
        return None

    async def effective_config(self) -> str:
        return ""


def reload(served: Served, method: str, **headers: str) -> int:
    """The status; header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.ask("/-/reload", method, headers=named)[0]


# --- whose page it is --------------------------------------------------------------------------

FOREIGN = {
    "cross-site": {"Sec_Fetch_Site": "cross-site"},
    "same-site": {"Sec_Fetch_Site": "same-site"},
    "unknown site": {"Sec_Fetch_Site": "new-word"},
    "two sites": {"Sec_Fetch_Site": "same-origin, cross-site"},
    "cross-site with an own origin": {"Sec_Fetch_Site": "cross-site", "Origin": "http://own:1"},
    "other origin": {"Origin": "http://evil.example.com"},
    "other port": {"Origin": "http://own:2"},
    "own host as a prefix": {"Origin": "http://own:1.evil.example.com"},
    "own host as a user": {"Origin": "http://own:1@evil.example.com"},
    "origin null": {"Origin": "null"},
    "other scheme": {"Origin": "file://own:1"},
    "no scheme": {"Origin": "own:1"},
    "two origins": {"Origin": "http://own:1, http://evil.example.com"},
}
OWN = {
    "no browser": {},
    "empty headers": {"Sec_Fetch_Site": "", "Origin": ""},
    "same origin": {"Sec_Fetch_Site": "same-origin"},
    "the user himself": {"Sec_Fetch_Site": "none"},
    "origin of an older browser": {"Origin": "http://own:1"},
    "origin in other letters": {"Origin": "HTTP://OWN:1"},
}


@pytest.mark.parametrize("external_url", ["", PROXY])
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_page_of_another_origin_reloads_nothing(
    headers: dict[str, str], external_url: str
) -> None:
    control = Control()
    where = PublicAddress("", external_url)
    with site(Source(), control=control, lifecycle=True, site=where) as served:
        assert reload(served, "POST", Host="own:1", **headers) == 403
        assert reload(served, "PUT", Host="own:1", **headers) == 405
    assert control.reloads == 0


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN.keys())
def test_the_exporters_own_page_and_programs_reload(headers: dict[str, str]) -> None:
    control = Control()
    with site(Source(), control=control, lifecycle=True) as served:
        assert reload(served, "POST", Host="own:1", **headers) == 200
    assert control.reloads == 1


@pytest.mark.parametrize(
    ("external_url", "origin", "host", "status"),
    [
        (PROXY, "https://metrics.example.com", "127.0.0.1:10180", 200),
        (PROXY, "https://metrics.example.com:443", "127.0.0.1:10180", 200),
        ("https://Metrics.Example.com:443/", "https://metrics.example.com", "inside", 200),
        ("http://metrics.example.com:8080", "http://metrics.example.com:8080", "inside", 200),
        (PROXY, "http://metrics.example.com", "127.0.0.1:10180", 403),
        (PROXY, "https://other.example.com", "127.0.0.1:10180", 403),
        ("", "https://metrics.example.com", "127.0.0.1:10180", 403),
        # A proxy that hands the host on and takes the encryption away.
        ("", "https://metrics.example.com", "metrics.example.com", 200),
    ],
)
def test_behind_a_proxy_the_external_url_is_the_own_origin(
    external_url: str, origin: str, host: str, status: int
) -> None:
    where = PublicAddress("", external_url)
    with site(Source(), control=Control(), lifecycle=True, site=where) as served:
        assert reload(served, "POST", Host=host, Origin=origin) == status


# --- crowds ------------------------------------------------------------------------------------


def ask_and_leave(port: int, request: str, times: int) -> None:
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@pytest.mark.parametrize("request_line", ["GET /config", "POST /-/reload"])
def test_six_hundred_abandoned_requests_do_not_keep_a_reload_waiting(
    tmp_path: Path, run_exporter: RunExporter, request_line: str
) -> None:
    file = tmp_path / "config.yml"
    accounts = [
        {"name": f"account {one}", "account_id": f"{one:032x}", "api_token": f"{one:040x}"}
        for one in range(300)
    ]
    file.write_text(yaml.safe_dump({"accounts": accounts}))
    exporter = run_exporter("--config.file", str(file), "--web.enable-lifecycle")
    port = urlsplit(exporter.url).port
    assert port is not None
    ask_and_leave(port, request_line, 600)
    accounts[0]["name"] = "renamed"
    file.write_text(yaml.safe_dump({"accounts": accounts}))
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/-/reload")
        assert connection.getresponse().status == 200
    assert time.monotonic() - began < 5
    # Whatever loads share, this one came after the file was written.
    assert get(f"{exporter.url}/sd").json()[0]["labels"]["account"] == "renamed"
