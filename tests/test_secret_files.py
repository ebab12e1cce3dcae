"""Tokens and keys in files: rotated while the exporter runs, broken while it runs, never shown."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.accounts import Accounts
from exporter.logs import ENCODERS, LineFormatter
from exporter.redaction import KnownSecrets
from exporter.settings import load
from rawserver import RawServer, answer, listing, portal, refusal
from watching import accounts_of, failures, scrape, value

ID = "0123456789abcdef0123456789abcdef"
OTHER_ID = "f123456789abcdef0123456789abcdef"
FIRST = "first-token-of-this-test-0000000000000001"
SECOND = "other-token-of-this-test-0000000000000002"


class Api:
    """Lets in whoever has one of the tokens; ``asked`` are the tokens that came."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = set(tokens)
        self.asked: list[str] = []
        self.refused = answer(refusal(1000, "Invalid API Token"), "401 Unauthorized")

    def __call__(self, peer: socket.socket, head: str) -> None:
        token = head.partition("Authorization: Bearer ")[2].partition("\r\n")[0]
        self.asked.append(token)
        found = answer(listing([portal("a")]))
        peer.sendall(found if token in self.tokens else self.refused)


@pytest.fixture
def api() -> Api:
    return Api(FIRST)


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with RawServer(api) as server:
        yield server.base_url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(FIRST + "\n")
    return path


def service_of(url: str, file: Path) -> Accounts:
    environ = {
        "CLOUDFLARE_API_TOKEN_FILE": str(file),
        "CLOUDFLARE_ACCOUNT_ID": ID,
        "CLOUDFLARE_BASE_URL": url,
    }
    return accounts_of(load([], environ))


def up(service: Accounts, account: str = ID) -> float | None:
    return value(scrape(service), "cloudflare_mcp_up", account_id=account)


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


def rewrite_with_the_old_times(path: Path, text: str) -> None:
    times = path.stat()
    path.write_text(text.strip("\ufeff \r\n") + "\n")  # of the same size, too
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("rotate", [rewrite, replace, rewrite_with_the_old_times])
def test_a_rotated_token_is_used_at_the_next_scrape(
    rotate: Callable[[Path, str], None], api: Api, url: str, file: Path
) -> None:
    service = service_of(url, file)
    assert up(service) == 1
    api.tokens = {SECOND}
    rotate(file, f"\ufeff  {SECOND}\r\n")
    assert up(service) == 1
    assert api.asked == [FIRST, SECOND]


def test_a_secret_that_kubernetes_swaps_is_used_at_the_next_scrape(
    api: Api, url: str, tmp_path: Path
) -> None:
    def publish(version: str, token: str) -> None:
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(token)
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    publish("..2026_01_01", FIRST)
    (tmp_path / "token").symlink_to("..data/token")
    service = service_of(url, tmp_path / "token")
    assert up(service) == 1
    api.tokens = {SECOND}
    publish("..2026_01_02", SECOND)
    assert up(service) == 1


def test_after_a_refusal_a_changed_file_is_tried_at_once(api: Api, url: str, file: Path) -> None:
    api.tokens = {SECOND}
    service = service_of(url, file)
    assert failures(scrape(service)) == {"auth": 1}
    assert failures(scrape(service)) == {"auth": 2}
    assert api.asked == [FIRST], "the API is left alone"
    file.write_text(SECOND)
    assert up(service) == 1
    assert api.asked == [FIRST, SECOND]


def test_a_second_wrong_token_is_asked_once_as_well(api: Api, url: str, file: Path) -> None:
    api.tokens = set()
    service = service_of(url, file)
    scrape(service)
    file.write_text(SECOND)
    assert failures(scrape(service)) == {"auth": 2}
    assert failures(scrape(service)) == {"auth": 3}
    assert api.asked == [FIRST, SECOND]


def test_a_changed_file_does_not_end_a_pause_that_the_api_asked_for(
    api: Api, url: str, file: Path
) -> None:
    api.tokens = {SECOND}
    api.refused = answer(b"", "429 Too Many Requests", "Retry-After: 60\r\n")
    service = service_of(url, file)
    assert failures(scrape(service)) == {"rate_limited": 1}
    file.write_text(SECOND)
    assert failures(scrape(service)) == {"rate_limited": 2}
    assert api.asked == [FIRST]


def remove(file: Path) -> None:
    file.unlink()


def to_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def writes(data: bytes) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        file.write_bytes(data)

    return write


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "gone": (remove, "cannot be read: no such file or directory"),
    "a directory": (to_directory, "is a directory, not a file"),
    "empty": (writes(b"\n"), "is empty; write the token to it"),
    "not UTF-8": (writes(b"\xff\xfe"), "is not UTF-8; write the token to it again"),
    "too large": (
        writes(b"x" * 100_000),
        "is larger than 65536 bytes; is it the right file?",
    ),
    "two lines": (
        writes(f"{SECOND}\n{SECOND}\n".encode()),
        "contains a line break; set only the token, on one line",
    ),
    "with Bearer": (
        writes(f"Bearer {SECOND}".encode()),
        "begins with 'Bearer '; set only the token",
    ),
}


@pytest.mark.parametrize(("damage", "complaint"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_breaks_fails_its_account_alone_and_is_named_in_the_log(
    *,
    damage: Callable[[Path], None],
    complaint: str,
    api: Api,
    url: str,
    file: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        f"base_url: {url}\n"
        "accounts:\n"
        f"  - {{account_id: {ID}, api_token_file: {file}}}\n"
        f"  - {{account_id: {OTHER_ID}, api_token: {FIRST}}}\n"
    )
    service = accounts_of(load(["--config.file", str(config)], {}))
    assert (up(service), up(service, OTHER_ID)) == (1, 1)
    api.asked.clear()
    damage(file)
    text = scrape(service)
    assert failures(text) == {"auth": 1}
    assert value(text, "cloudflare_mcp_up", account_id=OTHER_ID) == 1
    assert api.asked == [FIRST], "the other account's"
    said = [
        record.__dict__["fields"] for record in caplog.records if record.msg == "listing failed"
    ]
    assert [fields["error"] for fields in said] == [f"the file '{file}' {complaint}"]
    assert SECOND not in str(said)

    if file.is_dir():
        file.rmdir()
    file.write_text(FIRST)
    assert up(service) == 1, "what was fixed works at once"


@pytest.mark.parametrize(("damage", "complaint"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_broken_at_the_start_is_an_error_of_the_settings(
    damage: Callable[[Path], None], complaint: str, file: Path
) -> None:
    damage(file)
    with pytest.raises(Exception, match=r".") as caught:
        service_of("http://127.0.0.1:9", file)
    assert str(caught.value) == f"CLOUDFLARE_API_TOKEN_FILE: the file '{file}' {complaint}"


def test_a_key_may_stand_in_a_file_too(file: Path) -> None:
    heads: list[str] = []

    def handle(peer: socket.socket, head: str) -> None:
        heads.append(head)
        peer.sendall(answer(listing([])))

    with RawServer(handle) as api:
        environ = {
            "CLOUDFLARE_EMAIL": "ops@example.com",
            "CLOUDFLARE_API_KEY_FILE": str(file),
            "CLOUDFLARE_ACCOUNT_ID": ID,
            "CLOUDFLARE_BASE_URL": api.base_url,
        }
        service = accounts_of(load([], environ))
        assert up(service) == 1
        file.write_text(SECOND)
        assert up(service) == 1
    assert [head.partition("X-Auth-Key: ")[2].partition("\r\n")[0] for head in heads] == [
        FIRST,
        SECOND,
    ]


def test_the_log_strikes_out_what_a_file_held_and_what_it_holds(
    api: Api, url: str, file: Path
) -> None:
    settings = load(
        [],
        {
            "CLOUDFLARE_API_TOKEN_FILE": str(file),
            "CLOUDFLARE_ACCOUNT_ID": ID,
            "CLOUDFLARE_BASE_URL": url,
        },
    )
    known = KnownSecrets(settings.secrets)
    service = accounts_of(settings, known)
    scrape(service)
    file.write_text(SECOND)
    scrape(service)
    record = logging.makeLogRecord({"name": "exporter", "msg": f"{FIRST} and {SECOND}"})
    assert LineFormatter(ENCODERS["logfmt"], known).format(record).endswith('msg="*** and ***"')


def test_threads_that_read_while_the_file_is_swapped_get_one_token_or_the_other(
    api: Api, url: str, file: Path
) -> None:
    api.tokens = {FIRST, SECOND}
    service = service_of(url, file)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for token in (SECOND, FIRST):
                replace(file, token)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        assert [up(service) for _ in range(50)] == [1] * 50
    finally:
        over.set()
        swapping.join()
    assert set(api.asked) <= {FIRST, SECOND}
