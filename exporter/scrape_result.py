"""The result of listing one account: the value between the collector and the exposition."""

from __future__ import annotations

import msgspec

from exporter.errors import ListingError
from exporter.history import History
from exporter.model import Inventory


class ListingResult(msgspec.Struct, frozen=True):
    """The result of one listing.

    Attributes:
        account_id: of the account.
        account_name: its configured name, or its id.
        duration: seconds that the listing took.
        ended: Unix time at which it ended.
        inventory: the account; None if the listing failed.
        failure: why the listing failed; None if it did not.
        last_success: Unix time at which the last complete listing ended, including this one.
        ratelimit_remaining: the remaining quota that the API last reported.
    """

    account_id: str
    account_name: str
    duration: float
    ended: float
    inventory: Inventory | None = None
    failure: ListingError | None = None
    last_success: float | None = None
    ratelimit_remaining: float | None = None


class AccountState(msgspec.Struct, frozen=True):
    """What is known about an account without asking the API.

    Attributes:
        account_id: of the account.
        account_name: its configured name, or its id.
        latest: the result of the last finished listing; None before the first.
        whole: the last complete listing, possibly an earlier one; None before the first.
        history: what the complete listings so far have shown.
    """

    account_id: str
    account_name: str
    latest: ListingResult | None = None
    whole: ListingResult | None = None
    history: History = History()
