"""The credentials travel in a header of each request, and are seen nowhere else."""

from __future__ import annotations

import asyncio
import base64
import pprint
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import bcrypt
import pytest
import requests

from exporter.cloudflare.backoff import Backoff
from exporter.cloudflare.client import Client, Endpoint, IdleConnections, Shared
from exporter.cloudflare.credentials import HeaderAuth, key_headers, token_headers
from exporter.cloudflare.fetch import Fetcher, Route
from exporter.cloudflare.rate_limit import RequestQuotas
from exporter.deadline import Deadline
from exporter.errors import ListingError
from exporter.metrics.api_metrics import ApiMetrics
from exporter.model import Inventory
from exporter.settings import SecretReader, load
from processes import RunningExporter, get
from rawserver import Handler, RawServer, answer, listing, portal, refusal, sends
from serving import Listed, serving
from watching import ACCOUNT_ID, accounts_for, begin, scrape, submit, value

TOKEN = "Qx7vR2mLp9-tZk4Wc_Yb6NsHd3GfJ8uEaViOyTqB"
KEY = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765"
EMAIL = "ops@example.com"
PIECE = 8
"""No part of a secret as long as this may be seen."""


def environ(base_url: str, kind: str) -> dict[str, str]:
    credentials = {
        "token": {"CLOUDFLARE_API_TOKEN": TOKEN},
        "key": {"CLOUDFLARE_EMAIL": EMAIL, "CLOUDFLARE_API_KEY": KEY},
    }
    return {
        "CLOUDFLARE_BASE_URL": base_url,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
        "CLOUDFLARE_API_TOKEN": "",
        **credentials[kind],
    }


SECRETS = {"token": TOKEN, "key": KEY}
both_kinds = pytest.mark.parametrize("kind", SECRETS)


def seen_in(text: str) -> list[str]:
    """Parts of the secrets that the text shows, in letters of any case or in Base64."""
    forms = [form.lower() for one in SECRETS.values() for form in (one, base64_of(one))]
    pieces = (one[i : i + PIECE] for one in forms for i in range(len(one) - PIECE + 1))
    text = text.lower()
    return [piece for piece in pieces if piece in text]


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


def test_this_file_notices_a_part_of_a_secret() -> None:
    assert seen_in(f"x{TOKEN[3:12].upper()}x") == [TOKEN[3:11].lower(), TOKEN[4:12].lower()]
    assert seen_in(base64_of(TOKEN)) != []
    assert seen_in(f"nothing {ACCOUNT_ID} {EMAIL}") == []


# --- answers that repeat the credentials -------------------------------------------------------


def echo(
    status: str,
    say: Callable[[str], bytes],
    headers: str = "",
    change: Callable[[str], str] = str,
) -> Handler:
    """Repeats the credentials of the request in its answer, changed in the headers."""

    def handle(connection: socket.socket, head: str) -> None:
        found = re.search(r"(?:Bearer|X-Auth-Key:) (\S+)", head)
        assert found
        sent = answer(say(found[1]), status, headers.format(secret=change(found[1])))
        connection.sendall(sent)

    return handle


CHANGES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in lower case": str.lower,
    "in upper case": str.upper,
    "in Base64": base64_of,
    "with NUL": "\0{}\0".format,
}

ECHOES: dict[str, Handler] = {
    "in a message": echo("400 Bad Request", lambda one: refusal(6003, f"Bad header: Bearer {one}")),
    "in a message of a 200": echo("200 OK", lambda one: refusal(1234, one)),
    "twice": echo("403 Forbidden", lambda one: refusal(10000, f"{one} and {one}")),
    "where a long message is cut": echo(
        "400 Bad Request", lambda one: refusal(1234, "x" * (200 - len(one) // 2) + one)
    ),
    "in HTML": echo("502 Bad Gateway", lambda one: f"<p>Authorization: {one}</p>".encode()),
    "in what is not JSON": echo("200 OK", lambda one: f'{{"{one}": '.encode()),
    "in a redirect": echo("302 Found", lambda _: b"", "Location: /login?token={secret}\r\n"),
    "in the content type": echo("500 Error", lambda _: b"", "Content-Type: text/{secret}\r\n"),
    **{
        f"{how} as {name}": echo("200 OK", lambda _: b"", f"{name}: {{secret}}\r\n", change)
        for name in ("Content-Encoding", "Content-Type", "Retry-After", "Ratelimit", "Location")
        for how, change in CHANGES.items()
    },
}


@both_kinds
@pytest.mark.parametrize("handler", ECHOES.values(), ids=ECHOES)
def test_an_answer_that_repeats_the_credentials_shows_them_nowhere(
    handler: Handler, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        RawServer(handler) as api,
        serving(accounts_for(api.base_url, environ=environ(api.base_url, kind))) as url,
    ):
        pages = [get(f"{url}{path}").text for path in ("/metrics", "/")]
        assert SECRETS[kind] in api.heads[0], "they were sent"
    assert value(pages[0], "cloudflare_mcp_up") == 0
    for page in pages:
        assert seen_in(page) == []
    assert seen_in(str([vars(record) for record in caplog.records])) == []


# --- failures and their tracebacks -------------------------------------------------------------


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            yield one
            waiting += [one.__cause__, one.__context__]


FAILURES = {
    "refused": answer(refusal(10000), "403 Forbidden"),
    "closed": b"",
    "not HTTP": b"SSH-2.0\r\n",
    "cut short": answer(b"{", length=500),
    "bad gzip": answer(b"x", headers="Content-Encoding: gzip\r\n"),
    "not JSON": answer(b"<html>"),
    "a list": answer(b"[]"),
    "a redirect": answer(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
}


@both_kinds
@pytest.mark.parametrize("sent", FAILURES.values(), ids=FAILURES)
def test_no_failure_nor_its_traceback_shows_the_credentials(sent: bytes, kind: str) -> None:
    with RawServer(sends(sent)) as api:
        service = accounts_for(api.base_url, environ=environ(api.base_url, kind))
        (outcome,) = begin(service).result(20).accounts
    failure = outcome.failure
    assert failure is not None
    shown = "".join(traceback.format_exception(failure))
    shown += "".join(f"{one} {one!r} {one.args}" for one in chain(failure))
    assert seen_in(shown) == []
    assert seen_in(repr(outcome)) == []


def test_a_bug_that_holds_the_credentials_shows_them_on_no_page() -> None:
    async def list_account(_: Deadline) -> Inventory:
        raise RuntimeError(f"Bearer {TOKEN} {KEY}")

    with serving(Listed(list_account)) as url:
        for path in ("/metrics", "/"):
            assert seen_in(get(f"{url}{path}").text) == []


def test_the_password_of_a_proxy_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with RawServer(sends(answer(b"", "407 Proxy Authentication Required"))) as proxy:
        address = proxy.base_url.removeprefix("http://").removesuffix("/client/v4")
        url = f"http://user:{KEY}@{address}"
        for scheme in ("http", "https"):
            base_url = f"{scheme}://api.example.invalid/client/v4"
            text = scrape(accounts_for(base_url, environ={f"{scheme.upper()}_PROXY": url}))
            assert seen_in(text) == []
        assert len(proxy.heads) >= 2
    assert seen_in(str([vars(record) for record in caplog.records])) == []


# --- what objects say of themselves ------------------------------------------------------------


@both_kinds
def test_no_object_shows_the_credentials_it_holds(kind: str) -> None:
    settings = load([], environ("http://127.0.0.1:1/client/v4", kind))
    account = settings.accounts[0]
    secret = account.credentials.token or account.credentials.key
    assert secret is not None
    reader = SecretReader(secret, kind)

    async def read() -> str:
        return reader()

    headers = token_headers(read) if kind == "token" else key_headers(EMAIL, read)

    async def send() -> Mapping[str, str]:
        return await headers()

    sent = submit(send()).result(5)
    telemetry = ApiMetrics(ACCOUNT_ID)
    endpoint = Endpoint(account.base_url, ACCOUNT_ID, 20, 4, 1000)
    shared = Shared(asyncio.Semaphore(), str, RequestQuotas(), IdleConnections(1))
    holders: list[object] = [
        settings,
        account,
        account.credentials,
        secret,
        reader,
        headers,
        HeaderAuth(sent),
        Client(endpoint, headers, Backoff(), telemetry, shared),
        Fetcher(1000, telemetry, Route(), str),
        accounts_for("http://127.0.0.1:1/client/v4", environ=environ("http://127.0.0.1:1/", kind)),
    ]
    assert SECRETS[kind] in str(sent), "they hold it"
    for holder in holders:
        for shown in (repr(holder), str(holder), f"{holder}", pprint.pformat([holder])):
            assert seen_in(shown) == [], type(holder)


def test_a_refused_request_that_is_remembered_shows_no_credentials() -> None:
    pause = Backoff()
    auth = HeaderAuth({"Authorization": f"Bearer {TOKEN}"})
    with RawServer(sends(answer(refusal(10000), "403 Forbidden"))) as api:
        service = accounts_for(api.base_url)
        scrape(service)
        (outcome,) = begin(service).result(10).accounts
    assert isinstance(outcome.failure, ListingError)
    assert "backing off, next request in 30 s" in str(outcome.failure)
    assert seen_in(f"{pause!r} {auth!r} {outcome!r}") == []


# --- the real command --------------------------------------------------------------------------


@both_kinds
@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_the_command_shows_no_credentials_at_its_most_talkative(
    form: str, kind: str, run_exporter: Callable[..., RunningExporter]
) -> None:
    secret = SECRETS[kind]
    replies = [
        answer(listing([portal("a"), 5])),
        answer(refusal(1234, f"bad: {secret}")),
        answer(f"<html>{secret}".encode()),
        answer(b"", "404 Not Found", f"Content-Type: text/{secret}\r\n"),
        answer(refusal(10000, f"Bearer {secret}"), "403 Forbidden"),
    ]
    waiting = list(replies)
    with RawServer(lambda peer, _: peer.sendall(waiting.pop(0))) as api:
        flags = ("--log.level=debug", f"--log.format={form}", "--scrape.timeout=5")
        exporter = run_exporter(*flags, env=environ(api.base_url, kind))
        process = Path(f"/proc/{exporter.process.pid}")
        for _ in replies:
            for path in ("/metrics", "/", "/nothing"):
                assert seen_in(get(f"{exporter.url}{path}").text) == []
        assert all(secret in head for head in api.heads)
        assert len(api.heads) == len(replies)
        assert seen_in((process / "cmdline").read_text()) == []
    assert exporter.stop() == 0
    assert "listing failed" in exporter.log
    assert seen_in(exporter.log) == []


FILE_TOKEN = "f1LeT0ken_kHw83nGd-Zp5XqRt2VmYc7BsJe4LuA"
PROXY_PASSWORD = "pr0xyPassw0rdThatNobodySees"
PASSWORD = "basicAuthPassw0rdOfPrometheus"
PATHS = ("/metrics", "/probe?account=file", "/sd", "/config", "/", "/nothing")
EVERYTHING = (TOKEN, KEY, FILE_TOKEN, PROXY_PASSWORD, PASSWORD)


def test_no_output_of_a_whole_configuration_shows_a_secret_of_it(
    run_exporter: Callable[..., RunningExporter], tmp_path: Path
) -> None:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "token").write_text(FILE_TOKEN + "\n")
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: '{hashed}'}}\n")
    with RawServer(echo("403 No", lambda one: refusal(10000, f"not {one}"))) as api:
        proxy = api.base_url.removesuffix("/client/v4").removeprefix("http://")
        config = tmp_path / "config.yml"
        config.write_text(f"""
base_url: {api.base_url}
accounts:
  - {{name: literal, account_id: {"a" * 32}, api_token: {TOKEN}}}
  - {{name: file, account_id: {"b" * 32}, api_token_file: {tmp_path / "token"}}}
  - {{name: legacy, account_id: {"c" * 32}, email: {EMAIL}, api_key: {KEY}}}
  - name: proxied
    account_id: {"d" * 32}
    api_token: {TOKEN}
    base_url: http://api.example.invalid/client/v4
    proxy_url: http://user:{PROXY_PASSWORD}@{proxy}
""")
        exporter = run_exporter(
            f"--config.file={config}",
            f"--web.config.file={tmp_path / 'web.yml'}",
            "--web.enable-lifecycle",
            "--log.level=debug",
            env={},
        )
        command = [sys.executable, "-m", "exporter", f"--config.file={config}"]
        outputs = [
            ended.stdout + ended.stderr
            for flags in (["--check"], ["--check", "--format=json"], ["--once"], ["--config.check"])
            for ended in [
                subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
            ]
        ]
        with requests.Session() as session:
            session.trust_env = False
            for auth in (("prometheus", PASSWORD), ("prometheus", PASSWORD[:-1]), (PASSWORD, "x")):
                session.auth = auth
                outputs += [session.get(exporter.url + path, timeout=30).text for path in PATHS]
                outputs.append(session.post(f"{exporter.url}/-/reload", timeout=30).text)
    assert exporter.stop() == 0
    outputs.append(exporter.log)
    whole = "\n".join(outputs)
    assert "api_token_file" in whole, "the configuration was shown"
    assert "listing failed" in whole
    assert [secret for secret in (*EVERYTHING, hashed) if secret in whole] == []
