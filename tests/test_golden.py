"""Whole expositions, byte for byte: an answer of the API in, what Prometheus gets out.

``UPDATE_GOLDEN=1 python -m pytest tests/test_golden.py`` writes the expected files anew; the
difference is then yours to read.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.accounts import Accounts
from exporter.metrics.formats import Format
from exporter.redaction import KnownSecrets
from exporter.settings import Account, Credentials, Secret
from processes import get
from rawserver import Handler, RawServer, answer
from realparts import require
from serving import ACCEPT, accounts_at, serving
from watching import TOKEN, samples, value

GOLDEN = Path(__file__).parent / "golden"

# One hour after the moment that the reference page's example names everywhere.
REFERENCE_NOW = datetime(2019, 12, 27, 19, 11, 19, 117_000, UTC).timestamp()
ACCOUNT_NOW = datetime(2026, 3, 12, 12, 0, 0, tzinfo=UTC).timestamp()

SUFFIX = {Format.TEXT: "txt", Format.OPENMETRICS: "openmetrics.txt"}

OTHERS = re.compile(r"# HELP (?:process|python)_.*?(?=# HELP |# EOF|\Z)", re.DOTALL)
TIMINGS = re.compile(
    r"^(cloudflare_mcp_(?:collection_duration_seconds{.*}"
    r'|api_request_duration_seconds_(?:sum{.*}|bucket{.*le="[0-9.]+"}))) .*$',
    re.MULTILINE,
)
BUILD = re.compile(r'((?:python_)?version|revision)="[^"]*"')


def normalized(text: str) -> str:
    """The exposition without what differs between two runs, and nothing else.

    ``process_*`` and ``python_*``, which are prometheus_client's, go; how long the listing and
    its requests took becomes 0; the three labels of the build become empty.
    """
    lines = TIMINGS.sub(r"\1 0.0", OTHERS.sub("", text)).splitlines(keepends=True)
    build = "cloudflare_mcp_exporter_build_info{"
    return "".join(BUILD.sub(r'\1=""', one) if one.startswith(build) else one for one in lines)


def replies(portals: str, servers: str | None = None) -> Handler:
    """Answers a list of portals, and one of servers, by files of this folder."""

    def handle(connection: socket.socket, head: str) -> None:
        name = servers if servers and "/mcp/servers?" in head else portals
        body = (GOLDEN / name).read_bytes()
        connection.sendall(answer(body, headers="Content-Type: application/json\r\n"))

    return handle


def expose(case: str, form: Format) -> str:
    """What the web application answers to a scrape of the case."""
    whole = case == "account"
    handler = replies(f"{case}.json", "account-servers.json" if whole else None)
    now = ACCOUNT_NOW if whole else REFERENCE_NOW
    with (
        RawServer(handler) as api,
        serving(accounts_at(api.base_url, now, collect_servers=whole)) as url,
    ):
        reply = get(f"{url}/metrics", headers={"Accept": ACCEPT[form]})
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == form.content_type
    return reply.content.decode()


CASES = pytest.mark.parametrize("case", ["reference", "account"])


@CASES
@pytest.mark.parametrize("form", Format, ids=lambda form: form.name.lower())
def test_the_exposition_is_the_expected_one_whole(case: str, form: Format) -> None:
    text = normalized(expose(case, form))
    file = GOLDEN / f"{case}.{SUFFIX[form]}"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8", newline="")
    assert text == file.read_bytes().decode()


@CASES
def test_promtool_has_nothing_to_say_about_the_exposition(case: str) -> None:
    text = expose(case, Format.TEXT)
    ended = subprocess.run(
        [require("promtool"), "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (ended.stdout + ended.stderr).decode() == ""
    assert ended.returncode == 0


@CASES
def test_both_formats_parse_and_say_the_same(case: str) -> None:
    text = normalized(expose(case, Format.TEXT))
    openly = normalized(expose(case, Format.OPENMETRICS))
    as_text = {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    as_openmetrics = {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in openmetrics.text_string_to_metric_families(openly)  # type: ignore[no-untyped-call]  # of prometheus_client
        for sample in family.samples
    }
    assert as_text == as_openmetrics
    assert len(as_text) > 60


def test_the_requests_of_all_accounts_are_one_family_which_can_be_selected() -> None:
    ids = [f"{number}123456789abcdef0123456789abcdef" for number in range(2)]
    requests, seconds = (
        "cloudflare_mcp_api_requests_total",
        "cloudflare_mcp_api_request_duration_seconds",
    )
    with RawServer(replies("reference.json")) as api:
        accounts = [
            Account(
                name=one,
                account_id=one,
                credentials=Credentials(token=Secret(text=TOKEN)),
                base_url=api.base_url,
            )
            for one in ids
        ]
        with serving(Accounts(accounts, KnownSecrets([TOKEN]))) as url:
            text = get(f"{url}/metrics").text
            selected = {
                name: get(f"{url}/metrics", params={"name[]": name}).text
                for name in (requests, seconds, f"{seconds}_count")
            }
    assert [value(text, requests, account_id=one, code="200") for one in ids] == [1, 1]
    assert text.count(f"# TYPE {requests} ") == text.count(f"# TYPE {seconds} ") == 1
    for name, found in selected.items():
        family = name.removesuffix("_count")
        assert re.findall("^# TYPE (.*?) ", found, re.MULTILINE) == [family]
        assert {dict(labels)["account_id"] for _, labels in samples(found)} == set(ids)


def test_only_what_varies_is_normalized() -> None:
    text = expose("reference", Format.TEXT)
    before, after = text.splitlines(), normalized(text).splitlines()
    changed = [line.split("{")[0].split()[0] for line in after if line not in before]
    assert set(changed) <= {
        "cloudflare_mcp_collection_duration_seconds",
        "cloudflare_mcp_api_request_duration_seconds_sum",
        "cloudflare_mcp_api_request_duration_seconds_bucket",
        "cloudflare_mcp_exporter_build_info",
    }
    gone = [line for line in before if line not in after and line.split("{")[0] not in changed]
    prefixes = ("process_", "python_", "# HELP p", "# TYPE p", "cloudflare_mcp_")
    assert [line for line in gone if not line.startswith(prefixes)] == []
