"""The MCP servers and portals of an account's scenario, for live probes.

A server answers as its auth type and its condition say, unless the scenario makes it fail between
two syncs. A portal lists the tools that its users see, to clients with the service token. Pure but
for the sessions that legacy servers keep.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from exporter.simulator.messages import ACCESS_CLIENT_ID, ACCESS_CLIENT_SECRET, Request, Response
from exporter.simulator.replay import ServerState, State
from exporter.simulator.scenario import Attachment

LIVE_PATH = "/live"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
JSON = {"Content-Type": "application/json"}
SESSION = "Mcp-Session-Id"

_ROUTE = re.compile(
    rf"{LIVE_PATH}/(?P<kind>servers|portals|logins)/(?P<id>[^/]+)(?P<rest>/.*|)", re.DOTALL
)
_PROTECTED = "/.well-known/oauth-protected-resource"
_LOGIN = f"/.well-known/oauth-authorization-server{LIVE_PATH}/logins/"
_CODE_MODE = ("portal_codemode_run", "portal_codemode_search")
_OWN = ("portal_list_servers", "portal_toggle_servers")
_UNREACHABLE = 530


class LiveAccount(Protocol):
    """What is needed of `exporter.simulator.account.SimulatedAccount`."""

    live_url: str
    """Where its targets are, without a slash at the end."""

    def state(self, now: float) -> State:
        """At ``now``."""

    def tool_names(self, server: str) -> list[str]:
        """All that the server may offer; it offers the first ones."""


class LiveTargets:
    """Answers the requests to the servers and portals of an account.

    Attributes:
        sessions: of legacy servers, that nobody has deleted yet.
    """

    def __init__(self, account: LiveAccount) -> None:
        self._account = account
        self._lock = threading.Lock()
        self.sessions: set[str] = set()

    def serve_at(self, origin: str) -> None:
        """From now on the account lists its targets under this origin."""
        self._account.live_url = f"{origin}{LIVE_PATH}"

    def answer(self, request: Request, now: float) -> Response | None:
        """The response at ``now`` (Unix seconds); None if the path is not that of a target."""
        path = request.path
        if path.startswith(_LOGIN):
            return self._login(path.removeprefix(_LOGIN), now)
        if path.startswith(f"{_PROTECTED}{LIVE_PATH}"):
            return self._resource(path.removeprefix(_PROTECTED))
        route = _ROUTE.fullmatch(path)
        if route is None:
            return None
        state = self._account.state(now)
        if route["kind"] == "servers" and route["id"] in state.servers:
            return self._server(request, state.servers[route["id"]])
        if route["kind"] == "portals" and route["id"] in state.portals:
            return self._portal(request, state, route["id"], route["rest"])
        return Response(404, b"not found")

    # --- servers ---

    def _server(self, request: Request, server: ServerState) -> Response:
        if status := _failure(server):
            return Response(status, b"error")
        if server.spec.auth_type != "unauthenticated":
            where = f"{self._origin}{_PROTECTED}{request.path}"
            return Response(401, b"", {"WWW-Authenticate": f'Bearer resource_metadata="{where}"'})
        names = self._account.tool_names(server.spec.id)
        amount = (server.tools or 0) + server.live.extra_tools
        return self._mcp(request, names[:amount], is_modern=server.spec.protocol == "modern")

    @property
    def _origin(self) -> str:
        return self._account.live_url.removesuffix(LIVE_PATH)

    def _resource(self, path: str) -> Response:
        """The protected resource metadata of a server (RFC 9728)."""
        route = _ROUTE.fullmatch(path)
        if route is None:
            return Response(404, b"not found")
        login = f"{self._account.live_url}/logins/{route['id']}"
        return _json({"resource": f"{self._origin}{path}", "authorization_servers": [login]})

    def _login(self, server: str, now: float) -> Response:
        """The authorization server metadata for a server (RFC 8414)."""
        found = self._account.state(now).servers.get(server)
        if found is None or found.live.login_fails:
            return Response(503, b"error")
        return _json({"issuer": f"{self._account.live_url}/logins/{server}"})

    # --- portals ---

    def _portal(self, request: Request, state: State, identity: str, path: str) -> Response:
        portal = state.portals[identity]
        if not portal.present:
            return Response(_UNREACHABLE, b"error code: 1016")
        if path != "/mcp":
            page = b"<!DOCTYPE html><title>Portal</title>"
            return Response(200, page, {"Content-Type": "text/html; charset=utf-8"})
        given = (
            request.headers.get("cf-access-client-id"),
            request.headers.get("cf-access-client-secret"),
        )
        if given != (ACCESS_CLIENT_ID, ACCESS_CLIENT_SECRET):
            return Response(302, b"", {"Location": "https://team.cloudflareaccess.com/cdn-cgi"})
        mode = portal.edits.get("code_mode", portal.spec.code_mode)
        if mode == "enforced" or (mode == "default_on" and request.query.get("codemode") != "off"):
            return self._mcp(request, _CODE_MODE, is_modern=True)
        names = [
            f"{key}_{name}"
            for key, attachment in portal.attachments.items()
            if not attachment.on_behalf and key not in portal.hidden
            for name in self._shown(state.servers[key], attachment)
        ]
        return self._mcp(request, [*_OWN, *names], is_modern=True)

    def _shown(self, server: ServerState, attachment: Attachment) -> Iterable[str]:
        overrides = (*server.spec.updated_tools, *attachment.updated_tools)
        given = {one.name: one.enabled for one in overrides if one.enabled is not None}
        for name in self._account.tool_names(server.spec.id)[: server.tools or 0]:
            if given.get(name, not attachment.default_disabled):
                yield name

    # --- MCP ---

    def _mcp(self, request: Request, tools: Iterable[str], *, is_modern: bool) -> Response:
        if request.method == "DELETE":
            with self._lock:
                self.sessions.discard(request.headers.get(SESSION.lower(), ""))
            return Response(204)
        if request.method != "POST":
            return Response(405, b"", {"Allow": "POST, DELETE"})
        try:
            message = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return Response(400, b"not JSON")
        if message.get("method") == "tools/list":
            return _result(message, {"tools": [{"name": name} for name in tools]})
        return _modern(message) if is_modern else self._legacy(message)

    def _legacy(self, message: Mapping[str, Any]) -> Response:
        method = message.get("method")
        if method == "notifications/initialized":
            return Response(202)
        if method != "initialize":
            return _error(message, -32600, 400)
        session = uuid4().hex
        with self._lock:
            self.sessions.add(session)
        result = {"protocolVersion": LEGACY, "capabilities": {"tools": {}}}
        return _result(message, result, {SESSION: session})


def _modern(message: Mapping[str, Any]) -> Response:
    if message.get("method") != "server/discover":
        return _error(message, -32601, 404)
    return _result(message, {"supportedVersions": [MODERN], "capabilities": {"tools": {}}})


def _failure(server: ServerState) -> int:
    """The HTTP status of a server that does not answer; 0 for one that does.

    Credentials that were refused, or have lapsed, are those that the API has: the server answers.
    """
    if server.live.fails:
        return 503
    details = server.condition.error_details or {}
    if server.condition.succeeds or not details:
        return 0
    if not details.get("is_upstream"):
        return _UNREACHABLE
    status = int(details.get("status_code") or 0)
    return status if status >= 500 else 0  # noqa: PLR2004 - the server's own failures


def _result(
    message: Mapping[str, Any], result: object, headers: Mapping[str, str] | None = None
) -> Response:
    return _json({"jsonrpc": "2.0", "id": message.get("id"), "result": result}, headers=headers)


def _error(message: Mapping[str, Any], code: int, status: int) -> Response:
    error = {"code": code, "message": "unknown method"}
    return _json({"jsonrpc": "2.0", "id": message.get("id"), "error": error}, status=status)


def _json(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(status, msgspec.json.encode(value), {**JSON, **(headers or {})})
