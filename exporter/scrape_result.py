"""What one scrape knows of one account: the value between the collector and the exposition."""

from __future__ import annotations

import msgspec

from exporter.errors import ListingError
from exporter.model import Inventory


class Scrape(msgspec.Struct, frozen=True):
    """The outcome of one listing.

    Attributes:
        account_id: of the account.
        account_name: its configured name, or its id.
        duration: seconds that the listing took.
        ended: Unix time at which it ended.
        inventory: the account; None where it could not be listed whole.
        failure: why not; None where it could.
        last_success: Unix time at which the last whole listing ended, this one included.
        ratelimit_remaining: what the API last said of the quota that is left.
    """

    account_id: str
    account_name: str
    duration: float
    ended: float
    inventory: Inventory | None = None
    failure: ListingError | None = None
    last_success: float | None = None
    ratelimit_remaining: float | None = None


class Observed(msgspec.Struct, frozen=True):
    """What is known of an account without asking the API.

    Attributes:
        account_id: of the account.
        account_name: its configured name, or its id.
        latest: the outcome of the last listing that is done; None before the first.
        whole: the last whole listing, which may be an earlier one; None before the first.
    """

    account_id: str
    account_name: str
    latest: Scrape | None = None
    whole: Scrape | None = None
