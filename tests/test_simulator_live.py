"""The simulator's servers and portals, as the exporter's own probes see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from exporter.simulator.account import SimulatedAccount
from exporter.simulator.scenario import demo_scenario
from exporter.simulator.server import Simulator
from processes import RunningExporter, eventually, get
from simulated import START, Clock, listed, probing_configuration
from watching import samples

RunExporter = Callable[..., RunningExporter]


class Probed(NamedTuple):
    """An exporter of a simulated account."""

    url: str

    def ids(self, kind: str) -> list[str]:
        """Of the targets of a kind."""
        found = get(f"{self.url}/sd/{kind}s").json()
        return sorted(one["labels"][kind] for one in found)

    def probe(self, kind: str, identity: str) -> dict[str, float]:
        """Values by the name's part behind ``probe_`` and the labels that are not the target's."""
        text = get(f"{self.url}/probe/{kind}?account=demo&{kind}={identity}").text
        found = {}
        for (metric, labels), value in samples(text).items():
            rest = [
                one for label, one in sorted(labels) if label not in {"account_id", f"{kind}_id"}
            ]
            found["/".join([metric.rpartition("_probe_")[2], *rest])] = value
        return found


def status(simulator: Simulator, server: str) -> str:
    """What the API says of the server."""
    (found,) = (one for one in listed(simulator, "servers", per_page=100) if one["id"] == server)
    return str(found["status"])


def test_the_story_that_only_probes_see(run_exporter: RunExporter, tmp_path: Path) -> None:
    clock = Clock()
    account = SimulatedAccount(demo_scenario(), START)
    with Simulator(account, clock=clock, live=True, quota=None) as simulator:
        file = tmp_path / "config.yml"
        file.write_text(probing_configuration(simulator))
        seen = Probed(run_exporter(f"--config.file={file}").url)

        def at(second: float) -> None:
            clock.now = START + second

        servers = seen.ids("server")
        assert {"translate", "stock", "playground", "docs-search"} <= set(servers)
        assert "issues" not in servers  # routed through the Gateway
        assert seen.ids("portal") == sorted(
            ["engineering", "data", "support", "finance", "partners", "sandbox"]
        )
        assert {seen.probe("server", one)["success"] for one in servers} == {1}
        assert seen.probe("server", "translate")["info/2025-11-25"] == 1
        assert seen.probe("server", "docs-search")["info/2026-07-28"] == 1
        assert seen.probe("server", "stock")["outcome/authorization_required"] == 1
        assert seen.probe("server", "forecast")["login_possible"] == 1
        partners = seen.probe("portal", "partners")
        assert (partners["success"], partners["server_visible/stock"]) == (1, 1)
        assert [name for name in seen.probe("portal", "finance") if "visible" in name] == []

        at(100)
        assert seen.probe("server", "forecast")["login_possible"] == 0

        at(300)
        assert seen.probe("server", "translate")["outcome/http_error"] == 1
        assert status(simulator, "translate") == "ready"

        at(410)
        partners = seen.probe("portal", "partners")
        assert partners["success"] == 1
        assert partners["server_visible/stock"] == 0
        assert partners["server_visible/translate"] == 1
        assert status(simulator, "stock") == "ready"

        at(620)
        drift = seen.probe("server", "metric-catalog")
        assert drift["catalog_drift_tools/added"] == 2
        assert drift["catalog_drift_tools/removed"] == 0

        at(890)
        assert {seen.probe("server", one)["success"] for one in servers} == {1}
        assert seen.probe("portal", "partners")["server_visible/stock"] == 1
        assert simulator.live is not None
        assert simulator.live.sessions == set()


def test_without_live_targets_hostnames_are_those_of_the_scenario() -> None:
    with Simulator() as simulator:
        names = {one["hostname"] for one in listed(simulator, "servers", per_page=100)}
        where = simulator.base_url.removesuffix("/client/v4")
        assert "https://translate.mcp.example.com/mcp" in names
        assert not get(f"{where}/live/portals/partners/").ok


def test_a_portal_without_the_service_token_leads_to_the_login() -> None:
    with Simulator(live=True) as simulator:
        (partners,) = (one for one in listed(simulator) if one["id"] == "partners")
        assert get(f"{partners['hostname']}/").ok
        with requests.Session() as session:
            session.trust_env = False
            reply = session.post(
                f"{partners['hostname']}/mcp", data=b"{}", allow_redirects=False, timeout=10
            )
    assert (reply.status_code, "cloudflareaccess" in reply.headers["Location"]) == (302, True)


@pytest.mark.parametrize("kind", ["servers", "portals"])
def test_the_demo_can_be_probed_as_it_is(run_exporter: RunExporter, kind: str) -> None:
    exporter = run_exporter("--demo")

    def probed() -> bool:
        found = get(f"{exporter.url}/sd/{kind}").json()
        labels = found[0]["labels"]
        reply = get(
            f"{exporter.url}{labels['__metrics_path__']}",
            params={
                name.removeprefix("__param_"): value
                for name, value in labels.items()
                if name.startswith("__param_")
            },
        )
        return bool(found) and "_probe_success" in reply.text

    eventually(probed, "probe")
