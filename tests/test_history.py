"""What is remembered from one listing to the next: what is gone, since when, and how much of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import accounts as made
from exporter.accounts import Accounts
from exporter.collector import AccountCollector
from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.history import KEPT_FOR, MAX_GONE, History, remember
from exporter.metrics.api_metrics import ApiMetrics
from exporter.model import Inventory, Server, Skipped
from exporter.redaction import KnownSecrets
from exporter.scrape_result import AccountState
from exporter.settings import Account, Credentials, Secret
from exporter.simulator.server import Simulator

WIKI, CHAT, CODE = made.server("wiki"), made.server("chat"), made.server("code", tools=None)
WHOLE = made.inventory(
    made.portal("dev", WIKI, CHAT, CODE), made.portal("help", CHAT), shown={("dev", "wiki"): 5}
)


def told(*listings: Inventory) -> History:
    """The history after these listings, which ended at 100, 200, 300 and so on."""
    history = History()
    for number, listing in enumerate(listings, 1):
        history = remember(history, listing, 100.0 * number)
    return history


def without(*identities: str) -> Inventory:
    """`WHOLE` without these portals and servers."""
    portals = [
        made.portal(item.portal.id, *(one for one in item.servers if one.id not in identities))
        for item in WHOLE.portals
        if item.portal.id not in identities
    ]
    return made.inventory(*portals)


def test_the_first_listing_has_lost_nothing() -> None:
    history = told(WHOLE)
    assert (history.began, history.gone, dict(history.held)) == (100.0, (), {})


def test_a_portal_is_gone_with_its_servers_and_the_tools_that_it_showed() -> None:
    # Its server is gone from this portal too, which the portal's own entry says already.
    (entry,) = told(WHOLE, WHOLE, without("help")).gone
    assert (entry.identity, entry.portal_name) == (("portal", "help", ""), "Help")
    assert (entry.last_seen, entry.noticed) == (200.0, 300.0)
    assert (entry.servers, entry.tools, entry.unread) == (1, 12, False)


def test_a_server_is_gone_with_its_tools_and_portals() -> None:
    (entry,) = told(WHOLE, without("chat")).gone
    assert (entry.identity, entry.server_name) == (("server", "", "chat"), "Chat")
    assert (entry.tools, entry.portals) == (12, ("Dev", "Help"))


def test_a_server_leaves_a_portal_while_both_still_exist() -> None:
    dev = made.portal("dev", CHAT, CODE)
    (entry,) = told(WHOLE, made.inventory(dev, made.portal("help", CHAT, WIKI))).gone
    assert entry.identity == ("attachment", "dev", "wiki")
    assert (entry.portal_name, entry.server_name, entry.tools) == ("Dev", "Wiki", 5)


def test_what_is_there_again_is_not_gone() -> None:
    assert told(WHOLE, without("help"), WHOLE).gone == ()


def test_it_stays_gone_over_further_listings_and_for_a_day() -> None:
    gone = without("help")
    history = told(WHOLE, gone, gone, gone)
    assert [entry.noticed for entry in history.gone] == [200.0]
    assert history.recent(200.0 + KEPT_FOR) == history.gone
    assert history.recent(201.0 + KEPT_FOR) == ()
    assert remember(history, gone, 201.0 + KEPT_FOR).gone == ()


def test_the_newest_comes_first() -> None:
    history = told(WHOLE, without("help"), without("help", "wiki"))
    assert [entry.identity[0] for entry in history.gone] == ["server", "portal"]


def test_a_listing_with_unreadable_records_says_that_it_may_be_one_of_these() -> None:
    garbled = msgspec.structs.replace(
        without("help"), skipped=(Skipped("portal", "item 1", "it has no id"),)
    )
    (entry,) = told(WHOLE, garbled).gone
    assert entry.unread


def test_a_mass_deletion_is_bounded_and_says_so() -> None:
    many = made.large_account(MAX_GONE + 100).whole
    assert many is not None
    assert many.inventory is not None
    history = told(many.inventory, made.inventory())
    assert len(history.gone) == MAX_GONE
    assert history.forgotten == 200.0
    assert told(WHOLE, without("help")).forgotten is None


# --- since when --------------------------------------------------------------------------------

DOWN = msgspec.structs.replace(WIKI, in_error=True, error_class=made.UNREACHABLE)
DENIED = msgspec.structs.replace(WIKI, in_error=True, error_class=made.REFUSED)


def alone(server: Server) -> Inventory:
    return made.inventory(made.portal("dev", server))


@pytest.mark.parametrize(
    ("servers", "held"),
    [
        ((WIKI, WIKI), None),
        ((DOWN, DOWN), ("unreachable", 100.0)),
        ((WIKI, DOWN, DOWN), ("unreachable", 200.0)),
        ((DOWN, DENIED), ("error", 200.0)),
        ((DOWN, WIKI, DOWN), ("unreachable", 300.0)),
        ((DOWN, WIKI), None),
    ],
)
def test_a_condition_is_held_since_the_first_listing_of_its_row(
    servers: tuple[Server, ...], held: tuple[str, float] | None
) -> None:
    found = told(*map(alone, servers)).held.get("wiki")
    assert (found and (found.condition, found.since)) == held


# --- where it is kept --------------------------------------------------------------------------


def test_the_collector_keeps_it_over_failures_and_hands_it_to_its_successor() -> None:
    listings: list[Inventory | Exception] = [
        WHOLE,
        ListingError(Reason.CONNECTION, "refused"),
        without("help"),
    ]

    async def list_account(deadline: Deadline) -> Inventory:
        outcome = listings.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def collector(before: AccountState | None = None) -> AccountCollector:
        return AccountCollector(
            made.ID, "Main", list_account, ApiMetrics(made.ID), before=before, wall_clock=iter_clock
        )

    times = iter(float(number) for number in range(100))

    def iter_clock() -> float:
        return next(times)

    async def run() -> AccountCollector:
        first = collector()
        await first.scrape()
        await first.scrape()
        assert first.observed.history.gone == ()
        second = collector(first.observed)
        await second.scrape()
        return second

    history = asyncio.run(run()).observed.history
    assert [entry.identity for entry in history.gone] == [("portal", "help", "")]
    assert history.began == 0.0


def test_servers_in_no_portal_are_not_gone_where_they_are_listed_no_more() -> None:
    with Simulator() as api:

        def account(*, collect_servers: bool) -> Account:
            return Account(
                name="Main",
                account_id=api.account_id,
                credentials=Credentials(token=Secret(text=api.token)),
                base_url=api.base_url,
                collect_servers=collect_servers,
            )

        async def run() -> History:
            accounts = Accounts([account(collect_servers=True)], KnownSecrets())
            await accounts.scrape(None)
            accounts.replace([account(collect_servers=False)])
            await accounts.scrape(None)
            return accounts.observed()[0].history

        history = asyncio.run(run())
    assert history.gone == ()
    assert history.last is not None
