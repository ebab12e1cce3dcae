"""Of a known secret nothing is shown, in whatever form, case or part it comes back."""

from __future__ import annotations

import base64
import html
import json
import logging
import string
import sys
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.cloudflare.api_errors import failure
from exporter.cloudflare.texts import safe_text
from exporter.logs import ENCODERS, LineFormatter
from exporter.redaction import MAX_LEARNT, MIN_RUN, KnownSecrets

TOKEN = "Qx7vR2mLp9-tZk4Wc_Yb6NsHd3GfJ8uEaViOyTqB"
ALPHABET = string.ascii_letters + string.digits + "_-"
TOKENS = st.text(ALPHABET, min_size=20, max_size=60)
PASSWORDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x24F, exclude_categories=["Cc"]),
    min_size=MIN_RUN,
    max_size=40,
)
CASES: list[Callable[[str], str]] = [str, str.lower, str.upper, str.swapcase, str.title]
AROUND = st.text(st.characters(exclude_categories=()), max_size=30)


def lowered(text: str) -> str:
    """With ASCII letters alone lowered, so that no character becomes two."""
    return "".join(one.lower() if one.isascii() else one for one in text)


def shown(secret: str, text: str) -> list[str]:
    """Runs of the secret that the text shows, whatever their case."""
    secret, text = lowered(secret), lowered(text)
    starts = range(len(secret) - MIN_RUN + 1)
    return [run for run in (secret[i : i + MIN_RUN] for i in starts) if run in text]


def test_this_file_notices_a_run_of_a_secret() -> None:
    assert shown(TOKEN, f"x{TOKEN[5:17].upper()}x") == [TOKEN[5:17].lower()]
    assert shown(TOKEN, f"x{TOKEN[5:16]}x") == []


@st.composite
def echoes(draw: st.DrawFn) -> tuple[str, str]:
    """A token, and a text that repeats some of it, a part, in any case, in any company."""
    token = draw(TOKENS)
    text = ""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(token) - 1))
        part = token[start : draw(st.integers(start, len(token)))]
        case: Callable[[str], str] = draw(st.sampled_from(CASES))
        text += draw(AROUND) + case(draw(st.sampled_from([token, part])))
    return token, text + draw(AROUND)


@given(echoes())
def test_no_run_of_a_secret_survives_and_striking_again_changes_nothing(
    echo: tuple[str, str],
) -> None:
    token, text = echo
    known = KnownSecrets([token])
    struck = known.redact(text)
    assert shown(token, struck) == []
    assert known.redact(struck) == struck


@given(st.text(st.characters(exclude_categories=()), max_size=200), TOKENS)
def test_a_text_without_a_run_of_a_secret_stays_as_it_is(text: str, token: str) -> None:
    assume("*" not in text)
    struck = KnownSecrets([token]).redact(text)
    assert struck == text or "***" in struck
    if len(text) < MIN_RUN:
        assert struck == text


@given(TOKENS, st.integers(0, 40), st.integers(0, 40))
def test_exactly_a_run_is_struck_and_what_stands_around_it_stays(
    token: str, start: int, length: int
) -> None:
    part = token[start : start + length]
    struck = KnownSecrets([token]).redact(f"<{part}>")
    assert struck == (f"<{part}>" if len(part) < MIN_RUN else "<***>")


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in repr": repr,
    "in repr of bytes": lambda one: repr(one.encode()) if one.isascii() else repr(one),
    "in a list": lambda one: str([one]),
    "in JSON": json.dumps,
    "in JSON as characters": lambda one: json.dumps(one, ensure_ascii=False),
    "in JSON with escaped slashes": lambda one: json.dumps(one).replace("/", "\\/"),
    "in a URL": lambda one: f"https://h.example/?q={quote(one, safe='')}&x=1",
    "in a path": lambda one: f"https://h.example/{quote(one)}",
    "in a form": lambda one: f"a=1&q={quote_plus(one)}",
    "in HTML": lambda one: f"<p>{html.escape(one)}</p>",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(secret=PASSWORDS)
def test_a_secret_is_struck_whole_in_each_form(form: Callable[[str], str], secret: str) -> None:
    assume("*" not in secret)
    around = form("~~~").split("~~~")
    whole = form(secret)
    for case in (str, str.lower, str.upper) if whole.isascii() else (str,):
        struck = KnownSecrets([secret]).redact(case(whole))
        assert "***" in struck
        assert len(struck) <= len("***".join(around))
        assert shown(secret, struck) == []


@given(TOKENS, st.binary(max_size=7), st.binary(max_size=7), st.booleans(), st.booleans())
def test_no_run_of_the_base64_of_a_secret_survives(
    token: str, before: bytes, after: bytes, urlsafe: bool, lower: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(before + token.encode() + after).decode()
    struck = KnownSecrets([token]).redact(f"Basic {text.lower() if lower else text}")
    kept = [piece for piece in struck.removeprefix("Basic ").split("***") if piece]
    # What is left is about the neighbors, and about a character of the token at either end.
    assert "***" in struck
    assert len("".join(kept)) <= (len(before) + len(after)) * 4 / 3 + 7


# --- through the doors -------------------------------------------------------------------------


@given(echoes(), st.integers(100, 599), st.sampled_from(["message", "header", "both"]))
def test_no_failure_shows_a_run_of_a_secret(echo: tuple[str, str], status: int, place: str) -> None:
    token, text = echo
    body = json.dumps({"success": False, "errors": [{"code": 1, "message": "x" * 190 + text}]})
    headers = {"Content-Type": text if place != "message" else "", "Retry-After": text}
    sent = body.encode() if place != "header" else b"<html>"
    problem = failure(status, headers, sent, KnownSecrets([token]).redact)
    assert shown(token, f"{problem} {problem!r} {problem.args} {problem.hint}") == []
    assert str(problem).isprintable()


@pytest.mark.parametrize("log_format", sorted(ENCODERS))
@given(echo=echoes())
def test_no_log_line_shows_a_run_of_a_secret(log_format: str, echo: tuple[str, str]) -> None:
    token, text = echo
    try:
        try:
            raise KeyError(text)  # noqa: TRY301 - the chain is what is looked at
        except KeyError as cause:
            raise RuntimeError(f"failed: {text}") from cause
    except RuntimeError:
        raised = sys.exc_info()
    record = logging.makeLogRecord(
        {
            "name": "exporter.test",
            "msg": f"%s {text.replace('%', '%%')}",
            "args": (text,),
            "exc_info": raised,
            "fields": {
                "text": text,
                "raw": [text],
                "again": {text: text.encode("utf-8", "replace")},
            },
        }
    )
    line = LineFormatter(ENCODERS[log_format], KnownSecrets([token])).format(record)
    assert shown(token, line) == []


# --- what is shown of an upstream text ---------------------------------------------------------

SHOWN = {
    "plain": ("all is well", "all is well"),
    "NUL": ("a\x00b", "a\u2400b"),
    "an ANSI escape": ("\x1b[31mred\x1b[0m", "\u241b[31mred\u241b[0m"),
    "C1": ("a\x9bb", "a\ufffdb"),
    "delete": ("a\x7fb", "a\ufffdb"),
    "line ends": ("a\r\nb\tc", "a  b c"),
    "other line ends": ("a\u2028b\x85c", "a\ufffdb\ufffdc"),
    "marks of direction": ("a\u202egnp.exe\u2066b\u200f", "a\ufffdgnp.exe\ufffdb\ufffd"),
    "no width": ("a\u200b\ufeff\u00adb", "a\ufffd\ufffd\ufffdb"),
    "a lone surrogate": ("a\ud800b", "a\ufffdb"),
    "letters of the world": ("grüße мир 世界 مرحبا \U0001f600", "grüße мир 世界 مرحبا \U0001f600"),
    "a long text": ("x" * 100, "x" * 59 + "…"),
}


@pytest.mark.parametrize(("text", "expected"), SHOWN.values(), ids=SHOWN)
def test_an_upstream_text_is_shown_without_what_a_terminal_acts_on(
    text: str, expected: str
) -> None:
    assert safe_text(text, str, 60) == expected


def test_an_upstream_text_is_struck_before_it_is_changed_and_cut() -> None:
    redact = KnownSecrets([TOKEN, "pass\x00word"]).redact
    assert safe_text(f"{'x' * 50}{TOKEN}", redact, 60) == f"{'x' * 50}***"
    assert safe_text("a PASS\x00WORD b", redact, 60) == "a *** b"
    assert shown(TOKEN, safe_text(f"\x1b{TOKEN.lower()}" * 5000, redact, 10**6)) == []


# --- bounds ------------------------------------------------------------------------------------


def test_short_secrets_are_struck_whole_and_never_in_part() -> None:
    known = KnownSecrets(["pw", "elevenchars", ""])
    assert known.redact("PW elevenChars elevenchar spwx") == "*** *** elevenchar s***x"


def test_secrets_that_overlap_or_touch_become_one_mark() -> None:
    known = KnownSecrets(["abcdefghijklmnop", "ijklmnopqrstuvwx"])
    assert known.redact("<abcdefghijklmnopqrstuvwx>") == "<***>"
    assert known.redact("<ijklmnopqrstuvwxabcdefghijklmnop>") == "<***>"


def test_a_text_whose_lower_form_is_longer_is_struck_at_the_right_place() -> None:
    assert KnownSecrets([TOKEN]).redact(f"İİİ {TOKEN.upper()} ß") == "İİİ *** ß"


def test_the_newest_learnt_secrets_are_struck_and_all_that_are_held() -> None:
    known = KnownSecrets([TOKEN])
    learnt = [f"secret-number-{number:06}-x" for number in range(MAX_LEARNT + 200)]
    for secret in learnt:
        known.learn(secret)
    assert known.redact(f"{TOKEN} {learnt[-1]} {learnt[-500]}") == "*** *** ***"
    late = KnownSecrets()
    late.hold([TOKEN])
    assert late.redact(TOKEN.lower()) == "***"


def seconds(known: KnownSecrets, text: str, rounds: int) -> float:
    """CPU time of striking the text so often: the least of three."""

    def once() -> float:
        start = time.process_time()
        for _ in range(rounds):
            known.redact(text)
        return time.process_time() - start

    return min(once() for _ in range(3))


LINE = (
    "listing failed: the API answered HTTP 403: 10000: Authentication error, see https://x.example"
)


def test_a_line_costs_the_same_with_one_secret_and_with_a_thousand() -> None:
    one = KnownSecrets([TOKEN])
    many = KnownSecrets(f"{number:04}{TOKEN[4:]}" for number in range(1000))
    assert seconds(many, LINE, 500) < 3 * seconds(one, LINE, 500)


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (TOKEN, LINE * 12_000),
        (TOKEN, (TOKEN + "x") * 25_000),
        (TOKEN, (TOKEN[:9] + "x") * 100_000),
        ("a" * 40, "a" * (1 << 20)),
        ("ab" * 20, "ab" * (1 << 19)),
    ],
    ids=["no secret", "secrets", "beginnings of secrets", "one letter", "two letters"],
)
def test_a_text_of_a_megabyte_is_struck_in_a_bounded_time(secret: str, text: str) -> None:
    known = KnownSecrets([secret])
    start = time.process_time()
    struck = known.redact(text)
    assert time.process_time() - start < 5
    assert shown(secret, struck) == []
