"""A real Prometheus scrapes the running exporter, and promtool reads what it says."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable

import pytest

from exporter.metrics.catalog import ALL, Metric
from exporter.simulator.server import Simulator
from processes import ROOT, Prometheus, RunningExporter, eventually, get
from realparts import require
from relay import relay

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: cloudflare-mcp
    static_configs: [{{targets: ["{target}"]}}]
"""

RunExporter = Callable[..., RunningExporter]
RunPrometheus = Callable[[str], Prometheus]


def stored_name(metric: Metric) -> str:
    """Under which a family of the catalog can be asked for."""
    return f"{metric.name}_count" if metric.kind == "histogram" else metric.name


def samples_of(exposition: bytes) -> int:
    return sum(line[:1] not in {"", "#"} for line in exposition.decode().splitlines())


@pytest.mark.parametrize(
    ("instead", "content_type"),
    [
        pytest.param({}, OPENMETRICS, id="as Prometheus asks"),
        pytest.param({"accept": "text/plain;version=0.0.4"}, TEXT, id="text format"),
    ],
)
def test_a_scrape_over_gzip_makes_every_family_of_the_catalog_queryable(
    simulator: Simulator,
    run_exporter: RunExporter,
    run_prometheus: RunPrometheus,
    instead: dict[str, str],
    content_type: str,
) -> None:
    exporter = run_exporter("--collector.servers", env=simulator.environment())
    with relay(exporter.url, **instead) as between:
        prometheus = run_prometheus(CONFIG.format(target=between.address))
        # The second scrape: the histogram of requests is about the listings before.
        eventually(
            lambda: prometheus.query("cloudflare_mcp_api_requests_total > 1"), "second scrape"
        )

        assert [value for _, value in prometheus.query('up{job="cloudflare-mcp"}')] == [1]
        missing = [m.name for m in ALL if not prometheus.query(stored_name(m))]
        assert missing == []
        assert [value for _, value in prometheus.query("cloudflare_mcp_up")] == [1]
        (scraped,) = prometheus.query("scrape_samples_scraped")

    first = between.passed[0]
    assert "gzip" in first.request["accept-encoding"]
    assert first.response["content-encoding"] == "gzip"
    assert first.response["content-type"] == content_type
    # Prometheus kept each sample that was sent: none was refused, none stood for two.
    assert scraped[1] in {samples_of(gzip.decompress(each.body)) for each in between.passed}


def test_when_the_api_is_gone_prometheus_sees_the_exporter_up_and_the_account_empty(
    simulator: Simulator, run_exporter: RunExporter, run_prometheus: RunPrometheus
) -> None:
    exporter = run_exporter(env=simulator.environment())
    target = exporter.url.removeprefix("http://")
    prometheus = run_prometheus(CONFIG.format(target=target))
    eventually(lambda: prometheus.query("cloudflare_mcp_server_info"), "servers")

    simulator.stop()
    eventually(lambda: prometheus.query("cloudflare_mcp_up == 0"), "broken listing")
    assert prometheus.query("cloudflare_mcp_server_info or cloudflare_mcp_portal_info") == []
    assert [value for _, value in prometheus.query("up")] == [1]
    # Scrapes end before the listing does, which retries for as long as the account's own timeout.
    counted = 'cloudflare_mcp_collection_failures_total{reason="connection"} >= 1'
    eventually(lambda: prometheus.query(counted), "failure of the connection counted")

    simulator.start()
    eventually(lambda: prometheus.query("cloudflare_mcp_server_info"), "servers again")


def test_every_query_in_the_reference_pages_gives_series(
    simulator: Simulator, run_exporter: RunExporter, run_prometheus: RunPrometheus
) -> None:
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    blocks = [
        block
        for page in pages
        for block in re.findall(
            r"^ *```promql\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL
        )
    ]
    assert blocks
    exporter = run_exporter(env=simulator.environment())
    prometheus = run_prometheus(CONFIG.format(target=exporter.url.removeprefix("http://")))
    eventually(lambda: prometheus.query("cloudflare_mcp_up"), "scrape")
    assert [block for block in blocks if not prometheus.query(block)] == []


def test_promtool_finds_nothing_to_say_about_the_exposition(
    simulator: Simulator, run_exporter: RunExporter
) -> None:
    exporter = run_exporter("--collector.servers", env=simulator.environment())
    text = get(f"{exporter.url}/metrics").content
    assert samples_of(text) > 100  # so that silence about nothing cannot pass
    checked = subprocess.run(
        [require("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
