"""The two list endpoints without a network: a request and a time in, a response out.

No I/O and no clock. Counts requests in the current rate limit window, and caches encoded pages
while an account's lists stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.simulator.account import Account
from exporter.simulator.messages import (
    TOKEN_ALPHABET,
    TOKEN_LENGTH,
    Credentials,
    Refusal,
    Request,
    Response,
)
from exporter.simulator.pages import Asked, Pages, accepts_gzip
from exporter.simulator.rate_limit import QUOTA, WINDOW, Limit
from exporter.simulator.replay import NO_OUTSIDE_USE, OutsideUse

BASE_PATH = "/client/v4"
DEFAULT_PER_PAGE = 20
MAX_PER_PAGE = 100

_ROUTE = re.compile(
    rf"{BASE_PATH}/accounts/(?P<account>[^/]+)/access/ai-controls/mcp/(?P<kind>portals|servers)"
)
_BLOCKED = b"<!DOCTYPE html><html><head><title>Access denied</title></head><body>1010</body></html>"


class Api:
    """The API for one user and that user's accounts.

    Args:
        accounts: by account id.
        credentials: valid credentials.
        quota: requests a window; ``None`` for no limit, and then no rate-limit headers.
        window: seconds; windows begin at multiples of it.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        credentials: Credentials | None = None,
        *,
        quota: int | None = QUOTA,
        window: float = WINDOW,
    ) -> None:
        self.accounts = accounts
        self.credentials = credentials or Credentials()
        self._limit = Limit(quota, window)
        self._pages = Pages()

    def answer(self, request: Request, now: float) -> Response:
        """The API's answer at ``now`` (Unix seconds), rate-limit headers included."""
        if not request.headers.get("user-agent"):
            return Response(403, _BLOCKED, {"Content-Type": "text/html; charset=UTF-8"})
        limits: dict[str, str] = {}
        try:
            permitted = self._authenticate(request.headers)
            limits = self._limit.spend(now, self._outside_use(request, now))
            response = self._route(request, now, permitted=permitted)
        except Refusal as refusal:
            response = refusal.response
        return Response(response.status, response.body, {**limits, **response.headers})

    def _authenticate(self, headers: Mapping[str, str]) -> bool:
        """Check the credentials and the permission."""
        legacy = "x-auth-email" in headers or "x-auth-key" in headers
        if "authorization" in headers and legacy:
            raise _bad_headers(6102, "Use either a token or an email and a key, not both")
        if "authorization" in headers:
            return self._bearer(headers["authorization"])
        if "x-auth-email" not in headers or "x-auth-key" not in headers:
            missing = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
            raise Refusal(400, 9106, missing)
        known = (self.credentials.email, self.credentials.api_key)
        if (headers["x-auth-email"], headers["x-auth-key"]) != known:
            raise Refusal(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")
        return True

    def _bearer(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        well_formed = len(token) == TOKEN_LENGTH and TOKEN_ALPHABET.issuperset(token)
        if scheme.lower() != "bearer" or not well_formed:
            raise _bad_headers(6111, "Invalid format for Authorization header")
        if token in self.credentials.tokens:
            return True
        if token in self.credentials.tokens_without_permission:
            return False
        raise Refusal(401, 1000, "Invalid API Token")

    def _outside_use(self, request: Request, now: float) -> OutsideUse:
        route = _ROUTE.fullmatch(request.path)
        account = self.accounts.get(route["account"]) if route else None
        return account.outside_use(now) if account else NO_OUTSIDE_USE

    def _route(self, request: Request, now: float, *, permitted: bool) -> Response:
        route = _ROUTE.fullmatch(request.path)
        if route is None:
            raise Refusal(404, 7000, "No route for that URI")
        if request.method != "GET":
            raise Refusal(405, 10405, "Method not allowed", headers={"Allow": "GET"})
        account = self.accounts.get(route["account"])
        if account is None:
            where = request.path.removeprefix(BASE_PATH)
            hint = "perhaps your object identifier is invalid?"
            raise Refusal(404, 7003, f"Could not route to {where}, {hint}")
        if not permitted:
            raise Refusal(403, 10000, "Authentication error")
        page = _whole_number(request.query, "page", 1, 1, None)
        per_page = _whole_number(request.query, "per_page", DEFAULT_PER_PAGE, 1, MAX_PER_PAGE)
        zipped = accepts_gzip(request.headers.get("accept-encoding", ""))
        search = request.query.get("search", "")
        body = self._pages.body(account, now, Asked(route["kind"], search, page, per_page, zipped))
        headers = {"Content-Type": "application/json", "Vary": "Accept-Encoding"}
        return Response(200, body, headers | ({"Content-Encoding": "gzip"} if zipped else {}))


def _whole_number(
    query: Mapping[str, str], name: str, default: int, lowest: int, highest: int | None
) -> int:
    text = query.get(name, str(default))
    value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if value < lowest or (highest is not None and value > highest):
        raise Refusal(400, 7001, "Input Validation Error", path=["query", name])
    return value


def _bad_headers(code: int, message: str) -> Refusal:
    chain = [{"code": code, "message": message}]
    return Refusal(400, 6003, "Invalid request headers", error_chain=chain)
