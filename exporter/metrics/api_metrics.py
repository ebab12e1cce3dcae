"""Metrics about requests to the API, per account."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from exporter.errors import Reason
from exporter.metrics import catalog as c

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: a page takes some 0.1 s; more than the usual scrape timeout of 10 s is a failure."""

REMAINING = re.compile(r"\br=(\d{1,9})\b")


class ApiMetrics:
    """Counters of one account. Thread-safe.

    They have a registry of their own, so that they disappear with the account.
    """

    def __init__(self, account_id: str) -> None:
        self.registry = CollectorRegistry()
        self._account_id = account_id
        self._lock = threading.Lock()
        self._remaining: float | None = None
        self._failures = Counter(
            c.COLLECTION_FAILURES.name,
            c.COLLECTION_FAILURES.help,
            c.COLLECTION_FAILURES.labels,
            registry=self.registry,
        )
        self._requests = Counter(
            c.API_REQUESTS.name,
            c.API_REQUESTS.help,
            c.API_REQUESTS.labels,
            registry=self.registry,
        )
        self._duration = Histogram(
            c.API_REQUEST_DURATION.name,
            c.API_REQUEST_DURATION.help,
            c.API_REQUEST_DURATION.labels,
            registry=self.registry,
            buckets=BUCKETS,
        ).labels(account_id)
        self._bytes = Counter(
            c.API_RESPONSE_BYTES.name,
            c.API_RESPONSE_BYTES.help,
            c.API_RESPONSE_BYTES.labels,
            registry=self.registry,
        ).labels(account_id)
        for reason in Reason:
            self._failures.labels(account_id, reason.value)
        # Alerts divide by these two, so their series must exist from the start.
        for code in ("200", "error"):
            self._requests.labels(account_id, code)

    @property
    def ratelimit_remaining(self) -> float | None:
        """Remaining requests by the last ``Ratelimit`` header; None before the first."""
        with self._lock:
            return self._remaining

    def listing_failed(self, reason: Reason) -> None:
        """A listing failed."""
        self._failures.labels(self._account_id, reason.value).inc()

    def request_done(
        self, code: str, seconds: float, size: int, headers: Mapping[str, str]
    ) -> None:
        """A request to the API ended; see `exporter.cloudflare.fetch.Observer`."""
        self._requests.labels(self._account_id, code).inc()
        self._duration.observe(seconds)
        self._bytes.inc(size)
        found = REMAINING.search(headers.get("Ratelimit", ""))
        if found:
            with self._lock:
                self._remaining = float(found[1])
