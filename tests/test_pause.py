"""When the API is asked again: what an answer may demand, and how a pause grows without it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

import pytest

from exporter.cloudflare.api_errors import failure, parse_retry_after
from exporter.cloudflare.backoff import Backoff, SharedLimits
from exporter.errors import ListingError, Reason

DATE = "Wed, 25 Nov 2026 05:00:00 GMT"
ENVELOPE = b'{"success": false, "errors": [{"code": 971, "message": "slow down"}]}'


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def asked(status: int, retry_after: str, body: bytes = ENVELOPE, date: str = DATE) -> ListingError:
    """What an answer with this header means."""
    headers: Mapping[str, str] = {"Retry-After": retry_after, "Date": date}
    return failure(status, headers, body, str)


# --- what an answer may demand -----------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("success", ["false", "true"])
def test_retry_after_is_honored_in_the_envelope_of_the_api(status: int, success: str) -> None:
    body = f'{{"success": {success}, "errors": []}}'.encode()
    assert asked(status, "120", body).retry_after == 120


@pytest.mark.parametrize("status", [200, 301, 302, 400, 401, 403, 404, 408, 500, 502, 504, 530])
def test_retry_after_with_another_status_is_ignored(status: int) -> None:
    assert asked(status, "120").retry_after is None


NOT_THE_API = {
    "HTML": b"<html>Sign in to continue</html>",
    "nothing": b"",
    "a list": b"[]",
    "another object": b'{"error": "quota"}',
    "success null": b'{"success": null}',
    "success a text": b'{"success": "false"}',
    "cut short": ENVELOPE[:-3],
    "two of them": ENVELOPE * 2,
}


@pytest.mark.parametrize("body", NOT_THE_API.values(), ids=NOT_THE_API)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_from_anybody_but_the_api_is_ignored(status: int, body: bytes) -> None:
    problem = asked(status, "120", body)
    assert problem.retry_after is None
    assert problem.reason == (Reason.RATE_LIMITED if status == 429 else Reason.UPSTREAM_5XX)


def test_an_envelope_with_faulty_characters_is_the_apis_own() -> None:
    for fault in (b"\xff", b"\\ud800"):
        problem = asked(503, "60", ENVELOPE.replace(b"slow", fault))
        assert (problem.reason, problem.retry_after) == (Reason.RATE_LIMITED, 60)


VALUES: dict[str, tuple[str, float | None]] = {
    "seconds": ("120", 120),
    "seconds in white space": (" \t120 ", 120),
    "leading zeros": ("007", 7),
    "a day": ("86400", 900),
    "the number of an issue": ("99999999", 900),
    "hundreds of digits": ("9" * 500, 900),
    "zero": ("0", None),
    "negative": ("-5", None),
    "a sign": ("+5", None),
    "a fraction": ("1.5", None),
    "an exponent": ("1e3", None),
    "infinite": ("inf", None),
    "not a number": ("nan", None),
    "grouped digits": ("1_000", None),
    "hexadecimal": ("0x10", None),
    "full-width digits": ("\uff11\uff12", None),
    "Arabic digits": ("٣٠", None),
    "several headers in one": ("120, 60", None),
    "a unit": ("120s", None),
    "a word": ("soon", None),
    "empty": ("", None),
    "IMF date": ("Wed, 25 Nov 2026 05:01:00 GMT", 60),
    "RFC 850 date": ("Wednesday, 25-Nov-26 05:01:00 GMT", 60),
    "asctime date": ("Wed Nov 25 05:01:00 2026", 60),
    "asctime date, one digit": ("Wed Nov  5 05:00:00 2026", None),
    "a date with -0000": ("Wed, 25 Nov 2026 05:01:00 -0000", 60),
    "a date with an offset": ("Wed, 25 Nov 2026 06:01:00 +0100", 60),
    "a leap second": ("Wed, 25 Nov 2026 05:00:60 GMT", 59),
    "a date tomorrow": ("Thu, 26 Nov 2026 05:00:00 GMT", 900),
    "a date in the year 9999": ("Fri, 31 Dec 9999 23:59:59 GMT", 900),
    "a date in the past": ("Wed, 25 Nov 2026 04:59:00 GMT", None),
    "the same date": (DATE, None),
    "a day that there is not": ("Wed, 32 Nov 2026 05:01:00 GMT", None),
    "a year of many digits": (f"Wed, 25 Nov {'9' * 30} 05:01:00 GMT", None),
    "an offset of many digits": (f"Wed, 25 Nov 2026 05:01:00 +{'9' * 30}", None),
}


@pytest.mark.parametrize(("value", "seconds"), VALUES.values(), ids=VALUES)
def test_retry_after_is_whole_seconds_or_a_date_and_fifteen_minutes_at_most(
    value: str, seconds: float | None
) -> None:
    assert parse_retry_after(value, DATE) == seconds


@pytest.fixture(params=["America/Los_Angeles", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process lives there."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("date", [DATE, "Wed Nov 25 05:00:00 2026"])
@pytest.mark.parametrize("form", ["IMF date", "asctime date", "a date with -0000"])
def test_a_date_is_the_same_in_every_zone(form: str, date: str) -> None:
    assert parse_retry_after(VALUES[form][0], date) == 60


@pytest.mark.usefixtures("zone")
def test_the_end_of_daylight_saving_time_makes_no_date_later() -> None:
    date, later = "Sun, 07 Nov 2027 01:59:30 GMT", "Sun, 07 Nov 2027 02:00:30 -0000"
    assert parse_retry_after(later, date) == 60


@pytest.mark.parametrize("date", ["", "yesterday", "1795582800"])
def test_a_date_without_the_answers_own_is_ignored_whatever_the_local_clock_says(
    date: str,
) -> None:
    ahead = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert parse_retry_after(ahead, date) is None
    assert parse_retry_after("30", date) == 30


@pytest.mark.parametrize("status", [200, 301, 400, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("code", ["971", '"971"', "971.0"])
def test_code_971_means_rate_limited_at_any_status(status: int, code: str) -> None:
    body = f'{{"success": false, "errors": [{{"code": {code}, "message": "x"}}]}}'
    assert asked(status, "", body.encode()).reason is Reason.RATE_LIMITED


def test_only_the_first_entries_of_errors_count() -> None:
    many = json.dumps({"success": False, "errors": [{"code": 1}] * 19 + [{"code": 971}]})
    more = json.dumps({"success": False, "errors": [{"code": 1}] * 20 + [{"code": 971}]})
    assert asked(400, "", many.encode()).reason is Reason.RATE_LIMITED
    assert asked(400, "", more.encode()).reason is Reason.UPSTREAM_4XX


# --- how long ----------------------------------------------------------------------------------


def limited(seconds: float | None = None) -> ListingError:
    return ListingError(Reason.RATE_LIMITED, "slow down", retry_after=seconds)


REFUSED = ListingError(Reason.AUTH, "no")


def rest(pause: Backoff, credentials: str = "token") -> tuple[Reason, str] | None:
    """What a listing is told now; None where it may ask."""
    try:
        pause.check(credentials)
    except ListingError as problem:
        return problem.reason, str(problem).partition("; last response: ")[0]
    return None


def test_the_message_says_when_the_next_request_is_due_and_never_in_no_time() -> None:
    clock = Clock()
    pause = Backoff(clock=clock)
    pause.note(limited(30), "token")
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 30 s")
    clock.now += 29.9
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 1 s")
    clock.now += 0.1
    assert rest(pause) is None


def test_the_message_while_backing_off_keeps_the_cause_and_its_hint() -> None:
    pause = Backoff(clock=Clock())
    pause.note(ListingError(Reason.AUTH, "no such token", hint="copy it again"), "token")
    with pytest.raises(ListingError) as caught:
        pause.check("token")
    assert str(caught.value) == ("backing off, next request in 30 s; last response: no such token")
    assert caught.value.hint == "copy it again"


@pytest.mark.parametrize("problem", [limited(), REFUSED], ids=["limited", "refused"])
def test_pauses_grow_from_half_a_minute_to_five_while_each_request_is_refused(
    problem: ListingError,
) -> None:
    clock = Clock()
    pause, lengths = Backoff(clock=clock), []
    for _ in range(6):
        start = clock.now
        pause.note(problem, "token")
        while rest(pause):
            clock.now += 1
        lengths.append(clock.now - start)
    assert lengths == [30, 60, 120, 240, 300, 300]


def test_a_pause_is_short_again_when_the_last_one_is_long_over() -> None:
    clock = Clock()
    pause = Backoff(clock=clock)
    for _ in range(3):
        pause.note(limited(), "token")
        clock.now += 301
    assert rest(pause) is None
    pause.note(limited(), "token")
    clock.now += 30
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 210 s")
    clock.now += 210 + 300
    pause.note(limited(), "token")
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 300 s")
    clock.now += 300 + 300.5
    pause.note(limited(), "token")
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 30 s")


def test_a_pause_after_one_that_the_api_named_begins_with_half_a_minute() -> None:
    clock = Clock()
    pause = Backoff(clock=clock)
    pause.note(limited(60), "token")
    clock.now += 60
    pause.note(limited(), "token")
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 30 s")


def test_what_was_sent_before_a_pause_began_does_not_lengthen_it() -> None:
    clock = Clock()
    pause = Backoff(clock=clock)
    for _ in range(5):
        pause.note(limited(), "token")
        clock.now += 1
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 25 s")
    clock.now += 25
    pause.note(limited(), "token")
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 60 s")


def test_a_growing_pause_does_not_cut_one_that_the_api_named() -> None:
    pause = Backoff(clock=Clock())
    pause.note(limited(900), "token")
    pause.note(limited(), "token")
    pause.note(limited(10), "token")
    assert rest(pause) == (Reason.RATE_LIMITED, "backing off, next request in 900 s")


def test_other_credentials_are_tried_at_once_after_a_refusal_but_not_before_a_named_time() -> None:
    clock = Clock()
    pause = Backoff(clock=clock)
    pause.note(REFUSED, "old")
    assert rest(pause, "old") is not None
    assert rest(pause, "new") is None
    pause.note(limited(60), "new")
    assert rest(pause, "third") == (Reason.RATE_LIMITED, "backing off, next request in 60 s")


def test_a_limit_holds_for_all_accounts_with_the_same_credentials() -> None:
    clock = Clock()
    shared = SharedLimits()
    one, same, other = (Backoff(shared, clock) for _ in range(3))
    one.note(limited(60), "token")
    assert rest(same) == (Reason.RATE_LIMITED, "backing off, next request in 60 s")
    assert rest(other, "another token") is None
    one.note(REFUSED, "token")
    clock.now += 60
    assert rest(same) is None, "a refusal concerns its own account"


def test_a_shorter_limit_of_another_account_does_not_cut_a_longer_one() -> None:
    shared = SharedLimits()
    one, other, third = (Backoff(shared, Clock()) for _ in range(3))
    one.note(limited(60), "token")
    other.note(limited(10), "token")
    assert rest(third) == (Reason.RATE_LIMITED, "backing off, next request in 60 s")


def test_limits_that_are_over_are_forgotten() -> None:
    shared = SharedLimits()
    for number in range(1000):
        shared.until("any", number)
        shared.note(number, number + 5)
    assert [key for key in range(1000) if shared.until(key, 0)] == [995, 996, 997, 998, 999]


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.AUTH, Reason.RATE_LIMITED}))
def test_other_failures_begin_no_pause_of_their_own(reason: Reason) -> None:
    pause = Backoff(clock=Clock())
    pause.note(ListingError(reason, "x"), "token")
    assert rest(pause) is None
