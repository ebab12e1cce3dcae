"""Whether two expositions say the same of an account."""

from __future__ import annotations

import re

CHANGING = frozenset(
    f"cloudflare_mcp_{name}"
    for name in (
        "collection_duration_seconds",
        "last_success_timestamp_seconds",
        "portal_sync_staleness_seconds",
        "server_sync_staleness_seconds",
    )
)
"""Of these the series are compared and not the values: they differ from scrape to scrape."""

_TYPE = re.compile(rb"^# TYPE (cloudflare_mcp_(?!exporter_)\w+ \w+)$", re.MULTILINE)
_SAMPLE = re.compile(rb"^(cloudflare_mcp_(?!exporter_|api_)(\w+))(\{.*\})? (\S+)$", re.MULTILINE)
SHOWN = 5


def families(text: bytes) -> set[str]:
    """Name and type of each family about the account, in text format 0.0.4."""
    return {found.decode() for found in _TYPE.findall(text)}


def samples(text: bytes) -> set[str]:
    """Each sample about the account as a line; counts of requests left out."""
    found = set()
    for name, _, labels, value in _SAMPLE.findall(text):
        line = f"{name.decode()}{labels.decode()}"
        found.add(line if name.decode() in CHANGING else f"{line} {value.decode()}")
    return found


def differences(ours: bytes, theirs: bytes) -> list[str]:
    """The first lines that only one of two expositions has; a listing must have worked."""
    if b"\ncloudflare_mcp_up{" not in ours or not re.search(
        rb"^\w+_up\{.*\} 1", ours, re.MULTILINE
    ):
        return ["the account could not be listed"]
    found = []
    for what in (families, samples):
        left, right = what(ours), what(theirs)
        found += [f"ours only: {line}" for line in sorted(left - right)[:SHOWN]]
        found += [f"theirs only: {line}" for line in sorted(right - left)[:SHOWN]]
    return found


def sample_count(text: bytes) -> int:
    """Samples of an exposition."""
    return sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))
