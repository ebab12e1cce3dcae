"""Seconds and bytes of the status page and of its JSON, over the exporter's own server.

The first page of a process also loads the template engine. Between two listings a page is made
once; what the next ones cost is measured too.
"""

from __future__ import annotations

import http.client
import statistics
import time

from benchmarks import candidates as c
from benchmarks.processes import HOST, Program
from benchmarks.upstream import Size, Upstream

SERVERS = Size(20, 80, 5)
"""1,600 servers, 160 of them broken."""

PATHS = {
    "overview": "/",
    "list of servers": "/?view=servers",
    "JSON": "/api/v1/status",
}


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """By what is asked for: seconds of the first, of one made again and of an unchanged one."""
    with Upstream(SERVERS) as upstream, c.ours().start(upstream.environment) as program:
        return {name: _measured(program, path, rounds) for name, path in PATHS.items()}


def _measured(program: Program, path: str, rounds: int) -> dict[str, float]:
    program.scrape()
    first, body, tag = _get(program, path)
    again, unchanged = [], []
    for _ in range(rounds):
        program.scrape()
        seconds, _, tag = _get(program, path)
        again.append(seconds)
        seconds, nothing, _ = _get(program, path, tag)
        if nothing:
            raise AssertionError("an unchanged page was sent again")
        unchanged.append(seconds)
    return {
        "first": first,
        "made again": statistics.median(again),
        "unchanged": statistics.median(unchanged),
        "bytes": float(len(body)),
    }


def _get(program: Program, path: str, tag: str = "") -> tuple[float, bytes, str]:
    """Seconds, the body and its tag."""
    connection = http.client.HTTPConnection(HOST, program.port, timeout=30)
    headers = {"If-None-Match": tag} if tag else {}
    begin = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - begin
    connection.close()
    return seconds, body, answer.headers["ETag"]
