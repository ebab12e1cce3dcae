"""The chart: what its values do, in one release, in an umbrella, and with the real exporter."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from helm_python import Chart, HelmRenderError, HelmValuesError, lint, package

import exporter
from charts import (
    ACCOUNT,
    CHART,
    NEWEST,
    OPERATORS,
    Manifest,
    Values,
    complaint,
    container,
    documents,
    misfits,
    of_kind,
    pod,
    rendered,
)
from processes import (
    ROOT,
    Prometheus,
    RunningExporter,
    bare_environment,
    eventually,
    get,
)
from promtool import RULE_FILES
from realparts import require

PLAIN = ROOT / "deploy" / "kubernetes"
EARLIER = Path(__file__).parent / "kubernetes" / "values-0.1.0.yml"
RELEASES: dict[str, dict[str, Any]] = yaml.safe_load(EARLIER.read_text())
EVERYTHING: Values = RELEASES["everything"]["values"]
CONFIG: Values = EVERYTHING["config"]
ONE_ACCOUNT: Values = {"accountId": ACCOUNT, "existingSecret": "mine"}
MONITORED: Values = {"demo": True, "serviceMonitor": {"enabled": True}}
PROBED: Values = {"demo": True, "probe": {"enabled": True}}
EACH_RELEASE = pytest.mark.parametrize("release", RELEASES)

RunExporter = Callable[..., RunningExporter]


@pytest.fixture(scope="module")
def chart() -> Iterator[Chart]:
    with Chart.load(CHART) as loaded:
        yield loaded


# --- upgrades ----------------------------------------------------------------------------------


@EACH_RELEASE
def test_values_of_an_earlier_version_make_the_same_objects(chart: Chart, release: str) -> None:
    found = rendered(chart, RELEASES[release]["values"])
    names = [[one["kind"], one["metadata"]["name"]] for one in found]
    assert [one for one in RELEASES[release]["objects"] if one not in names] == []
    assert list(misfits(found)) == []
    # Kubernetes takes no other one for a deployment that is there.
    assert of_kind(found, "Deployment")["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "cloudflare-mcp-exporter",
        "app.kubernetes.io/instance": "mcp",
    }


@EACH_RELEASE
def test_helm_s_lint_finds_nothing_to_warn_of(release: str) -> None:
    report = lint(CHART, RELEASES[release]["values"], strict=True)
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert not report["errors"]


@EACH_RELEASE
def test_the_pods_fit_the_restricted_level_of_pod_security(chart: Chart, release: str) -> None:
    found = rendered(chart, RELEASES[release]["values"])
    for spec in (pod(found), of_kind(found, "Pod")["spec"]):
        (one,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        kinds = {key for volume in spec.get("volumes", []) for key in volume}
        assert kinds <= {"name", "configMap", "secret"}
        assert spec["automountServiceAccountToken"] is False


@EACH_RELEASE
def test_no_secret_stands_in_anything_but_a_secret(chart: Chart, release: str) -> None:
    found = rendered(chart, RELEASES[release]["values"])
    assert "made-up-token" not in json.dumps([one for one in found if one["kind"] != "Secret"])


# --- merged, never twice -----------------------------------------------------------------------


def test_relabelings_of_users_come_after_the_one_that_names_the_job(chart: Chart) -> None:
    mine, more = ({"action": "labeldrop", "regex": name} for name in ("pod", "container"))
    monitor = {"enabled": True, "relabelings": [mine], "endpoint": {"relabelings": [more]}}
    found = rendered(chart, {"demo": True, "serviceMonitor": monitor})
    (endpoint,) = of_kind(found, "ServiceMonitor")["spec"]["endpoints"]
    job = {"targetLabel": "job", "replacement": "cloudflare-mcp"}
    assert endpoint["relabelings"] == [job, mine, more]


def test_a_field_of_a_probe_or_an_endpoint_takes_the_place_of_the_value(chart: Chart) -> None:
    spec = {"interval": "5m", "targets": {"staticConfig": {"labels": {"team": "mcp"}}}}
    probe = of_kind(rendered(chart, {**PROBED, "probe": {"enabled": True, "spec": spec}}), "Probe")
    assert probe["spec"]["interval"] == "5m"
    static = probe["spec"]["targets"]["staticConfig"]
    assert static["labels"] == {"team": "mcp"}
    assert static["static"] == ["Demo account"]
    monitor = {"enabled": True, "interval": "2m", "endpoint": {"interval": "5m"}}
    found = rendered(chart, {"demo": True, "serviceMonitor": monitor})
    (endpoint,) = of_kind(found, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["interval"] == "5m"


def test_labels_and_annotations_of_users_win_but_for_those_of_selectors(chart: Chart) -> None:
    mine = {"app.kubernetes.io/version": "mine", "app.kubernetes.io/name": "mine", "team": "mcp"}
    values = {
        "config": CONFIG,
        "commonLabels": {**mine, "team": "all"},
        "podLabels": mine,
        "podAnnotations": {"checksum/config": "mine"},
        "service": {"labels": mine},
    }
    found = rendered(chart, values)
    template = of_kind(found, "Deployment")["spec"]["template"]["metadata"]
    assert template["annotations"] == {"checksum/config": "mine"}
    for labels in (template["labels"], of_kind(found, "Service")["metadata"]["labels"]):
        assert labels["app.kubernetes.io/version"] == "mine"
        assert labels["app.kubernetes.io/name"] == "cloudflare-mcp-exporter"
        assert labels["team"] == "mcp"
    assert {one["metadata"]["labels"]["team"] for one in found} == {"all", "mcp"}


def test_a_variable_a_volume_or_a_mount_of_users_takes_the_place_of_the_chart_s(
    chart: Chart,
) -> None:
    values = {
        "accountId": ACCOUNT,
        "existingSecret": "mine",
        "extraEnv": [{"name": "CLOUDFLARE_API_TOKEN_FILE", "value": "/vault/token"}],
        "extraVolumes": [{"name": "secrets", "emptyDir": {"medium": "Memory"}}],
        "extraVolumeMounts": [{"name": "secrets", "mountPath": "/vault"}],
    }
    found = rendered(chart, values)
    assert list(misfits(found)) == []
    assert [one["value"] for one in container(found)["env"]] == [ACCOUNT, "/vault/token"]
    assert pod(found)["volumes"] == values["extraVolumes"]
    assert "/vault" in [mount["mountPath"] for mount in container(found)["volumeMounts"]]


def test_a_long_name_leaves_every_object_a_name_of_its_own(chart: Chart) -> None:
    values = {**MONITORED, "dashboards": {"enabled": True}, "fullnameOverride": "x" * 80}
    assert list(misfits(rendered(chart, values))) == []


# --- in an umbrella ----------------------------------------------------------------------------


def umbrella(folder: Path, *aliases: str) -> Chart:
    """A chart with this chart in it, once under each alias."""
    name = CHART.name
    shutil.copytree(CHART, folder / "charts" / name)
    dependencies = [
        {"name": name, "version": exporter.__version__, "alias": alias}
        | {"condition": f"{alias}.enabled"}
        for alias in aliases
    ]
    about = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump({**about, "dependencies": dependencies}))
    (folder / "values.yaml").write_text(
        "one: {enabled: true, demo: true}\nglobal: {imageRegistry: registry.test, mine: {a: b}}\n"
    )
    return Chart.load(folder)


def test_an_umbrella_has_it_under_aliases_with_conditions_and_global_values(
    tmp_path: Path,
) -> None:
    another = {"enabled": True, **ONE_ACCOUNT, "image": {"tag": "2"}, "podSecurityContext": {}}
    with umbrella(tmp_path, "one", "another", "none") as chart:
        found = rendered(chart, {"another": another, "none": {"enabled": False}})
    deployments = {one["metadata"]["name"]: one for one in found if one["kind"] == "Deployment"}
    assert set(deployments) == {"mcp-one", "mcp-another"}
    images = {
        name: one["spec"]["template"]["spec"]["containers"][0]["image"]
        for name, one in deployments.items()
    }
    assert images == {
        "mcp-one": f"registry.test/cloudflare-mcp-exporter:{exporter.__version__}",
        "mcp-another": "registry.test/cloudflare-mcp-exporter:2",
    }
    spec = deployments["mcp-another"]["spec"]["template"]["spec"]
    assert "securityContext" not in spec
    names = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(set(names)) == len(names)
    for manifest in found:
        assert complaint(manifest, NEWEST) is None


def test_no_template_has_a_name_that_another_chart_could_have() -> None:
    defined = {
        name
        for path in (CHART / "templates").rglob("*")
        if path.is_file()
        for name in re.findall(r'define "([^"]*)"', path.read_text())
    }
    assert {name.partition(".")[0] for name in defined} == {CHART.name}


# --- OpenShift, and whoever else gives pods their user -----------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"global": {"compatibility": {"openshift": {"adaptSecurityContext": "force"}}}},
        {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    ],
    ids=["for OpenShift", "null"],
)
def test_the_user_and_the_groups_can_be_left_to_the_platform(chart: Chart, values: Values) -> None:
    found = rendered(chart, {**ONE_ACCOUNT, **values})
    for spec in (pod(found), of_kind(found, "Pod")["spec"]):
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    # Whatever group the platform gives, or none: the files can be read.
    assert [one["secret"]["defaultMode"] for one in pod(found)["volumes"]] == [0o444]


@pytest.mark.parametrize("nothing", [{}, None], ids=["empty", "null"])
def test_a_security_context_can_be_removed(chart: Chart, nothing: Values | None) -> None:
    values = {**ONE_ACCOUNT, "podSecurityContext": nothing, "securityContext": nothing}
    found = rendered(chart, values)
    assert "securityContext" not in pod(found)
    assert "securityContext" not in container(found)


def test_a_security_context_is_laid_over_the_chart_s(chart: Chart) -> None:
    values = {"podSecurityContext": {"fsGroup": 2000}, "securityContext": {"runAsUser": 1000}}
    found = rendered(chart, {**ONE_ACCOUNT, **values})
    assert pod(found)["securityContext"]["fsGroup"] == 2000
    assert pod(found)["securityContext"]["runAsUser"] == 65532
    assert container(found)["securityContext"]["runAsUser"] == 1000
    assert container(found)["securityContext"]["readOnlyRootFilesystem"] is True
    assert [one["secret"]["defaultMode"] for one in pod(found)["volumes"]] == [0o440]


# --- where it is reached -----------------------------------------------------------------------

PLACES = [
    pytest.param({}, "", id="plain"),
    pytest.param({"externalUrl": "https://mcp.test/portals/"}, "/portals", id="external URL"),
    pytest.param({"routePrefix": "portals"}, "/portals", id="prefix"),
    pytest.param({"externalUrl": "https://mcp.test/x", "routePrefix": "/"}, "", id="stripped"),
    pytest.param({"extraArgs": ["--web.external-url=https://mcp.test/a/b"]}, "/a/b", id="flag"),
    pytest.param(
        {"extraEnv": [{"name": "CLOUDFLARE_MCP_EXPORTER_WEB_ROUTE_PREFIX", "value": "/x"}]},
        "/x",
        id="variable",
    ),
    pytest.param(
        {"routePrefix": "/a", "extraArgs": ["--web.route-prefix=/b", "--web.telemetry-path=/m"]},
        "/b",
        id="value and flags",
    ),
]


def scraped(found: list[Manifest]) -> set[str]:
    """The paths of the exporter that are scraped, by Prometheus and by ``helm test``."""
    (endpoint,) = of_kind(found, "ServiceMonitor")["spec"]["endpoints"]
    url = of_kind(found, "Pod")["spec"]["containers"][0]["args"][1]
    return {endpoint["path"], "/" + url.split("/", 3)[3]}


@pytest.mark.parametrize(("values", "prefix"), PLACES)
def test_the_exporter_answers_where_probes_monitors_and_the_test_ask(
    chart: Chart, tmp_path: Path, values: Values, prefix: str
) -> None:
    found = rendered(chart, {**MONITORED, **values})
    paths = scraped(found)
    probe = of_kind(rendered(chart, {**PROBED, **values}), "Probe")["spec"]
    (account,) = probe["targets"]["staticConfig"]["static"]
    paths.add(f"{probe['prober']['path']}?account={account}")
    one = container(found)
    health = {one[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}
    assert health == {f"{prefix}/-/healthy", f"{prefix}/-/ready"}
    notes = chart.render({"demo": True, **values}, name="mcp")[f"{CHART.name}/templates/NOTES.txt"]
    discovery = re.search(r"http://\S+:10180(\S*/sd)$", notes, re.MULTILINE)
    assert discovery
    flags = [a for a in container(found)["args"] if not a.startswith("--web.listen-address")]
    variables = {one["name"]: one["value"] for one in container(found).get("env", ())}
    serving = RunningExporter(tmp_path, *flags, env=variables)
    try:
        root = serving.logged(r'\burl"?[=:] ?"?(http://127\.0\.0\.1:[1-9]\d*)')[1]
        eventually(lambda: get(f"{root}{prefix}/-/ready").ok, "ready exporter")
        assert [path for path in paths if "\ncloudflare_mcp_up{" not in get(root + path).text] == []
        assert [path for path in health if not get(root + path).ok] == []
        outside = urlsplit(values.get("externalUrl", "")).path.rstrip("/") or prefix
        found_paths = [one["labels"]["__metrics_path__"] for one in get(root + discovery[1]).json()]
        assert found_paths == [f"{outside}/probe", f"{outside}/exporter"]
        links = re.findall(r'(?:href|src)="(/[^"]*)"', get(f"{root}{prefix}/").text)
        assert [link for link in links if not link.startswith(f"{outside}/")] == []
    finally:
        serving.kill()


def test_an_ingress_leads_from_the_external_url_to_the_service(chart: Chart) -> None:
    values = {
        "externalUrl": "https://mcp.test:8443/portals",
        "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}},
    }
    found = rendered(chart, {**MONITORED, **values})
    spec = of_kind(found, "Ingress")["spec"]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    assert (spec["ingressClassName"], rule["host"]) == ("nginx", "mcp.test")
    assert (path["path"], path["pathType"]) == ("/portals", "Prefix")
    service = of_kind(found, "Service")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] in [
        port["name"] for port in service["spec"]["ports"]
    ]


def test_a_real_prometheus_probes_each_account_as_the_operator_would_tell_it(
    chart: Chart, run_exporter: RunExporter, tmp_path: Path
) -> None:
    spec = of_kind(rendered(chart, PROBED), "Probe")["spec"]
    targets = spec["targets"]["staticConfig"]
    serving = run_exporter("--demo")
    # What the operator makes of a probe, with what the chart adds at the end.
    own = [
        {"source_labels": one["sourceLabels"], "target_label": one["targetLabel"]}
        if "targetLabel" in one
        else {"action": one["action"], "regex": one["regex"]}
        for one in targets["relabelingConfigs"]
    ]
    job = {
        "job_name": spec["jobName"],
        "metrics_path": spec["prober"]["path"],
        "scrape_interval": "1s",
        "static_configs": [{"targets": targets["static"]}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": serving.url.removeprefix("http://")},
            *own,
        ],
    }
    config = yaml.safe_dump({"scrape_configs": [job]})
    prometheus = Prometheus(require("prometheus"), tmp_path, config)
    try:
        prometheus.await_ready()
        up = 'cloudflare_mcp_up{job="cloudflare-mcp", instance="Demo account"} == 1'
        eventually(lambda: prometheus.query(up), "an account that is up")
    finally:
        prometheus.kill()


# --- helm test ---------------------------------------------------------------------------------


def helm_test(found: list[Manifest], url: str) -> subprocess.CompletedProcess[str]:
    """Run what the pod of ``helm test`` runs, against another address."""
    (one,) = of_kind(found, "Pod")["spec"]["containers"]
    assert one["command"] == ["/opt/exporter/bin/python3", "-c"]
    program, asked, *rest = one["args"]
    path = "/" + asked.split("/", 3)[3]
    return subprocess.run(
        [sys.executable, "-c", program, url + path, *rest],
        env={"HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_helm_test_scrapes_the_metrics_and_fails_where_there_are_none(
    chart: Chart, run_exporter: RunExporter
) -> None:
    serving = run_exporter("--demo")
    found = rendered(chart, {"demo": True})
    assert of_kind(found, "Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
    done = helm_test(found, serving.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cloudflare_mcp_up{")
    for wrong in ({"routePrefix": "/x"}, {"extraArgs": ["--web.telemetry-path=/-/ready"]}):
        assert helm_test(rendered(chart, {"demo": True, **wrong}), serving.url).returncode == 1


def test_helm_test_takes_an_exporter_that_asks_for_a_password_for_alive_if_it_should(
    chart: Chart, run_exporter: RunExporter, tmp_path: Path
) -> None:
    users = tmp_path / "web-config.yml"
    users.write_text(f"basic_auth_users: {{someone: $2y$04${'a' * 53}}}\n")
    serving = run_exporter("--demo", f"--web.config.file={users}")
    asks = rendered(chart, {"demo": True, "webConfig": {"existingSecret": "web"}})
    assert helm_test(asks, serving.url).returncode == 0
    assert helm_test(rendered(chart, {"demo": True}), serving.url).returncode == 1


# --- configuration and secrets -----------------------------------------------------------------


def test_the_exporter_takes_the_flags_and_the_configuration_file(
    chart: Chart, tmp_path: Path
) -> None:
    found = rendered(chart, {"config": CONFIG, "secret": EVERYTHING["secret"]})
    text = of_kind(found, "ConfigMap")["data"]["config.yml"]
    mounted = {m["name"]: m["mountPath"] for m in container(found)["volumeMounts"]}
    for key, token in of_kind(found, "Secret")["stringData"].items():
        (tmp_path / key).write_text(f"{token}-of-forty-characters-or-so\n")
    (tmp_path / "config.yml").write_text(text.replace(mounted["secrets"], str(tmp_path)))
    arguments = [a.replace(mounted["config"], str(tmp_path)) for a in container(found)["args"]]
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *arguments, "--config.check"],
        env=bare_environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 accounts" in done.stdout


@pytest.mark.parametrize("way", ["config", "existingConfigSecret"])
def test_a_configuration_file_that_changes_is_loaded_again(chart: Chart, way: str) -> None:
    found = rendered(chart, {way: CONFIG if way == "config" else "mine"})
    assert "--config.auto-reload-interval=30s" in container(found)["args"]
    # The kubelet changes folders, not single files.
    assert [m for m in container(found)["volumeMounts"] if "subPath" in m] == []
    annotations = of_kind(found, "Deployment")["spec"]["template"]["metadata"].get("annotations")
    assert (annotations is not None) == (way == "config")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        pytest.param({}, "set exactly one of demo", id="nothing to watch"),
        pytest.param({"demo": True, **ONE_ACCOUNT}, "set are: demo, accountId", id="two ways"),
        pytest.param({"accountId": ACCOUNT}, "existingSecret or secret", id="no token"),
        pytest.param({"accountId": "x"}, "accountId", id="no id"),
        pytest.param({"accuontId": ACCOUNT}, "accuontId", id="misspelt"),
        pytest.param({"demo": True, "image": {"tga": "1"}}, "tga", id="misspelt below"),
        pytest.param({"demo": True, "extraArgs": ["x"]}, "extraArgs", id="no flag"),
        pytest.param({**ONE_ACCOUNT, "secret": {"api-token": "x"}}, "not both", id="two secrets"),
        pytest.param(
            {**ONE_ACCOUNT, "serviceMonitor": {"enabled": True}, "probe": {"enabled": True}},
            "serviceMonitor or probe",
            id="listed twice",
        ),
        pytest.param(
            {"existingConfigSecret": "mine", "probe": {"enabled": True}},
            "name the accounts",
            id="unknown names",
        ),
    ],
)
def test_values_that_cannot_work_are_refused_with_words(
    chart: Chart, values: Values, complaint: str
) -> None:
    with pytest.raises((HelmRenderError, HelmValuesError)) as refusal:
        rendered(chart, values)
    assert complaint in str(refusal.value)


# --- the network policy ------------------------------------------------------------------------


def lets_out(chart: Chart, policy: Values, address: str, port: int, protocol: str = "TCP") -> bool:
    """Whether a network policy lets the exporter connect to an address that is in no pod."""
    values = {"demo": True, "networkPolicy": {"enabled": True, **policy}}
    rules = of_kind(rendered(chart, values), "NetworkPolicy")["spec"]["egress"]
    ip = ipaddress.ip_address(address)

    def to(rule: Values) -> bool:
        blocks = [peer["ipBlock"]["cidr"] for peer in rule.get("to", ()) if "ipBlock" in peer]
        return "to" not in rule or any(ip in ipaddress.ip_network(block) for block in blocks)

    return any(to(rule) and {"port": port, "protocol": protocol} in rule["ports"] for rule in rules)


NODE_LOCAL, CLOUDFLARE, ELSEWHERE = "169.254.20.10", "104.16.132.229", "198.51.100.1"


def test_dns_is_reached_in_kubernetes_in_openshift_and_on_the_node(chart: Chart) -> None:
    for protocol in ("UDP", "TCP"):
        assert lets_out(chart, {}, "10.96.0.10", 53, protocol)
        assert lets_out(chart, {}, "10.128.0.7", 5353, protocol)
        assert lets_out(chart, {}, NODE_LOCAL, 53, protocol)
    limited = {"dns": {"to": [{"ipBlock": {"cidr": f"{NODE_LOCAL}/32"}}]}}
    assert lets_out(chart, limited, NODE_LOCAL, 53, "UDP")
    assert not lets_out(chart, limited, ELSEWHERE, 53, "UDP")


def test_the_api_s_networks_and_a_proxy_can_be_named(chart: Chart) -> None:
    assert lets_out(chart, {}, ELSEWHERE, 443)
    named = {"api": {"cidrs": ["104.16.0.0/13", "2606:4700::/32"]}}
    assert lets_out(chart, named, CLOUDFLARE, 443)
    assert lets_out(chart, named, "2606:4700::6810:84e5", 443)
    assert not lets_out(chart, named, ELSEWHERE, 443)
    proxy = {"port": 3128, "to": [{"ipBlock": {"cidr": f"{ELSEWHERE}/32"}}]}
    through = {"api": {"enabled": False}, "proxy": proxy}
    assert lets_out(chart, through, ELSEWHERE, 3128)
    assert not lets_out(chart, through, CLOUDFLARE, 3128)
    assert not lets_out(chart, through, CLOUDFLARE, 443)


def test_no_rule_of_the_network_policy_lets_everything_out(chart: Chart) -> None:
    policy = {"enabled": True, "dns": {"ports": []}, "api": {"enabled": False}}
    found = rendered(chart, {"demo": True, "networkPolicy": policy})
    assert not of_kind(found, "NetworkPolicy")["spec"]["egress"]


# --- rules, dashboards, and what the chart is made of ------------------------------------------


def test_rules_and_dashboards_are_those_of_the_repository(chart: Chart) -> None:
    found = rendered(chart, EVERYTHING)
    groups = [g for file in RULE_FILES for g in yaml.safe_load(file.read_text())["groups"]]
    assert of_kind(found, "PrometheusRule")["spec"]["groups"] == groups
    shown: dict[str, str] = {}
    for one in found:
        if one["metadata"]["labels"].get("grafana_dashboard") == "1":
            shown |= one["data"]
    files = {
        file.name: json.loads(file.read_text()) for file in (ROOT / "dashboards").glob("*.json")
    }
    assert {name: json.loads(text) for name, text in shown.items()} == files


def test_the_packed_chart_holds_rules_and_dashboards_and_nothing_that_is_not_its_own(
    tmp_path: Path,
) -> None:
    with tarfile.open(package(CHART, destination=tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    carried = {name for name in names if name.startswith("files/")}
    rules = {f"files/alerts/{file.stem}.json" for file in RULE_FILES}
    dashboards = {f"files/dashboards/{f.name}" for f in (ROOT / "dashboards").glob("*.json")}
    assert carried == {*rules, *dashboards, "files/thresholds.json"}
    assert {"Chart.yaml", "values.schema.json", "templates/deployment.yaml"} <= names


def test_the_chart_installs_the_exporter_s_own_version(chart: Chart) -> None:
    assert chart.metadata["appVersion"] == exporter.__version__
    image = container(rendered(chart, {"demo": True}))["image"]
    assert image.endswith(f":{exporter.__version__}")


def keys(schema: dict[str, Any], path: str = "") -> set[str]:
    """The paths of all values, sections included."""
    found = set()
    for name, inner in schema.get("properties", {}).items():
        found |= {f"{path}{name}", *keys(inner, f"{path}{name}.")}
    return found


def named(values: dict[str, Any], known: set[str], path: str = "") -> set[str]:
    """The paths of values that are keys of the schema."""
    found = set()
    for name, inner in values.items():
        where = f"{path}{name}"
        if where in known:
            found.add(where)
            found |= named(inner, known, f"{where}.") if isinstance(inner, dict) else set()
    return found


def test_every_value_has_a_default_and_its_schema_says_the_same(chart: Chart) -> None:
    schema = chart.schema
    assert schema is not None
    described = keys(schema)
    # Of these three it makes a difference whether they are given.
    absent = {"enabled", "podSecurityContext", "securityContext"}
    assert described - named(chart.values, described) == absent
    found = rendered(chart, ONE_ACCOUNT)
    defaults = {name: schema["properties"][name].get("default") for name in absent}
    assert defaults["podSecurityContext"] == pod(found)["securityContext"]
    assert defaults["securityContext"] == container(found)["securityContext"]


def test_the_examples_of_the_readme_can_be_installed(chart: Chart) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    examples = [yaml.safe_load(block) for block in blocks if "dependencies:" not in block]
    assert len(examples) >= 4
    for example in examples:
        found = rendered(chart, example if "config" in example else {"demo": True, **example})
        assert list(misfits(found)) == []
        known = [one for one in found if one["apiVersion"] != OPERATORS]
        assert [complaint(one, NEWEST) for one in known] == [None] * len(known)


def test_the_plain_manifests_are_what_the_chart_renders() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from manifests import rendered as plain  # noqa: PLC0415 - a script, found by its folder
    finally:
        sys.path.pop(0)
    text = (PLAIN / "exporter.yaml").read_text()
    assert text == plain(), "run `make manifests`"
    found = documents(text)
    for manifest in found:
        assert complaint(manifest, NEWEST) is None
    assert {one["kind"] for one in found} == {"Deployment", "Service", "ServiceAccount"}
