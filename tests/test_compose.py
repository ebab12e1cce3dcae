"""The stack of `deploy/compose`: its files fit together, and real programs run with them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

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
SERVING = ("exporter", "prometheus", "alertmanager", "grafana")


def composed(
    folder: Path = STACK, options: tuple[str, ...] = ("--env-file", os.devnull), **environ: str
) -> dict[str, Any]:
    """The stack as Docker Compose understands it; it must have nothing to complain of."""
    program, file = Path(sys.executable).parent / "docker-compose", folder / "compose.yaml"
    done = subprocess.run(
        [program, *options, "--file", file, "config", "--format", "json"],
        env={**bare_environment(folder), **environ},
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


def copied(services: dict[str, Any], source: Path, target: Path, *before: str) -> Path:
    """What the service `files` makes of `source`, in `target`; `before` runs it."""
    service = services["files"]
    python, program = service["entrypoint"]
    assert (python, service["command"]) == ("/opt/exporter/bin/python3", ["/source", "/files"])
    subprocess.run(
        [*before, sys.executable, mounts(service)[program], source, target], check=True, timeout=60
    )
    return target


def sources(services: dict[str, Any], folder: Path) -> Path:
    """What the service `files` sees below `/source`, as copies."""
    folder.mkdir(exist_ok=True)
    for inside, path in mounts(services["files"]).items():
        if inside.startswith("/source/"):
            copy = folder / inside.removeprefix("/source/")
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    return folder


@pytest.fixture(scope="module")
def files(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all containers see as `/files`."""
    source = sources(services, tmp_path_factory.mktemp("source"))
    return copied(services, source, tmp_path_factory.mktemp("files"))


def in_container(files: Path, path: str) -> Path:
    """The file that a container sees under a path."""
    assert path.startswith("/files/")
    return files / path.removeprefix("/files/")


def test_the_stack_is_the_exporter_prometheus_alertmanager_and_grafana(
    services: dict[str, Any],
) -> None:
    assert set(services) == {*SERVING, "files"}


def test_the_exporter_watches_a_simulated_account_until_it_has_a_token() -> None:
    demo = composed()["services"]["exporter"]["environment"]
    assert demo["CLOUDFLARE_MCP_EXPORTER_DEMO"] == "true"
    assert demo["CLOUDFLARE_API_TOKEN"] is None
    real = composed(CLOUDFLARE_API_TOKEN="made-up-token", CLOUDFLARE_ACCOUNT_ID="a" * 32)
    environment = real["services"]["exporter"]["environment"]
    assert "CLOUDFLARE_MCP_EXPORTER_DEMO" not in environment
    assert environment["CLOUDFLARE_API_TOKEN"] == "made-up-token"
    assert environment["CLOUDFLARE_ACCOUNT_ID"] == "a" * 32


@pytest.mark.parametrize("name", SERVING)
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


def test_nothing_serves_before_its_files_are_there(services: dict[str, Any]) -> None:
    for name in SERVING[1:]:
        mounted = [v for v in services[name]["volumes"] if v["target"] == "/files"]
        assert [(v["source"], v["read_only"]) for v in mounted] == [("files", True)]
        waits = services[name]["depends_on"]["files"]
        assert waits["condition"] == "service_completed_successfully"


def test_what_copies_the_files_can_do_no_more_than_read_them(services: dict[str, Any]) -> None:
    service = services["files"]
    assert service["cap_drop"] == ["ALL"]
    assert service["cap_add"] == ["DAC_READ_SEARCH"]
    assert service["network_mode"] == "none"
    assert service["read_only"]
    assert service["restart"] == "no"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read what belongs to others")
def test_files_of_a_clone_under_umask_077_reach_the_containers(
    services: dict[str, Any], tmp_path: Path
) -> None:
    source = sources(services, tmp_path / "source")
    for path in (source, *source.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.chown(path, 1000, 1000)
    target = tmp_path / "files"
    target.mkdir(mode=0o755)
    (target / "alerts").mkdir()
    (target / "alerts" / "gone.rules.yml").touch()
    only = ("setpriv", "--bounding-set=-all,+dac_read_search")
    copied(services, source, target, *only)
    found = {path.relative_to(target): path.stat().st_mode & 0o777 for path in target.rglob("*")}
    expected = {path.relative_to(source) for path in source.rglob("*")}
    assert expected == found.keys() - {Path("grafana/alerting"), Path("grafana/plugins")}
    for path, mode in found.items():
        assert mode == (0o755 if (target / path).is_dir() else 0o644), path


def test_an_env_file_beside_the_stack_makes_it_watch_an_account(tmp_path: Path) -> None:
    shutil.copytree(STACK, tmp_path / "stack")
    example = (STACK / ".env.example").read_text()
    env = tmp_path / "stack" / ".env"
    env.write_text(example)
    untouched = composed(tmp_path / "stack", ())["services"]["exporter"]["environment"]
    assert untouched["CLOUDFLARE_MCP_EXPORTER_DEMO"] == "true"
    env.write_text(
        example.replace("API_TOKEN=", "API_TOKEN=made-up").replace(
            "ACCOUNT_ID=", f"ACCOUNT_ID={'a' * 32}"
        )
    )
    real = composed(tmp_path / "stack", ())["services"]["exporter"]["environment"]
    assert "CLOUDFLARE_MCP_EXPORTER_DEMO" not in real
    assert real["CLOUDFLARE_API_TOKEN"] == "made-up"
    assert real["CLOUDFLARE_ACCOUNT_ID"] == "a" * 32


def test_git_ignores_the_env_file_and_keeps_its_example() -> None:
    names = ("deploy/compose/.env", "deploy/compose/.env.example")
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 128:
        pytest.skip("not a clone")
    assert done.stdout.split() == [names[0]]
    variables = re.findall(r"^(\w+)=", (ROOT / names[1]).read_text(), re.MULTILINE)
    assert {*variables} == set(re.findall(r"\$\{(\w+)", (STACK / "compose.yaml").read_text())) | {
        "CLOUDFLARE_ACCOUNT_ID"
    }


def test_what_is_not_built_here_is_of_an_exact_version(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values() if "build" not in service]
    assert len(images) == 3
    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+@sha256:", image)] == []


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
    services: dict[str, Any], files: Path
) -> None:
    file = in_container(files, flag(services["prometheus"], "--config.file"))
    done = subprocess.run(
        [require("promtool"), "check", "config", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == len(list(RULES.glob("*.rules.yml"))) == 3


def test_alertmanager_takes_the_example_s_routing(services: dict[str, Any], files: Path) -> None:
    file = in_container(files, flag(services["alertmanager"], "--config.file"))
    assert file.read_text() == EXAMPLE.read_text()
    for template in yaml.safe_load(file.read_text())["templates"]:
        assert (file.parent / template).is_file()
    subprocess.run(
        [require("amtool"), "check-config", file], capture_output=True, timeout=60, check=True
    )


def published(service: dict[str, Any]) -> str:
    """Where people reach a service."""
    (port,) = service["ports"]
    return f"http://localhost:{port['published']}"


def test_every_link_of_a_notification_opens(services: dict[str, Any], files: Path) -> None:
    alerts = [rule["annotations"] for rule in rules() if "alert" in rule]
    folder = in_container(files, "/files/dashboards")
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


def grafana_file(services: dict[str, Any], files: Path, kind: str) -> dict[str, Any]:
    """The one file of a folder that Grafana provisions itself from."""
    provisioning = services["grafana"]["environment"]["GF_PATHS_PROVISIONING"]
    folder = in_container(files, f"{provisioning}/{kind}")
    (file,) = folder.iterdir()
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    assert content.pop("apiVersion") == 1
    return content


def test_grafana_finds_its_data_sources_where_the_services_listen(
    services: dict[str, Any], files: Path
) -> None:
    sources = grafana_file(services, files, "datasources")["datasources"]
    listening = {
        f"http://{name}:{port['target']}"
        for name, service in services.items()
        for port in service.get("ports", ())
    }
    assert {source["type"] for source in sources} == {"prometheus", "alertmanager"}
    assert {source["url"] for source in sources} <= listening
    assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]


def test_grafana_finds_all_dashboards_and_opens_the_overview(
    services: dict[str, Any], files: Path
) -> None:
    (provider,) = grafana_file(services, files, "dashboards")["providers"]
    assert provider["type"] == "file"
    folder = in_container(files, provider["options"]["path"])
    shown = {file.name: file.read_text() for file in folder.glob("*.json")}
    assert shown == {f.name: f.read_text() for f in (ROOT / "dashboards").glob("*.json")}
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert in_container(files, home).name == "cloudflare-mcp-overview.json"
    assert in_container(files, home).is_file()


def test_grafana_s_shortest_step_is_prometheus_scrape_interval(
    services: dict[str, Any], files: Path
) -> None:
    sources = grafana_file(services, files, "datasources")["datasources"]
    config = yaml.safe_load((STACK / "prometheus.yml").read_text())
    (step,) = [s["jsonData"]["timeInterval"] for s in sources if s["type"] == "prometheus"]
    assert step == config["global"]["scrape_interval"]


class Stack(NamedTuple):
    """Real programs with the stack's files."""

    prometheus: Prometheus
    alertmanager: Alertmanager


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack's Prometheus, with the addresses of a real exporter and Alertmanager put in."""
    home = tmp_path_factory.mktemp("stack")
    prometheus_home = home / "prometheus"
    prometheus_home.mkdir()
    (prometheus_home / "alerts").symlink_to(RULES)
    config = (STACK / "prometheus.yml").read_text()
    with ExitStack() as cleanup:
        exporter = RunningExporter(home, "--demo", env={})
        cleanup.callback(exporter.kill)
        alertmanager = Alertmanager(require("prometheus-alertmanager"), home, EXAMPLE)
        cleanup.callback(alertmanager.kill)
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
        cleanup.callback(prometheus.kill)
        prometheus.await_ready()
        yield Stack(prometheus, alertmanager)


@pytest.fixture
def running(stack: Stack) -> Prometheus:
    return stack.prometheus


CHECKS = {
    "prometheus": "http://127.0.0.1:9090",
    "alertmanager": "http://127.0.0.1:9093",
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_health_check_is_the_image_s_own_program_and_knows_well_from_ill(
    services: dict[str, Any], stack: Stack, name: str
) -> None:
    way, program, *arguments = services[name]["healthcheck"]["test"]
    assert (way, program) == ("CMD", {"prometheus": "promtool", "alertmanager": "amtool"}[name])

    def status(url: str) -> int:
        command = [require(program), *(one.replace(CHECKS[name], url) for one in arguments)]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode

    running: Prometheus | Alertmanager = getattr(stack, name)
    assert status(running.url) == 0
    assert status("http://127.0.0.1:9") != 0


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
