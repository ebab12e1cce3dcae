"""What the two hot paths cost, in calls and bytes: the same on a busy machine as on an idle one.

The bounds leave some room above what is needed now; what they are to notice is a step of another
size, such as schemas that are built after all or a sample that is formatted label by label. How
fast all this is, is the benchmark's question.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest

from exporter.cloudflare.decode import Page, decode_portals
from exporter.cloudflare.merge import build
from exporter.metrics.exposition import render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.scrape_result import ListingResult
from exporter.simulator.messages import envelope
from exporter.simulator.uniform_account import uniform_account

NOW = 1_767_229_200.0
PORTALS = 2
KIB = 1024


def body_of(*, servers: int, tools: int, schema: int = 0) -> bytearray:
    """A page of a uniform account; ``schema`` bytes are added to each tool."""
    portals = uniform_account(portals=PORTALS, servers=servers, tools=tools).portals(NOW)
    extra = {"_meta": {"example.com/text": "x" * schema}} if schema else {}
    for server in (server for portal in portals for server in portal["servers"]):
        server["tools"] = [{**tool, **extra} for tool in server["tools"]]
    return bytearray(envelope(portals, result_info={"total_count": PORTALS}))


def peak_of(act: Callable[[], object]) -> int:
    """Most bytes that Python holds at a time for it: the least of three, others may be at work."""
    act()  # what is made once for all does not count

    def measured() -> int:
        tracemalloc.start()
        try:
            act()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return min(measured() for _ in range(3))


def calls_in(act: Callable[[], object]) -> int:
    """Calls of functions, Python's and C's alike, that this thread makes for it."""
    act()
    count = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def scrape_of(pages: Iterable[Page]) -> ListingResult:
    return ListingResult("0" * 32, "example", 1.0, NOW, inventory=build(pages))


def exposition_of(scrape: ListingResult, form: Format) -> Iterable[bytes]:
    return render(families([scrape], NOW), (), form)


def test_decoding_a_page_takes_no_memory_for_schemas() -> None:
    small, large = body_of(servers=10, tools=20), body_of(servers=10, tools=20, schema=5000)
    assert len(large) - len(small) > PORTALS * 10 * 20 * 5000

    needed = peak_of(lambda: decode_portals(small))

    assert peak_of(lambda: decode_portals(large)) < needed + 8 * KIB


def test_decoding_a_page_takes_little_more_than_a_name_for_a_tool() -> None:
    few, many = body_of(servers=10, tools=20), body_of(servers=10, tools=80)

    added = peak_of(lambda: decode_portals(many)) - peak_of(lambda: decode_portals(few))

    assert added / (PORTALS * 10 * 60) < 160


def test_a_decoded_page_holds_nothing_of_its_tools() -> None:
    def kept(body: bytearray) -> int:
        decode_portals(body)
        tracemalloc.start()
        try:
            page = decode_portals(body)
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert page.ids
        return held

    without, many = body_of(servers=10, tools=0), body_of(servers=10, tools=80)
    assert min(kept(many) for _ in range(3)) < min(kept(without) for _ in range(3)) + 8 * KIB


def test_reading_a_server_takes_few_calls() -> None:
    few, many = body_of(servers=10, tools=20), body_of(servers=50, tools=20)

    added = calls_in(lambda: decode_portals(many)) - calls_in(lambda: decode_portals(few))

    assert added / (PORTALS * 40) < 160


def test_merging_a_server_into_the_account_takes_few_calls() -> None:
    few = decode_portals(body_of(servers=10, tools=5))
    many = decode_portals(body_of(servers=50, tools=5))

    added = calls_in(lambda: build([many])) - calls_in(lambda: build([few]))

    assert added / (PORTALS * 40) < 16


@pytest.mark.parametrize("form", Format, ids=lambda form: form.name.lower())
def test_rendering_a_sample_takes_few_calls(form: Format) -> None:
    few = scrape_of([decode_portals(body_of(servers=10, tools=5))])
    many = scrape_of([decode_portals(body_of(servers=50, tools=5))])
    lines = [b"".join(exposition_of(scrape, form)).count(b"\n") for scrape in (few, many)]

    def calls(scrape: ListingResult) -> int:
        return calls_in(lambda: deque(exposition_of(scrape, form), maxlen=0))

    assert (calls(many) - calls(few)) / (lines[1] - lines[0]) < 6
