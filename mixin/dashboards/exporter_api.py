"""The API as the exporters see it: requests, time, bytes, and what is left of the quota."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, graph, query, steps
from mixin.dashboards.promql import ACCOUNT, account_named, one, rate, select

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import timeseries

    from mixin.thresholds import Thresholds


def row(thresholds: Thresholds) -> Row:
    """Four graphs and the skipped records."""
    return Row("API", (_requests(), _quota(thresholds), _latency(), _bytes(), _skipped()))


def _requests() -> timeseries.Panel:
    return graph(
        Text(
            "Requests by status code",
            "Requests a second of all exporters together. 401 and 403: the token; 429: too many "
            "requests by this API user, so scrape less often; error: no answer came, look at the "
            "network.",
            "No exporter is scraped",
        ),
        Look(unit="reqps", width=12),
        [query(rate(c.API_REQUESTS, "code"), "{{code}}")],
        stacked=True,
    )


def _quota(thresholds: Thresholds) -> timeseries.Panel:
    left = f"min by ({ACCOUNT}) ({select(c.API_RATELIMIT_REMAINING)})"
    return graph(
        Text(
            "Rate limit left",
            "Requests that the API would still take in its window. Below the line the alert "
            "begins: everything else of that API user, its dashboard too, is about to be blocked. "
            "Scrape less often, or give the exporter a user of its own.",
            "The API has not told",
        ),
        Look(
            unit="short",
            steps=steps((thresholds.quota_remaining, states.GOOD), base=states.BAD),
            width=12,
        ),
        [query(account_named(left), "{{account_name}}")],
        line_at_threshold=True,
    )


def _latency() -> timeseries.Panel:
    buckets = select(c.API_REQUEST_DURATION).replace(
        c.API_REQUEST_DURATION.name, f"{c.API_REQUEST_DURATION.name}_bucket"
    )
    by_bucket = f"sum by (le) (rate({buckets}[$__rate_interval]))"
    return graph(
        Text(
            "Time of a request",
            "From sending a request to the end of the answer. If it climbs towards the scrape "
            "timeout, listings will fail: look for a slow network or proxy, then raise the "
            "timeout.",
            "No request in this time",
        ),
        Look(unit="s", width=12),
        [
            query(f"histogram_quantile({quantile}, {by_bucket})", name, ref=ref)
            for ref, quantile, name in (("A", 0.5, "median"), ("B", 0.99, "99th percentile"))
        ],
    )


def _bytes() -> timeseries.Panel:
    return graph(
        Text(
            "Bytes read",
            "Bytes of answers after decompression: most of it are the tools' schemas. It grows "
            "with the catalogs; a jump explains a slower listing.",
            "No exporter is scraped",
        ),
        Look(unit="Bps", width=12),
        [query(account_named(rate(c.API_RESPONSE_BYTES, ACCOUNT)), "{{account_name}}")],
    )


def _skipped() -> timeseries.Panel:
    skipped = account_named(one(c.SKIPPED_RECORDS, by=("kind",)))
    return graph(
        Text(
            "Records skipped over time",
            "Portals and servers left out because they could not be read. Above the line the alert "
            "begins; the exporter's log names each once.",
            "No account is listed",
        ),
        Look(unit="short", steps=steps((1, states.BAD)), height=6),
        [query(skipped, "{{account_name}}: {{kind}}")],
        line_at_threshold=True,
    )
