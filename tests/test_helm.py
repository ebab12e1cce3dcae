"""The chart, rendered by Helm's own library, and the manifests made from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml
from helm_python import Chart, HelmRenderError, HelmValuesError, lint, package

import exporter
from nodepackages import npm_packages
from processes import (
    ROOT,
    Prometheus,
    RunningExporter,
    bare_environment,
    eventually,
)
from promtool import RULE_FILES
from realparts import require

CHART = ROOT / "deploy" / "helm" / "cloudflare-mcp-exporter"
PLAIN = ROOT / "deploy" / "kubernetes"
ACCOUNT = "0123456789abcdef" * 2
OLDEST, NEWEST = "1.25.0", "1.37.0"
"""The oldest Kubernetes that the chart is for, and the newest whose schemas are at hand."""

Manifest = dict[str, Any]
Values = dict[str, Any]

CONFIG: Values = {
    "accounts": [
        {
            "name": name,
            "account_id": digit * 32,
            "api_token_file": f"/run/secrets/cloudflare-mcp-exporter/{name}-token",
        }
        for name, digit in (("production", "1"), ("staging", "2"))
    ]
}
EVERYTHING: Values = {
    "config": CONFIG,
    "secret": {"production-token": "made-up-token-1", "staging-token": "made-up-token-2"},
    "image": {"digest": f"sha256:{'a' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicaCount": 2,
    "extraArgs": ["--collector.servers"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
    "webConfig": {"existingSecret": "web", "tls": True},
    "service": {"annotations": {"a": "b"}},
    "serviceAccount": {"annotations": {"a": "b"}},
    "probe": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "posture": True, "labels": {"release": "prometheus"}},
    "dashboards": {"enabled": True, "annotations": {"folder": "MCP"}},
    "networkPolicy": {
        "enabled": True,
        "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
    },
    "podDisruptionBudget": {"enabled": True},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "mcp"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "high",
}
ONE_ACCOUNT: Values = {"accountId": ACCOUNT, "existingSecret": "mine"}
WAYS = [
    pytest.param({"demo": True}, id="demo"),
    pytest.param(ONE_ACCOUNT, id="one account"),
    pytest.param({"accountIdKey": "account-id", "existingSecret": "mine"}, id="id in the secret"),
    pytest.param({"existingConfigSecret": "mine"}, id="a configuration file of one's own"),
    pytest.param(
        {**ONE_ACCOUNT, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
        id="service monitor",
    ),
    pytest.param(EVERYTHING, id="everything"),
]


@pytest.fixture(scope="module")
def chart() -> Iterator[Chart]:
    with Chart.load(CHART) as loaded:
        yield loaded


def manifests(chart: Chart, values: Values) -> list[Manifest]:
    """Everything that the chart makes of values."""
    files = chart.render(values, name="mcp", namespace="monitoring")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def of_kind(found: list[Manifest], kind: str) -> Manifest:
    """The one manifest of a kind."""
    (one,) = [manifest for manifest in found if manifest["kind"] == kind]
    return one


def container(found: list[Manifest]) -> dict[str, Any]:
    (one,) = of_kind(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(one, dict)
    return one


def is_operators(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith("monitoring.coreos.com/")


@pytest.mark.parametrize("values", WAYS)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field_that_the_chart_sets(
    chart: Chart, values: Values, version: str
) -> None:
    found = [one for one in manifests(chart, values) if not is_operators(one)]
    assert found
    for manifest in found:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("values", WAYS)
def test_helm_s_lint_finds_nothing_to_warn_of(values: Values) -> None:
    report = lint(CHART, values, strict=True)
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert not report["errors"]


def test_the_prometheus_operator_knows_every_field_that_the_chart_sets(
    chart: Chart, tmp_path: Path
) -> None:
    packages = npm_packages("kubernetes")
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    monitored = {**ONE_ACCOUNT, "serviceMonitor": {"enabled": True}}
    found = [
        one
        for values in (EVERYTHING, monitored)
        for one in manifests(chart, values)
        if is_operators(one)
    ]
    assert {one["kind"] for one in found} == {"Probe", "PrometheusRule", "ServiceMonitor"}
    models = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"
    program = "".join(
        f'import type {{ I{one["kind"]} }} from "{models}/{one["kind"]}";\n'
        f"export const a{number}: I{one['kind']} = {json.dumps(one)};\n"
        for number, one in enumerate(found)
    )
    (tmp_path / "manifests.ts").write_text(program)
    options = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"]
    options += ["--module", "esnext", "--moduleResolution", "bundler", "--types", ""]
    compiler = packages / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [require("node"), os.path.realpath(compiler), *options, "manifests.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", WAYS)
def test_the_pod_fits_the_restricted_level_of_pod_security(chart: Chart, values: Values) -> None:
    spec = of_kind(manifests(chart, values), "Deployment")["spec"]["template"]["spec"]
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
    assert {key for volume in spec.get("volumes", []) for key in volume} <= {
        "name",
        "configMap",
        "secret",
    }
    assert spec["automountServiceAccountToken"] is False


@pytest.mark.parametrize("values", WAYS)
def test_no_secret_stands_in_anything_but_a_secret(chart: Chart, values: Values) -> None:
    others = [one for one in manifests(chart, values) if one["kind"] != "Secret"]
    assert "made-up-token" not in json.dumps(others)


def test_the_exporter_takes_the_flags_and_the_configuration_file(
    chart: Chart, tmp_path: Path
) -> None:
    found = manifests(chart, {"config": CONFIG, "secret": EVERYTHING["secret"]})
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
        manifests(chart, values)
    assert complaint in str(refusal.value)


def test_rules_and_dashboards_are_those_of_the_repository(chart: Chart) -> None:
    found = manifests(chart, EVERYTHING)
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
    rules = {f"files/alerts/{file.name}" for file in RULE_FILES}
    dashboards = {f"files/dashboards/{f.name}" for f in (ROOT / "dashboards").glob("*.json")}
    assert carried == rules | dashboards
    assert {"Chart.yaml", "values.schema.json", "templates/deployment.yaml"} <= names


def test_the_chart_installs_the_exporter_s_own_version(chart: Chart) -> None:
    assert chart.metadata["appVersion"] == exporter.__version__
    image = container(manifests(chart, {"demo": True}))["image"]
    assert image.endswith(f":{exporter.__version__}")


def test_every_value_is_described_and_its_schema_knows_it(chart: Chart) -> None:
    schema = chart.schema
    assert schema is not None
    described = set(re.findall(r"^(\w+):", (CHART / "values.yaml").read_text(), re.MULTILINE))
    assert described == set(schema["properties"]) - {"global"}


def test_the_plain_manifests_are_what_the_chart_renders() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from manifests import rendered  # noqa: PLC0415 - a script, found by its folder
    finally:
        sys.path.pop(0)
    text = (PLAIN / "exporter.yaml").read_text()
    assert text == rendered(), "run `make manifests`"
    found = list(yaml.safe_load_all(text))
    for manifest in found:
        kubernetes_validate.validate(manifest, NEWEST, strict=True)
    assert {one["kind"] for one in found} == {"Deployment", "Service", "ServiceAccount"}


def test_a_real_prometheus_probes_each_account_as_the_operator_would_tell_it(
    chart: Chart, tmp_path: Path
) -> None:
    values = {"demo": True, "probe": {"enabled": True, "accounts": ["Demo account"]}}
    spec = of_kind(manifests(chart, values), "Probe")["spec"]
    targets = spec["targets"]["staticConfig"]
    running = RunningExporter(tmp_path, "--demo", env={})
    try:
        running.await_ready()
        address = running.url.removeprefix("http://")
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
                {"target_label": "__address__", "replacement": address},
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
    finally:
        running.kill()
