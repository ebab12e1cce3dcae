"""Logs changes of an account's listings, once per change and not once per scrape."""

from __future__ import annotations

import logging

from exporter.errors import Reason
from exporter.logs import event
from exporter.model import Inventory
from exporter.scrape_result import ListingResult

LOG = logging.getLogger(__name__)

MAX_NAMED = 10_000
"""Maximum records and values named in the log, so that they do not fill memory."""


class ListingLog:
    """The log of one account; not thread-safe.

    Args:
        account_name: what people call it.
        outcomes: whether success and failure are logged; invalid records always are.
    """

    def __init__(self, account_name: str, *, outcomes: bool = True) -> None:
        self._account = account_name
        self._outcomes = outcomes
        self._state: Reason | str | None = "unknown"
        self._named: set[object] = set()

    def note(self, scrape: ListingResult) -> None:
        """Log what is new in this result."""
        state = None if scrape.failure is None else scrape.failure.reason
        if state != self._state and self._outcomes:
            self._log_state(scrape)
        self._state = state
        if scrape.inventory is not None:
            self._log_new(scrape.inventory)

    def _log_state(self, scrape: ListingResult) -> None:
        failure, inventory = scrape.failure, scrape.inventory
        if failure is not None:
            event(
                LOG,
                logging.ERROR,
                "listing failed",
                account=self._account,
                reason=failure.reason.value,
                error=str(failure),
                hint=failure.hint,
            )
            if failure.reason is Reason.INTERNAL:
                event(LOG, logging.DEBUG, "traceback", account=self._account, exc_info=failure)
        elif inventory is not None:
            event(
                LOG,
                logging.INFO,
                "listing succeeded" if self._state == "unknown" else "listing recovered",
                account=self._account,
                portals=len(inventory.portals),
                servers=len(inventory.servers),
                seconds=round(scrape.duration, 3),
            )

    def _log_new(self, inventory: Inventory) -> None:
        for skipped in inventory.skipped:
            if self._is_new(skipped):
                event(
                    LOG,
                    logging.WARNING,
                    "skipped invalid record",
                    account=self._account,
                    kind=skipped.kind,
                    where=skipped.where,
                    error=skipped.why,
                )
        for note in sorted(inventory.notes):
            if self._is_new(note):
                event(LOG, logging.WARNING, "unknown value", account=self._account, note=note)

    def _is_new(self, thing: object) -> bool:
        if thing in self._named or len(self._named) >= MAX_NAMED:
            return False
        self._named.add(thing)
        return True
