"""What the exporter says and understands is the same in every time zone of the machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from exporter.simulator.server import Simulator
from processes import RunningExporter, get
from rawserver import RawServer, answer, refusal, sends
from watching import Samples, accounts_for, failures, samples, scrape

# As POSIX writes them: a machine may be without the names of time zones.
ZONES = {"west": "NST3:30NDT,M3.2.0,M11.1.0", "east": "IST-5:30"}

RunExporter = Callable[..., RunningExporter]


@pytest.fixture(params=list(ZONES.values()), ids=list(ZONES))
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The time zone of this process and of its children."""
    with monkeypatch.context() as here:
        here.setenv("TZ", request.param)
        time.tzset()
        assert time.timezone != 0
        yield request.param
    time.tzset()


def moments(text: str) -> Samples:
    """The samples of an exposition that are moments of the account's own."""
    return {
        series: number
        for series, number in samples(text).items()
        if re.match("cloudflare_mcp_(server|portal)_.*timestamp", series[0])
    }


def shown(page: str) -> list[tuple[str, str]]:
    """The same of a status page, for machines and for people."""
    found = re.findall(r'<time datetime="([^"]+)" title="([^"]+)">', page)
    return [pair for pair in found if seconds_ago(pair[0]) > 3600]


def seconds_ago(text: str) -> float:
    """How long a moment is over that is written with its zone, or with UTC's name."""
    moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    assert moment.utcoffset() == timedelta(0)
    return (datetime.now(UTC) - moment).total_seconds()


def test_metrics_page_and_log_are_in_utc(zone: str, run_exporter: RunExporter) -> None:
    yesterday = time.time() - 86400
    with Simulator(clock=lambda: yesterday) as simulator:
        flags, environment = "--collector.servers", simulator.environment()
        here = run_exporter(flags, env=environment)
        in_utc = run_exporter(flags, env={**environment, "TZ": "UTC"})
        (metrics, expected), (page, expected_page) = [
            [get(one.url + path).text for one in (here, in_utc)] for path in ("/metrics", "/")
        ]
    assert moments(metrics) == moments(expected) != {}

    assert shown(page) == shown(expected_page) != []
    as_of = re.findall(r'As of <time datetime="([^"]+)">([^<]+)<', page)
    assert [0 <= seconds_ago(one) < 60 for one in as_of[0]] == [True, True]

    written = re.findall(r"^time=(\S+)", here.log, re.MULTILINE)
    assert written
    assert all(0 <= seconds_ago(one) < 60 for one in written)


DATES: dict[str, Callable[[float], str]] = {
    "as HTTP has it": lambda moment: formatdate(moment, usegmt=True),
    "in an unknown zone": formatdate,
    "as C has it": lambda moment: time.asctime(time.gmtime(moment)),
}


@pytest.mark.parametrize("written", DATES.values(), ids=DATES.keys())
@pytest.mark.parametrize("date", DATES.values(), ids=DATES.keys())
@pytest.mark.parametrize(("ahead", "seconds"), [(200, 200), (-200, 30)], ids=["future", "past"])
def test_a_retry_after_date_is_in_utc(
    zone: str,
    written: Callable[[float], str],
    date: Callable[[float], str],
    ahead: float,
    seconds: int,
) -> None:
    now = time.time()
    headers = f"Date: {date(now)}\r\nRetry-After: {written(now + ahead)}\r\n"
    with RawServer(sends(answer(refusal(971), "429 Too Many Requests", headers))) as api:
        service = accounts_for(api.base_url)
        text = [scrape(service) for _ in range(3)][-1]
        assert len(api.heads) == 1
    assert failures(text) == {"rate_limited": 3}
    (observed,) = service.observed()
    assert observed.latest is not None
    left = re.search(r"next request in (\d+) s", str(observed.latest.failure))
    assert left is not None
    assert seconds - 20 < int(left[1]) <= seconds
