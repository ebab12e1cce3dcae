"""Which samples the accounts of one exposition have beside each other."""

from __future__ import annotations

from typing import Any

import msgspec

from exporter.cloudflare.decode import decode_portals
from exporter.cloudflare.merge import build
from exporter.errors import ListingError, Reason
from exporter.metrics.exposition import render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.scrape_result import ListingResult
from rawserver import listing, portal
from watching import samples, value

NOW = 1773320400.0
FAILED = ListingResult(
    account_id="b",
    account_name="B",
    duration=9.0,
    ended=NOW,
    failure=ListingError(Reason.TIMEOUT, "too late"),
)


def listed(account: str, *portals: Any, remaining: float | None = None) -> ListingResult:
    return ListingResult(
        account_id=account,
        account_name=account.upper(),
        duration=0.5,
        ended=NOW,
        inventory=build([decode_portals(listing(list(portals)))]),
        last_success=NOW,
        ratelimit_remaining=remaining,
    )


def exposed(*scrapes: ListingResult) -> str:
    return b"".join(render(families(scrapes, NOW), (), Format.TEXT)).decode()


def test_an_account_that_failed_takes_nothing_from_those_before_and_after_it() -> None:
    text = exposed(listed("a", portal("p")), FAILED, listed("c", portal("q")))
    ups = [value(text, "cloudflare_mcp_up", account_id=one) for one in "abc"]
    assert ups == [1, 0, 1]
    assert value(text, "cloudflare_mcp_portal_info", account_id="a", portal_id="p") == 1
    assert value(text, "cloudflare_mcp_portal_info", account_id="c", portal_id="q") == 1
    of_the_failed = {name for name, labels in samples(text) if ("account_id", "b") in labels}
    assert of_the_failed == {
        "cloudflare_mcp_up",
        "cloudflare_mcp_account_info",
        "cloudflare_mcp_collection_duration_seconds",
        "cloudflare_mcp_collection_failed",
    }


def test_the_accounts_of_an_exposition_are_told_apart_by_their_id_alone() -> None:
    first, second = listed("a", portal("p")), listed("b", portal("p"))
    both = samples(exposed(first, second))
    assert both == samples(exposed(first)) | samples(exposed(second))


def test_skipped_records_are_counted_by_kind() -> None:
    text = exposed(listed("a", 5, 6, portal("p", ({"name": "no id"},))))
    assert value(text, "cloudflare_mcp_skipped_records", kind="portal") == 2
    assert value(text, "cloudflare_mcp_skipped_records", kind="server") == 1


def test_what_is_left_of_the_quota_is_shown_where_the_api_said_so() -> None:
    name = "cloudflare_mcp_api_ratelimit_remaining"
    assert value(exposed(listed("a", remaining=7.0)), name) == 7
    assert value(exposed(listed("a")), name) is None
    assert value(exposed(msgspec.structs.replace(FAILED, ratelimit_remaining=0.0)), name) == 0
