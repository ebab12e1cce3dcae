"""Reload: what changes, what goes on, what a bad file does; under load and under Prometheus."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from exporter.accounts import Changes
from exporter.redaction import KnownSecrets
from exporter.reload import Reloader
from exporter.settings import Settings, load
from exporter.simulator.account import SimulatedAccount
from exporter.simulator.messages import TOKEN_LENGTH
from exporter.simulator.scenario import demo_scenario
from exporter.simulator.server import Simulator
from processes import Prometheus, RunningExporter, eventually, get
from rawserver import RawServer, answer, listing, portal, sends
from watching import accounts_of, begin, exposed, failures, samples, scrape, submit, value

IDS = [f"{n}123456789abcdef0123456789abcdef" for n in range(4)]
TOKEN = "token-of-this-test-00000000000000000000001"
OK = answer(listing([portal("a")]))

RunExporter = Callable[..., RunningExporter]
RunPrometheus = Callable[[str], Prometheus]


class Subject:
    """A service whose configuration file can be written anew and reloaded."""

    def __init__(self, file: Path, base_url: str, *accounts: str) -> None:
        self.file = file
        self.base_url = base_url
        self.write(*accounts)
        settings = self.load()
        self.accounts = accounts_of(settings)
        self.reloader = Reloader(self.load, settings, self.accounts, KnownSecrets())

    def load(self) -> Settings:
        return load(["--config.file", str(self.file), "--scrape.timeout=5"], {})

    def write(self, *accounts: str) -> None:
        entries = "".join(f"  - {{api_token: {TOKEN}, {account}}}\n" for account in accounts)
        self.file.write_text(f"base_url: {self.base_url}\naccounts:\n{entries}")

    def reload(self) -> str | None:
        return submit(self.reloader.reload()).result(10)

    def change(self, *accounts: str) -> str:
        """Reload with these accounts, and scrape."""
        self.write(*accounts)
        assert self.reload() is None
        return scrape(self.accounts)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


@pytest.fixture
def api() -> Iterator[RawServer]:
    with RawServer(sends(OK)) as serving:
        yield serving


def account(number: int, more: str = "") -> str:
    return f"account_id: {IDS[number]}, name: account-{number}{more}"


def accounts_in(text: str) -> set[str]:
    """The ids of all accounts that any series names."""
    return {dict(labels).get("account_id", "") for _, labels in samples(text)} - {""}


def requests(text: str, number: int) -> float | None:
    name = "cloudflare_mcp_api_requests_total"
    return value(text, name, account_id=IDS[number], code="200")


def test_accounts_come_and_go_with_all_their_series(file: Path, api: RawServer) -> None:
    subject = Subject(file, api.base_url, account(0), account(1))
    assert accounts_in(scrape(subject.accounts)) == {IDS[0], IDS[1]}
    text = subject.change(account(1), account(2))
    assert accounts_in(text) == {IDS[1], IDS[2]}
    assert value(text, "cloudflare_mcp_up", account_id=IDS[2]) == 1
    assert subject.accounts.names == ("account-1", "account-2")


def test_an_account_that_comes_back_counts_from_zero(file: Path, api: RawServer) -> None:
    subject = Subject(file, api.base_url, account(0), account(1))
    scrape(subject.accounts)
    subject.change(account(1))
    text = subject.change(account(0), account(1))
    assert (requests(text, 0), requests(text, 1)) == (1, 3)


def test_an_account_that_did_not_change_goes_on_as_it_is(file: Path, api: RawServer) -> None:
    subject = Subject(file, api.base_url, account(0), account(1))
    assert subject.accounts.replace(subject.load().accounts) == Changes(0, 0, 0)
    subject.write(account(0), account(1, ", per_page: 5"))
    assert subject.accounts.replace(subject.load().accounts) == Changes(0, 0, 1)


@pytest.mark.parametrize(
    "change",
    [", per_page: 5", ", timeout: 3", ", cache_ttl: 0.001", ", collectors: [servers]"],
)
def test_an_account_that_changed_keeps_what_was_counted(
    change: str, file: Path, api: RawServer
) -> None:
    subject = Subject(file, api.base_url, account(0))
    for _ in range(3):
        scrape(subject.accounts)
    text = subject.change(account(0, change))
    assert requests(text, 0) == len(api.heads) >= 4


def test_an_account_that_is_renamed_keeps_what_was_counted(file: Path, api: RawServer) -> None:
    subject = Subject(file, api.base_url, account(0))
    scrape(subject.accounts)
    text = subject.change(f"account_id: {IDS[0]}, name: other")
    info = [dict(labels) for name, labels in samples(text) if name == "cloudflare_mcp_account_info"]
    assert info == [{"account_id": IDS[0], "account_name": "other"}]
    scraped = scrape(subject.accounts)
    assert requests(scraped, 0) == 3


def test_an_account_that_changed_keeps_the_time_of_its_last_success(file: Path) -> None:
    broken = threading.Event()

    def handle(peer: socket.socket, head: str) -> None:
        peer.sendall(answer(b"", "404 Not Found") if broken.is_set() else OK)

    with RawServer(handle) as api:
        subject = Subject(file, api.base_url, account(0))
        first = value(scrape(subject.accounts), "cloudflare_mcp_last_success_timestamp_seconds")
        broken.set()
        text = subject.change(account(0, ", per_page: 5"))
    assert failures(text) == {"not_found": 1}
    assert value(text, "cloudflare_mcp_last_success_timestamp_seconds") == first


def test_a_reload_does_not_end_a_pause_that_the_api_asked_for(file: Path) -> None:
    limited = answer(b"", "429 Too Many Requests", "Retry-After: 60\r\n")
    with RawServer(sends(limited)) as api:
        subject = Subject(file, api.base_url, account(0))
        scrape(subject.accounts)
        text = subject.change(account(0, ", per_page: 5"))
        assert len(api.heads) == 1
    assert failures(text) == {"rate_limited": 2}


def test_after_a_refusal_another_token_in_the_file_is_tried_at_once(file: Path) -> None:
    def handle(peer: socket.socket, head: str) -> None:
        peer.sendall(answer(b"", "401 Unauthorized") if TOKEN in head else OK)

    with RawServer(handle) as api:
        subject = Subject(file, api.base_url, account(0))
        assert failures(scrape(subject.accounts)) == {"auth": 1}
        file.write_text(file.read_text().replace(TOKEN, TOKEN[::-1]))
        assert subject.reload() is None
        text = scrape(subject.accounts)
    assert value(text, "cloudflare_mcp_up") == 1


def test_the_connections_of_an_account_that_is_gone_are_closed(file: Path) -> None:
    ended = threading.Event()

    def keep(peer: socket.socket, head: str) -> None:
        peer.sendall(OK.replace(b"Connection: close", b"Connection: keep-alive"))
        if IDS[0] in head and peer.recv(1) == b"":
            ended.set()

    with RawServer(keep) as api:
        subject = Subject(file, api.base_url, account(0), account(1))
        scrape(subject.accounts)
        assert not ended.wait(0.1)
        subject.write(account(1))
        subject.reload()
        assert ended.wait(5)


def test_a_scrape_under_way_is_answered_with_the_accounts_that_it_began_with(file: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(peer: socket.socket, head: str) -> None:
        asked.set()
        assert go_on.wait(5)
        peer.sendall(OK)

    with RawServer(hold) as api:
        subject = Subject(file, api.base_url, account(0))
        under_way = begin(subject.accounts)
        assert asked.wait(5)
        subject.write(account(1))
        assert subject.reload() is None
        go_on.set()
        text = exposed(subject.accounts, under_way)
        assert value(text, "cloudflare_mcp_up", account_id=IDS[0]) == 1
        assert accounts_in(scrape(subject.accounts)) == {IDS[1]}


def test_a_connection_in_use_when_its_account_goes_is_closed_after_its_request(file: Path) -> None:
    asked, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def keep(peer: socket.socket, head: str) -> None:
        asked.set()
        assert go_on.wait(5)
        peer.sendall(OK.replace(b"Connection: close", b"Connection: keep-alive"))
        if peer.recv(1) == b"":
            ended.set()

    with RawServer(keep) as api:
        subject = Subject(file, api.base_url, account(0))
        under_way = begin(subject.accounts)
        assert asked.wait(5)
        subject.write(account(1))
        assert subject.reload() is None
        go_on.set()
        text = exposed(subject.accounts, under_way)
        assert value(text, "cloudflare_mcp_up", account_id=IDS[0]) == 1
        assert ended.wait(5)


SUCCESSFUL = "cloudflare_mcp_exporter_config_last_reload_successful"
LOADED = "cloudflare_mcp_exporter_config_last_reload_success_timestamp_seconds"


def test_a_bad_file_changes_nothing_but_the_metric_and_the_log(
    file: Path, api: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    subject = Subject(file, api.base_url, account(0))
    before = scrape(subject.accounts)
    file.write_text(file.read_text() + "    per_pge: 5\n")
    problem = subject.reload()
    assert problem is not None
    assert problem.startswith(f"{file}:")
    assert "\n" not in problem
    text = scrape(subject.accounts)
    assert accounts_in(text) == {IDS[0]}
    assert (value(before, SUCCESSFUL), value(text, SUCCESSFUL)) == (1, 0)
    assert value(text, LOADED) == value(before, LOADED)
    said = [record for record in caplog.records if "reload failed" in record.msg]
    assert [record.__dict__["fields"]["error"] for record in said] == [problem]

    text = subject.change(account(0))
    assert value(text, SUCCESSFUL) == 1
    assert value(text, LOADED) != value(before, LOADED)


def test_a_secret_file_that_is_gone_at_a_reload_leaves_the_old_configuration(
    file: Path, api: RawServer
) -> None:
    subject = Subject(file, api.base_url, account(0))
    file.write_text(f"accounts: [{{account_id: {IDS[1]}, api_token_file: /nowhere/token}}]")
    problem = subject.reload()
    assert problem is not None
    assert "'/nowhere/token' cannot be read" in problem
    assert accounts_in(scrape(subject.accounts)) == {IDS[0]}


def test_a_fault_of_ours_leaves_the_old_configuration(file: Path, api: RawServer) -> None:
    subject = Subject(file, api.base_url, account(0))

    def fail() -> Settings:
        raise RuntimeError("a bug")

    reloader = Reloader(fail, subject.load(), subject.accounts, KnownSecrets())
    assert submit(reloader.reload()).result(10) == "internal error, see the log"
    text = scrape(subject.accounts)
    assert (value(text, SUCCESSFUL), value(text, "cloudflare_mcp_up")) == (0, 1)


def test_reloads_of_many_threads_come_one_after_the_other(file: Path, api: RawServer) -> None:
    subject = Subject(file, api.base_url, account(0))
    inside, most = [0], [0]

    def slow_load() -> Settings:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        inside[0] -= 1
        return subject.load()

    reloader = Reloader(slow_load, subject.load(), subject.accounts, KnownSecrets())
    for reload in [submit(reloader.reload()) for _ in range(10)]:
        assert reload.result(10) is None
    assert most == [1]


def test_the_effective_configuration_shows_everything_but_secrets(file: Path) -> None:
    (file.parent / "key").write_text(TOKEN[::-1])
    subject = Subject(
        file,
        "https://api.example.com/v4",
        account(0, ", proxy_url: 'http://me:hunter2hunter2@proxy.example.com:3128'"),
    )
    with file.open("a") as more:
        more.write(f"  - {{account_id: {IDS[1]}, email: me@example.com, api_key_file: key}}\n")
        more.write(f"  - {{account_id: {IDS[2]}, email: me@example.com, api_key: {TOKEN[5:]}}}\n")
    assert subject.reload() is None
    shown = submit(subject.reloader.effective_config()).result(5)
    for secret in (TOKEN[5:], TOKEN[::-1], "hunter2", "me@example"):
        assert secret not in shown
    common = {
        "base_url": "https://api.example.com/v4",
        "timeout": 5.0,
        "per_page": 20,
        "parallel_pages": 4,
        "max_response_size": 268435456,
        "collectors": {"servers": False},
        "cache_ttl": 0.0,
    }
    hidden = "<hidden>"
    assert yaml.safe_load(shown) == {
        "accounts": [
            {
                "name": "account-0",
                "account_id": IDS[0],
                "api_token": hidden,
                **common,
                "proxy_url": "http://<hidden>@proxy.example.com:3128",
            },
            {
                "name": IDS[1],
                "account_id": IDS[1],
                "email": hidden,
                "api_key_file": f"{file.parent}/key",
                **common,
            },
            {"name": IDS[2], "account_id": IDS[2], "email": hidden, "api_key": hidden, **common},
        ]
    }


# --- the command -------------------------------------------------------------------------------


def hang_up(exporter: RunningExporter) -> None:
    exporter.process.send_signal(signal.SIGHUP)


def metrics(exporter: RunningExporter) -> str:
    return get(f"{exporter.url}/metrics").text


def test_the_command_reloads_on_sighup(
    file: Path, api: RawServer, run_exporter: RunExporter
) -> None:
    Subject(file, api.base_url, account(0))
    exporter = run_exporter(f"--config.file={file}")
    assert accounts_in(metrics(exporter)) == {IDS[0]}
    Subject(file, api.base_url, account(1))
    hang_up(exporter)
    said = exporter.logged(r'msg="configuration reloaded" (.*)$')[1]
    assert said == "accounts=1 added=1 removed=1 changed=0"
    assert accounts_in(metrics(exporter)) == {IDS[1]}
    file.write_text("accounts: []\n")
    hang_up(exporter)
    exporter.logged(r'level=error msg="configuration reload failed, .*accounts: is an empty list')
    assert value(metrics(exporter), SUCCESSFUL) == 0
    assert accounts_in(metrics(exporter)) == {IDS[1]}


def test_the_command_reloads_by_itself_when_a_mounted_file_changes(
    tmp_path: Path, api: RawServer, run_exporter: RunExporter
) -> None:
    # As the kubelet mounts a secret: the file is a link into a linked folder, which is swapped.
    def mount(number: int, more: str = "") -> None:
        folder = tmp_path / f"..{number}{more or 'valid'}"
        folder.mkdir()
        Subject(folder / "config.yml", api.base_url, account(number))
        if more:
            (folder / "config.yml").write_text(more)
        (tmp_path / "new").symlink_to(folder.name)
        (tmp_path / "new").rename(tmp_path / "..data")

    mount(0)
    file = tmp_path / "config.yml"
    file.symlink_to("..data/config.yml")
    exporter = run_exporter(f"--config.file={file}", "--config.auto-reload-interval=0.1")
    assert accounts_in(metrics(exporter)) == {IDS[0]}
    mount(1)
    eventually(lambda: accounts_in(metrics(exporter)) == {IDS[1]}, "the new account")
    mount(2, "accounts")
    exporter.logged(r'level=error msg="configuration reload failed')
    assert accounts_in(metrics(exporter)) == {IDS[1]}
    mount(3)
    eventually(lambda: accounts_in(metrics(exporter)) == {IDS[3]}, "the last account")
    assert exporter.log.count("reload failed") == 1


def test_a_flood_of_hang_ups_is_survived(
    file: Path, api: RawServer, run_exporter: RunExporter
) -> None:
    Subject(file, api.base_url, account(0))
    exporter = run_exporter(f"--config.file={file}")
    for _ in range(300):
        hang_up(exporter)
    Subject(file, api.base_url, account(1))
    hang_up(exporter)
    eventually(lambda: accounts_in(metrics(exporter)) == {IDS[1]}, "the last configuration")
    assert exporter.log.count("configuration reloaded") < 300


def test_a_hang_up_without_a_file_checks_the_environment_and_changes_nothing(
    simulator: Simulator, run_exporter: RunExporter
) -> None:
    exporter = run_exporter(env=simulator.environment())
    before = metrics(exporter)
    hang_up(exporter)
    said = exporter.logged(r'msg="configuration reloaded" (.*)$')[1]
    assert said == "accounts=1 added=0 removed=0 changed=0"
    after = metrics(exporter)
    assert value(after, SUCCESSFUL) == 1
    assert accounts_in(after) == accounts_in(before)


# --- under Prometheus --------------------------------------------------------------------------


def often(target: str) -> str:
    """A configuration of four scrapes a second that may take a second each."""
    jobs = "".join(
        f"  - {{job_name: job-{n}, static_configs: [{{targets: ['{target}']}}]}}\n"
        for n in range(4)
    )
    return f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}"


def test_neither_reload_nor_rotation_leaves_a_gap_in_up(
    file: Path, run_exporter: RunExporter, run_prometheus: RunPrometheus
) -> None:
    tokens = [f"{n}".rjust(TOKEN_LENGTH, "T") for n in range(8)]
    secret = file.parent / "token"
    secret.write_text(tokens[0])
    seen = {identity: SimulatedAccount(demo_scenario(), time.time()) for identity in IDS}
    with Simulator(seen, quota=None) as simulator:
        simulator.credentials.tokens = {tokens[0]}

        def write(*numbers: int, more: str) -> None:
            entries = "".join(
                f"  - {{account_id: {IDS[n]}, api_token_file: token{more}}}\n" for n in numbers
            )
            file.write_text(f"base_url: {simulator.base_url}\naccounts:\n{entries}")

        write(0, more="")
        exporter = run_exporter(f"--config.file={file}", "--scrape.timeout-offset=0.01")
        prometheus = run_prometheus(often(re.sub(r"^\w+://", "", exporter.url)))
        eventually(lambda: prometheus.query("cloudflare_mcp_up == 1"), "first scrape")

        def scrapes() -> float:
            return prometheus.query("sum(count_over_time(up[5m]))")[0][1]

        for step, token in enumerate(tokens[1:]):
            # As people rotate: the new token is valid before the old one is not any more.
            simulator.credentials.tokens = {tokens[step], token}
            new = secret.with_name("new-token")
            new.write_text(token)
            new.rename(secret)
            write(0, 1 + step % 3, more=f", per_page: {10 + step}")
            hang_up(exporter)
            so_far = scrapes()
            eventually(lambda: scrapes() >= so_far + 2, "two more scrapes", every=0.1)  # noqa: B023
            simulator.credentials.tokens = {token}
        eventually(lambda: scrapes() >= 20, "enough scrapes", every=0.1)

        lowest = prometheus.query("min(min_over_time(up[5m]))")
        assert [number for _, number in lowest] == [1]
        lowest = prometheus.query("min by (account_id) (min_over_time(cloudflare_mcp_up[5m]))")
        assert {labels["account_id"]: number for labels, number in lowest} == dict.fromkeys(IDS, 1)
        first = f'sum(count_over_time(cloudflare_mcp_up{{account_id="{IDS[0]}"}}[5m]))'
        missing = prometheus.query(f"sum(count_over_time(up[5m])) - {first}")
        assert [number for _, number in missing] == [0]
        assert exporter.log.count("configuration reloaded") == len(tokens) - 1
