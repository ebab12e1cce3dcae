"""The simulator's records have the API's fields, and its catalogs and fleets real sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pytest

from exporter.simulator.server import Simulator
from exporter.simulator.tool_catalog import make_tools
from exporter.simulator.uniform_account import uniform_account
from simulated import START, Clock, Record, attached, listed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def demo(clock: Clock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as simulator:
        yield simulator


PORTAL_FIELDS = {
    "id", "hostname", "name", "servers", "allow_code_mode", "code_mode", "created_at",
    "created_by", "description", "modified_at", "modified_by", "secure_web_gateway",
}  # fmt: skip
SERVER_FIELDS = {
    "id", "auth_type", "hostname", "name", "prompts", "tools", "auth_config_summary",
    "authentication_status", "created_at", "created_by", "description", "error", "error_details",
    "is_shared_oauth_callback_enabled", "last_successful_sync", "last_synced", "modified_at",
    "modified_by", "secure_web_gateway", "status", "updated_prompts", "updated_tools",
}  # fmt: skip
ATTACHED_FIELDS = SERVER_FIELDS | {"server_id", "default_disabled", "on_behalf"}
ERROR_FIELDS = {"cause", "is_upstream", "mcp_code", "retryable", "status_code"}
SUMMARY_FIELDS = {
    "auth_mode", "client_secret_version", "has_client_secret", "config", "registration_info",
}  # fmt: skip
PORTAL_OVERRIDE_FIELDS = {
    "name", "enabled", "portal_alias", "portal_description", "server_alias", "server_description",
}  # fmt: skip
SERVER_OVERRIDE_FIELDS = {"name", "enabled", "alias", "description"}
TOOL_FIELDS = {"name", "title", "description", "inputSchema", "outputSchema", "annotations"}


def members(records: list[Record], name: str | None = None) -> set[str]:
    """Names of the members that have a value, of the records or of one member of them."""
    nested = [record.get(name) for record in records] if name else records
    flat = [entry for value in nested for entry in (value if isinstance(value, list) else [value])]
    return {key for entry in flat if entry for key, value in entry.items() if value is not None}


def test_every_field_of_the_api_has_a_value_in_some_record_and_no_other_field_has(
    demo: Simulator,
) -> None:
    portals, servers = listed(demo), listed(demo, "servers", per_page=100)
    in_portals = attached(portals)
    assert members(portals) == PORTAL_FIELDS
    assert members(in_portals) == ATTACHED_FIELDS
    assert members(servers) == SERVER_FIELDS
    assert members(servers, "error_details") == ERROR_FIELDS
    assert members(servers, "auth_config_summary") == SUMMARY_FIELDS
    assert members(in_portals, "updated_tools") == PORTAL_OVERRIDE_FIELDS
    assert members(in_portals, "updated_prompts") == {"name", "enabled", "server_alias"}
    assert members(servers, "updated_tools") == SERVER_OVERRIDE_FIELDS
    assert members(servers, "tools") == TOOL_FIELDS
    assert members(servers, "prompts") == {"name", "title", "description", "arguments"}


def test_timestamps_come_in_both_forms(demo: Simulator) -> None:
    for record in [*listed(demo), *listed(demo, "servers", per_page=100)]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["created_at"])
        for name in ("modified_at", "last_synced", "last_successful_sync"):
            form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
            assert name not in record or re.fullmatch(form, record[name])


def test_a_server_is_the_same_in_every_portal_but_for_what_is_the_portal_s(
    demo: Simulator, clock: Clock
) -> None:
    own = ("on_behalf", "default_disabled", "updated_tools", "updated_prompts", "server_id")
    clock.now = START + 200
    alone = {server["id"]: server for server in listed(demo, "servers", per_page=100)}
    for server in attached(listed(demo)):
        shared = {name: value for name, value in server.items() if name not in own}
        assert shared == {k: v for k, v in alone[server["id"]].items() if k not in own}


def test_tools_are_as_large_as_real_ones() -> None:
    sizes = sorted(len(msgspec.json.encode(tool)) for tool in make_tools(3000, ("a", "b"), "s"))
    assert 1250 < sum(sizes) / len(sizes) < 1550
    assert 750 < sizes[1500] < 1050
    assert 2500 < sizes[2700] < 3600
    assert sizes[-1] < 6500


def test_fewer_tools_are_the_first_of_more_and_no_name_comes_twice() -> None:
    many = make_tools(100, ("issue", "sprint"), "seed")
    assert make_tools(30, ("issue", "sprint"), "seed") == many[:30]
    assert len({tool["name"] for tool in many}) == 100


@pytest.mark.parametrize(("portals", "servers", "tools"), [(2, 5, 7), (1, 1, 2600), (3, 4, 0)])
def test_a_fleet_is_as_large_as_asked(portals: int, servers: int, tools: int) -> None:
    account = uniform_account(portals=portals, servers=servers, tools=tools)
    found = account.portals(START)
    assert [len(portal["servers"]) for portal in found] == [servers] * portals
    assert len({server["id"] for server in attached(found)}) == portals * servers
    assert len(account.servers(START)) == portals * servers
    for server in attached(found):
        assert len({tool["name"] for tool in server["tools"]}) == tools
