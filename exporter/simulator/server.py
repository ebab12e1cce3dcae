"""The simulated API as a real HTTP server on loopback.

Built on the standard library's threading server, which is only suitable for a demo and tests: it
must never listen on another address.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from exporter.simulator.account import Account, SimulatedAccount
from exporter.simulator.api import BASE_PATH, Api
from exporter.simulator.http_server import HOST, HttpServer
from exporter.simulator.live_targets import LiveTargets
from exporter.simulator.messages import (
    ACCESS_CLIENT_ID,
    ACCESS_CLIENT_SECRET,
    DEMO_ACCOUNT_ID,
    DEMO_TOKEN,
    NO_PERMISSION_TOKEN,
    Credentials,
    Request,
    Response,
)
from exporter.simulator.rate_limit import QUOTA, WINDOW
from exporter.simulator.request_log import Asked, RequestLog
from exporter.simulator.scenario import demo_scenario

Hook = Callable[[Request], Response | None]


class Simulator:
    """Serves one or more accounts from ``start()`` to ``stop()``, or as a context manager.

    Args:
        accounts: one account, which gets the id `account_id`, or a mapping by account id; by
            default the demo's account, starting now.
        clock: Unix seconds, for the accounts and the rate limit.
        port: 0 for any free one.
        seed: of the demo's account.
        latency: delay of every response in seconds of real time; may be changed.
        quota: requests a window; ``None`` for no limit.
        window: seconds of the rate-limit window.
        hook: receives every request first and may return a response; may be changed.
        credentials: valid credentials; may be changed while it serves.
        live: whether the first account's servers and portals can be probed, too; it must be that
            of a scenario.

    Attributes:
        base_url: for clients, including ``/client/v4``.
        account_id: the first account's id.
        token: a valid token with the permission.
        requests: log of the requests.
        live: the servers and portals that can be probed; None without them.
    """

    def __init__(
        self,
        accounts: Account | Mapping[str, Account] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        seed: int = 0,
        latency: float = 0.0,
        quota: int | None = QUOTA,
        window: float = WINDOW,
        hook: Hook | None = None,
        credentials: Credentials | None = None,
        live: bool = False,
    ) -> None:
        if accounts is None:
            accounts = SimulatedAccount(demo_scenario(), clock(), seed)
        if not isinstance(accounts, Mapping):
            accounts = {DEMO_ACCOUNT_ID: accounts}
        self.accounts = accounts
        self.account_id = next(iter(accounts), DEMO_ACCOUNT_ID)
        self.credentials = credentials or Credentials()
        self.token = DEMO_TOKEN
        self.token_without_permission = NO_PERMISSION_TOKEN
        self.access_client_id = ACCESS_CLIENT_ID
        self.access_client_secret = ACCESS_CLIENT_SECRET
        self.email = self.credentials.email
        self.api_key = self.credentials.api_key
        self.clock = clock
        self.latency = latency
        self.hook = hook
        self.requests = RequestLog()
        self._api = Api(accounts, self.credentials, quota=quota, window=window)
        first = next(iter(accounts.values()), None)
        self.live = LiveTargets(first) if live and isinstance(first, SimulatedAccount) else None
        self._port = port
        self._server: HttpServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """Its base URL; the port stays the same when it is stopped and started again."""
        if not self._port:
            raise RuntimeError("the simulator has not been started yet")
        return f"http://{HOST}:{self._port}{BASE_PATH}"

    def environment(self) -> dict[str, str]:
        """Environment variables for a client to use the simulator instead of the API."""
        return {
            "CLOUDFLARE_BASE_URL": self.base_url,
            "CLOUDFLARE_ACCOUNT_ID": self.account_id,
            "CLOUDFLARE_API_TOKEN": self.token,
        }

    def start(self) -> Self:
        """Start to serve, in threads.

        Raises:
            OSError: the port is in use.
        """
        if self._server is not None:
            raise RuntimeError("the simulator is running already")
        self._server = HttpServer(self._port, self._respond)
        self._port = self._server.server_address[1]
        if self.live is not None:
            self.live.serve_at(f"http://{HOST}:{self._port}")
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="simulator", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection at once, including responses in progress."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.shutdown()
            thread.join()
            server.server_close()
            server.close_connections()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _respond(self, request: Request) -> Response:
        now = self.clock()
        names = frozenset(request.headers)
        self.requests.add(Asked(request.method, request.path, request.query, names, now))
        if self.latency > 0:
            time.sleep(self.latency)
        answered = self.hook(request) if self.hook else None
        if answered is None and self.live is not None:
            answered = self.live.answer(request, now)
        return self._api.answer(request, now) if answered is None else answered
