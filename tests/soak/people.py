"""The exporter's clients: scrapers, clients that disconnect, and an operator."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests

from processes import RunningExporter
from soak.api import Api
from soak.checks import Configurations, Scraped
from soak.truth import ACCOUNTS, GUEST

ANNOUNCED = (None, 0.01, 0.3, 1.0, 5.0, 10.0)
EVERYBODY = tuple(ACCOUNTS)
WITHOUT_GUEST = tuple(name for name in ACCOUNTS if name != GUEST)


def scraper(
    url: str, made: random.Random, over: threading.Event, tell: Callable[[Scraped], None]
) -> None:
    """Scrapes all accounts or one, with random timeouts."""
    with requests.Session() as session:
        session.trust_env = False
        while not over.wait(made.uniform(0.0, 0.1)):
            announced = made.choice(ANNOUNCED)
            account = made.choice([None, None, *WITHOUT_GUEST])
            path = "/metrics" if account is None else f"/probe?account={account}"
            headers = {"Accept-Encoding": made.choice(["gzip", "identity"])}
            if announced is not None:
                headers["X-Prometheus-Scrape-Timeout-Seconds"] = str(announced)
            begin = time.monotonic()
            got = session.get(f"{url}{path}", headers=headers, timeout=30)
            end = time.monotonic()
            text = got.text if got.ok else f"# HTTP {got.status_code}\n"
            tell(Scraped(begin, end, announced, account, text))


def leaver(url: str, made: random.Random, over: threading.Event) -> None:
    """Sends a request and disconnects before or during the response."""
    port = urlsplit(url).port or 0
    while not over.wait(made.uniform(0.0, 0.2)):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as peer:
            path = made.choice(["/metrics", "/", "/probe?account=shaky", "/config", "/sd"])
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            if made.random() < 0.5:
                peer.settimeout(made.uniform(0.01, 0.5))
                peer.recv(made.randint(1, 2000))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Operator:
    """Changes and reloads the configuration, and rotates tokens."""

    def __init__(self, home: Path, api: Api, seed: int) -> None:
        self._home = home
        self._api = api
        self._random = random.Random(seed)
        self.configurations = Configurations(EVERYBODY)
        self.file = home / "config.yml"
        self.reloads = self.rotations = self.bursts = 0
        for name in ACCOUNTS:
            self._rotate(name)
        self._write(EVERYBODY)

    def work(self, exporter: RunningExporter, over: threading.Event) -> None:
        """Until the end."""
        deeds = (self._swap, self._swap, self._spoil, self._rotate_one, self._rotate_one)
        while not over.wait(self._random.uniform(0.2, 1.5)):
            self._random.choice(deeds)(exporter)

    @property
    def summary(self) -> str:
        """A summary for people."""
        return (
            f"{self.reloads} reloads, {self.bursts} bursts of SIGHUP, {self.rotations} new tokens"
        )

    def _swap(self, exporter: RunningExporter) -> None:
        """Remove or add the guest account; half of the time after a burst of signals."""
        names = WITHOUT_GUEST if GUEST in self.configurations.current else EVERYBODY
        asked = time.monotonic()
        self._write(names)
        if self._random.random() < 0.5:
            self.bursts += 1
            for _ in range(20):
                os.kill(exporter.process.pid, signal.SIGHUP)
        # Recorded before it can take effect; it has taken effect when the response arrives.
        self.configurations.changed(asked, float("inf"), names)
        status = self._reload(exporter)
        self.configurations.settle(time.monotonic())
        if status != requests.codes.ok:
            self._api.complaints.append(f"a reload was answered with {status}")

    def _spoil(self, exporter: RunningExporter) -> None:
        good = self.file.read_text()
        self.file.write_text("accounts: [" + "x" * 100)
        if self._reload(exporter) == requests.codes.ok:
            self._api.complaints.append("a reload of nonsense was answered with 200")
        self.file.write_text(good)

    def _rotate_one(self, _: RunningExporter) -> None:
        self._rotate(self._random.choice(EVERYBODY))

    def _rotate(self, name: str) -> None:
        """Both are valid now: a listing in progress may still use the old one."""
        self.rotations += 1
        token = f"token-of-{name}-{self._random.getrandbits(128):032x}"
        self._api.tokens[name] = {*self._api.tokens[name], token}
        new = self._home / f"{name}.new"
        new.write_text(token)
        new.replace(self._home / f"{name}.token")

    def _reload(self, exporter: RunningExporter) -> int:
        self.reloads += 1
        with requests.Session() as session:
            session.trust_env = False
            return session.post(f"{exporter.url}/-/reload", timeout=30).status_code

    def _write(self, names: tuple[str, ...]) -> None:
        lines = [f"base_url: {self._api.base_url}", "timeout: 3s", "per_page: 5", "accounts:"]
        for name in names:
            lines += [
                f"  - name: {name}",
                f"    account_id: '{ACCOUNTS[name].account_id}'",
                f"    api_token_file: {self._home / name}.token",
            ]
        self.file.write_text("\n".join([*lines, "max_response_size: 8MiB", ""]))
