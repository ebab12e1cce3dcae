"""Probes understand servers of the official SDK, of every era that it serves."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from exporter.deadline import Deadline
from exporter.probes.mcp import Era
from exporter.probes.result import Drift, Outcome
from exporter.probes.server import ServerProbe, ServerTarget
from mcpserver import ROUTE
from sdkpeers import peer

STORED = frozenset(map(hash, ["add", "gone"]))
Peer = tuple[str, str, Era, str, int | None]
PEERS: list[Peer] = [
    ("modern", "stream", Era.MODERN, "2026-07-28", 2),
    ("legacy", "json", Era.LEGACY, "2025-11-25", 2),
    ("legacy", "stream", Era.LEGACY, "2025-11-25", 2),
    ("legacy", "sse", Era.SSE, "2024-11-05", None),
]


@pytest.mark.parametrize("known", PEERS, ids=lambda known: "-".join(map(str, known[:2])))
def test_a_server_of_the_sdk_is_alive_and_lists_its_tools(known: Peer, tmp_path: Path) -> None:
    line, mode, era, version, tools = known
    with peer(line, mode, tmp_path) as (url, _):
        target = ServerTarget("one", url, "unauthenticated", STORED)
        remembered = None
        for _ in range(2):
            probe = ServerProbe(target, ROUTE, Deadline(20), remembered)
            found = probe.run()
            assert (found.outcome, found.success) == (Outcome.OK, True), found
            assert (probe.era, found.protocol_version, found.tools) == (era, version, tools)
            assert found.drift == (None if tools is None else Drift(added=1, removed=1))
            remembered = probe.era


def test_no_session_is_left_on_a_legacy_server_after_many_probes(tmp_path: Path) -> None:
    with peer("legacy", "json", tmp_path) as (url, child):
        target = ServerTarget("one", url, "unauthenticated")
        remembered = None
        found: list[Outcome] = []
        for number in range(40):
            # Half of them give up before the answer.
            seconds = 20 if number % 2 == 0 else 0.003
            probe = ServerProbe(target, ROUTE, Deadline(seconds), remembered)
            timer = threading.Timer(seconds, probe.interrupt)
            timer.start()
            found.append(probe.run().outcome)
            timer.cancel()
            remembered = probe.era or remembered
        assert Counter(found) == {Outcome.OK: 20, Outcome.TIMEOUT: 20}
        created = child.log.count("Created new transport")
        ended = child.log.count("Terminating session")
        assert created > 0
        assert ended == created, child.log[-2000:]
