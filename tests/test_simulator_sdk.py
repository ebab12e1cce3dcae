"""The official SDK, a client that knows nothing of this project, reads the simulator.

It sends what real clients send, follows pages its own way, and has types of its own for every
record: in its strict mode an answer that is not of the published shape is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import cloudflare
import pytest
from cloudflare import Cloudflare

from exporter.simulator.messages import Request, Response
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import EPOCH, uniform_account

PORTALS, SERVERS, TOOLS = 23, 3, 4
Login = Callable[[Simulator], dict[str, str]]

LOGINS: dict[str, Login] = {
    "a token": lambda simulator: {"api_token": simulator.token},
    "an e-mail with a key": lambda simulator: {
        "api_email": simulator.email,
        "api_key": simulator.api_key,
    },
}


@pytest.fixture(params=list(LOGINS.values()), ids=list(LOGINS))
def login(request: pytest.FixtureRequest) -> Login:
    chosen: Login = request.param
    return chosen


@pytest.fixture
def uniform() -> Iterator[Simulator]:
    with Simulator(uniform_account(portals=PORTALS, servers=SERVERS, tools=TOOLS)) as simulator:
        yield simulator


@pytest.fixture
def demo() -> Iterator[Simulator]:
    with Simulator(clock=lambda: EPOCH) as simulator:
        yield simulator


def client(
    simulator: Simulator, credentials: dict[str, str], *, strict: bool = False
) -> Cloudflare:
    given: dict[str, Any] = {"api_token": None, "api_email": None, "api_key": None, **credentials}
    return Cloudflare(
        base_url=simulator.base_url,
        max_retries=0,
        timeout=10,
        _strict_response_validation=strict,
        **given,
    )


def test_every_page_of_portals_is_of_the_published_shape(uniform: Simulator, login: Login) -> None:
    with client(uniform, login(uniform), strict=True) as sdk:
        mcp = sdk.zero_trust.access.ai_controls.mcp
        portals = list(mcp.portals.list(account_id=uniform.account_id, per_page=10))
    assert len({portal.id for portal in portals}) == len(portals) == PORTALS
    assert [len(portal.servers) for portal in portals] == [SERVERS] * PORTALS
    server = portals[0].servers[0]
    assert (server.server_id, server.auth_type, server.status) == (server.id, "oauth", "ready")
    assert server.last_successful_sync == datetime.fromtimestamp(EPOCH, UTC)
    assert server.created_at is not None
    assert len(server.tools) == TOOLS
    assert server.auth_config_summary is not None
    assert server.auth_config_summary.auth_mode == "dcr"
    assert {"1", "2", "3", "4"} == {asked.query.get("page", "1") for asked in uniform.requests}


def test_every_page_of_servers_is_of_the_published_shape(uniform: Simulator, login: Login) -> None:
    with client(uniform, login(uniform), strict=True) as sdk:
        mcp = sdk.zero_trust.access.ai_controls.mcp
        servers = list(mcp.servers.list(account_id=uniform.account_id))
    assert len({server.id for server in servers}) == len(servers) == PORTALS * SERVERS
    failing = [server for server in servers if server.status == "error"]
    assert len(failing) == len(servers) // 10
    assert failing[0].error_details is not None
    assert (failing[0].error_details.is_upstream, failing[0].error_details.retryable) == (
        True,
        True,
    )


def test_the_demo_s_records_are_typed(demo: Simulator, login: Login) -> None:
    with client(demo, login(demo)) as sdk:
        mcp = sdk.zero_trust.access.ai_controls.mcp
        portals = {portal.id: portal for portal in mcp.portals.list(account_id=demo.account_id)}
        servers = {server.id: server for server in mcp.servers.list(account_id=demo.account_id)}
    assert (len(portals), len(servers)) == (6, 28)
    assert portals["finance"].code_mode == "enforced"
    assert (portals["sandbox"].code_mode, portals["sandbox"].allow_code_mode) == (None, True)
    assert servers["feature-flags"].authentication_status == "stale"
    assert servers["forecast"].to_dict()["tools"] is None
    refused = servers["shipping"].error_details
    assert refused is not None
    assert (refused.status_code, refused.mcp_code) == (401, -32001)
    attached = {server.id: server for server in portals["partners"].servers}
    assert (attached["issues"].default_disabled, attached["stock"].on_behalf) == (True, False)
    overrides = {entry.name: entry for entry in attached["issues"].updated_tools or []}
    assert overrides["create_issue"].portal_alias == "report_problem"
    assert overrides["search_issue"].server_alias == "find_issue"


def test_search_reaches_the_list(demo: Simulator) -> None:
    with client(demo, LOGINS["a token"](demo)) as sdk:
        mcp = sdk.zero_trust.access.ai_controls.mcp
        found = mcp.servers.list(account_id=demo.account_id, search="warehouse")
        assert [server.id for server in found] == ["warehouse"]


class Refused(NamedTuple):
    kind: type[cloudflare.APIStatusError]
    code: int
    login: Login = LOGINS["a token"]
    account: str | None = None
    per_page: int = 20


REFUSALS = {
    "an unknown token": Refused(
        cloudflare.AuthenticationError, 1000, lambda _: {"api_token": "x" * 40}
    ),
    "a wrong key": Refused(
        cloudflare.PermissionDeniedError,
        9103,
        lambda simulator: {"api_email": simulator.email, "api_key": "f" * 37},
    ),
    "a missing permission": Refused(
        cloudflare.PermissionDeniedError,
        10000,
        lambda simulator: {"api_token": simulator.token_without_permission},
    ),
    "a token that the SDK drops for an e-mail": Refused(
        cloudflare.BadRequestError,
        9106,
        lambda simulator: {"api_token": simulator.token, "api_email": simulator.email},
    ),
    "another account": Refused(cloudflare.NotFoundError, 7003, account="f" * 32),
    "too large a page": Refused(cloudflare.BadRequestError, 7001, per_page=101),
}


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_raises_the_sdk_s_own_error(demo: Simulator, refused: Refused) -> None:
    with client(demo, refused.login(demo)) as sdk:
        portals = sdk.zero_trust.access.ai_controls.mcp.portals
        with pytest.raises(refused.kind) as raised:
            portals.list(account_id=refused.account or demo.account_id, per_page=refused.per_page)
    assert [error.code for error in raised.value.errors] == [refused.code]


def test_a_spent_quota_raises_the_sdk_s_rate_limit_error() -> None:
    with Simulator(clock=lambda: EPOCH, quota=0) as simulator:
        with (
            client(simulator, LOGINS["a token"](simulator)) as sdk,
            pytest.raises(cloudflare.RateLimitError) as refused,
        ):
            sdk.zero_trust.access.ai_controls.mcp.portals.list(account_id=simulator.account_id)
        assert refused.value.response.headers["retry-after"] == "300"
        assert [error.code for error in refused.value.errors] == [971]


def test_a_sync_is_refused(demo: Simulator) -> None:
    with client(demo, LOGINS["a token"](demo)) as sdk, pytest.raises(cloudflare.NotFoundError):
        sdk.zero_trust.access.ai_controls.mcp.servers.sync("ci", account_id=demo.account_id)


def test_a_strict_client_sees_a_wrong_shape() -> None:
    """The strict mode that the tests above rely on does refuse what it should."""

    def unnamed(_: Request) -> Response:
        body = b'{"success": true, "result": [{"id": "x", "name": "x", "servers": []}]}'
        return Response(200, body, {"Content-Type": "application/json"})

    with (
        Simulator(hook=unnamed) as simulator,
        client(simulator, LOGINS["a token"](simulator), strict=True) as sdk,
        pytest.raises(cloudflare.APIResponseValidationError),
    ):
        sdk.zero_trust.access.ai_controls.mcp.portals.list(account_id=simulator.account_id)
