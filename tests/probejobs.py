"""The scrape jobs of live probes, as the documentation has them."""

from __future__ import annotations

import re
from typing import Any

import yaml

from processes import ROOT


def documented_jobs(url: str, interval: str) -> dict[str, Any]:
    """The configuration of the page, for the exporter at this URL and in a hurry."""
    page = (ROOT / "docs" / "operating" / "probes.md").read_text()
    found = re.search(r"<!-- jobs -->\s+```yaml\n(.*?)```", page, re.DOTALL)
    assert found
    text = found[1].replace("localhost:10180", url.removeprefix("http://"))
    text = text.replace("scrape_interval: 1m", f"scrape_interval: {interval}")
    config: dict[str, Any] = yaml.safe_load(
        text.replace("scrape_timeout: 15s", f"scrape_timeout: {interval}")
    )
    return config
