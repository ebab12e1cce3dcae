"""The stack of `deploy/compose`: its files fit together, and real programs run with them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.web.routes import App
from processes import (
    ROOT,
    Alertmanager,
    Prometheus,
    RunningExporter,
    bare_environment,
    eventually,
    get,
)
from promtool import RULES, groups, rules
from realparts import require
from serving import Unlisted, serving_app

STACK = ROOT / "deploy" / "compose"
EXAMPLE = RULES / "alertmanager.example.yml"


def composed(**environ: str) -> dict[str, Any]:
    """The stack as Docker Compose understands it."""
    program, file = Path(sys.executable).parent / "docker-compose", STACK / "compose.yaml"
    done = subprocess.run(
        [program, "--env-file", os.devnull, "--file", file, "config", "--format", "json"],
        env={**bare_environment(STACK), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    stack: dict[str, Any] = json.loads(done.stdout)
    return stack


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = composed()["services"]
    return found


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Source of each mounted file or folder by where it is in the container."""
    return {
        volume["target"]: Path(volume["source"])
        for volume in service["volumes"]
        if volume["type"] == "bind"
    }


def in_container(service: dict[str, Any], path: str) -> Path:
    """The file of the repository that a container sees under a path."""
    for target, source in mounts(service).items():
        if path == target or path.startswith(f"{target}/"):
            return Path(f"{source}{path.removeprefix(target)}")
    raise AssertionError(f"{path} is not mounted")


def test_the_stack_is_the_exporter_prometheus_alertmanager_and_grafana(
    services: dict[str, Any],
) -> None:
    assert set(services) == {"exporter", "prometheus", "alertmanager", "grafana"}


def test_the_exporter_watches_a_simulated_account_until_it_has_a_token() -> None:
    demo = composed()["services"]["exporter"]["environment"]
    assert demo["CLOUDFLARE_MCP_EXPORTER_DEMO"] == "true"
    assert demo["CLOUDFLARE_API_TOKEN"] is None
    real = composed(CLOUDFLARE_API_TOKEN="made-up-token", CLOUDFLARE_ACCOUNT_ID="a" * 32)
    environment = real["services"]["exporter"]["environment"]
    assert "CLOUDFLARE_MCP_EXPORTER_DEMO" not in environment
    assert environment["CLOUDFLARE_API_TOKEN"] == "made-up-token"
    assert environment["CLOUDFLARE_ACCOUNT_ID"] == "a" * 32


@pytest.mark.parametrize("name", ["exporter", "prometheus", "alertmanager", "grafana"])
def test_a_service_is_confined_and_reached_from_this_machine_alone(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]
    assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    # The exporter's check is its image's; Grafana writes outside its data.
    assert ("healthcheck" in service) == (name != "exporter")
    assert bool(service.get("read_only")) == (name != "grafana")


def test_what_is_not_built_here_is_of_an_exact_version(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values() if "build" not in service]
    assert len(images) == 3
    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_what_is_mounted_is_there_and_read_only(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists()
                assert volume["read_only"]


def flag(service: dict[str, Any], name: str) -> str:
    """The value of a flag in a service's command."""
    (value,) = [a.partition("=")[2] for a in service["command"] if a.startswith(f"{name}=")]
    return str(value)


def test_prometheus_loads_the_shipped_rules_with_the_stack_s_own_file(
    services: dict[str, Any], tmp_path: Path
) -> None:
    for target, source in mounts(services["prometheus"]).items():
        (tmp_path / Path(target).name).symlink_to(source)
    file = tmp_path / Path(flag(services["prometheus"], "--config.file")).name
    done = subprocess.run(
        [require("promtool"), "check", "config", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == len(list(RULES.glob("*.rules.yml"))) == 2


def test_alertmanager_takes_the_example_s_routing(services: dict[str, Any]) -> None:
    service = services["alertmanager"]
    file = in_container(service, flag(service, "--config.file"))
    assert file == EXAMPLE
    for template in yaml.safe_load(file.read_text())["templates"]:
        assert in_container(service, f"/etc/alertmanager/{template}").is_file()
    subprocess.run(
        [require("amtool"), "check-config", file], capture_output=True, timeout=60, check=True
    )


def published(service: dict[str, Any]) -> str:
    """Where people reach a service."""
    (port,) = service["ports"]
    return f"http://localhost:{port['published']}"


def test_every_link_of_a_notification_opens(services: dict[str, Any]) -> None:
    alerts = [rule["annotations"] for rule in rules() if "alert" in rule]
    folder = in_container(services["grafana"], "/etc/grafana/dashboards")
    uids = {json.loads(file.read_text())["uid"] for file in folder.glob("*.json")}
    dashboards = {f"{published(services['grafana'])}/d/{uid}" for uid in uids}
    assert {each["dashboard_url"].partition("?")[0] for each in alerts} <= dashboards
    runbooks = {each["runbook_url"] for each in alerts}
    with serving_app(App(Unlisted(tuple))) as exporter:
        for url in runbooks:
            path = url.removeprefix(published(services["exporter"]))
            assert path.startswith("/")
            assert get(exporter + path).status_code == 200
    # Those to the Prometheus and the Alertmanager that sent it.
    for name in ("prometheus", "alertmanager"):
        assert flag(services[name], "--web.external-url") == published(services[name])


def grafana_file(services: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one file of a folder that Grafana provisions itself from."""
    folder = in_container(services["grafana"], f"/etc/grafana/provisioning/{kind}")
    (file,) = folder.iterdir()
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    assert content.pop("apiVersion") == 1
    return content


def test_grafana_finds_its_data_sources_where_the_services_listen(
    services: dict[str, Any],
) -> None:
    sources = grafana_file(services, "datasources")["datasources"]
    listening = {
        f"http://{name}:{port['target']}"
        for name, service in services.items()
        for port in service["ports"]
    }
    assert {source["type"] for source in sources} == {"prometheus", "alertmanager"}
    assert {source["url"] for source in sources} <= listening
    assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]


def test_grafana_finds_all_dashboards_and_opens_the_overview(services: dict[str, Any]) -> None:
    grafana = services["grafana"]
    (provider,) = grafana_file(services, "dashboards")["providers"]
    assert provider["type"] == "file"
    folder = in_container(grafana, provider["options"]["path"])
    assert folder == ROOT / "dashboards"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert in_container(grafana, home).name == "cloudflare-mcp-overview.json"
    assert in_container(grafana, home).is_file()


def test_grafana_s_shortest_step_is_prometheus_scrape_interval(services: dict[str, Any]) -> None:
    sources = grafana_file(services, "datasources")["datasources"]
    config = yaml.safe_load((STACK / "prometheus.yml").read_text())
    (step,) = [s["jsonData"]["timeInterval"] for s in sources if s["type"] == "prometheus"]
    assert step == config["global"]["scrape_interval"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The stack's Prometheus, with the addresses of a real exporter and Alertmanager put in."""
    home = tmp_path_factory.mktemp("stack")
    prometheus_home = home / "prometheus"
    prometheus_home.mkdir()
    (prometheus_home / "alerts").symlink_to(RULES)
    config = (STACK / "prometheus.yml").read_text()
    with ExitStack() as stack:
        exporter = RunningExporter(home, "--demo", env={})
        stack.callback(exporter.kill)
        alertmanager = Alertmanager(require("prometheus-alertmanager"), home, EXAMPLE)
        stack.callback(alertmanager.kill)
        exporter.await_ready()
        alertmanager.await_ready()
        for written, real in (
            ("exporter:10180", exporter.url.removeprefix("http://")),
            ("alertmanager:9093", alertmanager.url.removeprefix("http://")),
            ("scrape_interval: 30s", "scrape_interval: 1s"),
            ("scrape_timeout: 10s", "scrape_timeout: 1s"),
        ):
            assert config.count(written) == 1
            config = config.replace(written, real)
        prometheus = Prometheus(require("prometheus"), prometheus_home, config)
        stack.callback(prometheus.kill)
        prometheus.await_ready()
        yield prometheus


def test_a_real_prometheus_with_the_stack_s_file_scrapes_the_exporter(running: Prometheus) -> None:
    up = 'cloudflare_mcp_up{job="cloudflare-mcp"} == 1'
    eventually(lambda: running.query(up), "an account that is up")


def test_a_real_prometheus_with_the_stack_s_file_evaluates_all_rules(running: Prometheus) -> None:
    loaded = {group["name"] for group in running.api("rules")["groups"]}
    assert loaded == {group["name"] for group in groups()}


def test_a_real_prometheus_with_the_stack_s_file_knows_its_alertmanager(
    running: Prometheus,
) -> None:
    found = eventually(lambda: running.api("alertmanagers")["activeAlertmanagers"], "Alertmanager")
    assert len(found) == 1
