"""The chart with each of its values set, and with each pair of the common ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmValuesError

from charts import (
    ACCOUNT,
    CHART,
    NEWEST,
    OLDEST,
    OPERATORS,
    Manifest,
    Values,
    complaint,
    documents,
    misfits,
    operators_complaints,
    rendered,
)
from promtool import alert_names

SHA = f"sha256:{'a' * 64}"
PEER = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
RELABELING = {"action": "labeldrop", "regex": "pod"}
VOLUME = {"name": "more", "emptyDir": {}}
MAPPING: dict[str, str] = {"a.example.com/b": "c", "app.kubernetes.io/part-of": "mcp"}
LABELS: Values = {
    **MAPPING,
    # Those of the chart, of which the last two are what selectors look for.
    "app.kubernetes.io/version": "mine",
    "helm.sh/chart": "mine",
    "app.kubernetes.io/name": "mine",
    "app.kubernetes.io/instance": "mine",
}
BASIC_AUTH = {"username": {"name": "web", "key": "u"}, "password": {"name": "web", "key": "p"}}
TLS_CONFIG = {"ca": {"secret": {"name": "ca", "key": "ca.crt"}}, "serverName": "exporter"}
HANDLER = {"exec": {"command": ["/opt/exporter/bin/python3", "-c", "pass"]}}

SAMPLES: dict[str, list[Any]] = {
    "enabled": [True],
    "demo": [True],
    "accountId": [ACCOUNT],
    "accountIdKey": ["account-id"],
    "tokenKey": ["token"],
    "config": [{"accounts": [{"name": "a", "account_id": ACCOUNT, "api_token_file": "/x"}]}],
    "existingConfigSecret": ["mine"],
    "existingSecret": ["mine"],
    "secret": [{"api-token": "made-up", "a: b": "'\"\n: #{{ x }}"}],
    "externalUrl": ["https://example.com/mcp", "http://example.com:8080/", "https://[::1]/a/b"],
    "routePrefix": ["/mcp", "mcp/", "/"],
    "extraArgs": [["--collector.servers"], ["--web.route-prefix=/x", "--web.telemetry-path=/m"]],
    "extraEnv": [
        [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
        [{"name": "CLOUDFLARE_ACCOUNT_ID", "value": "f" * 32}, {"name": "A"}],
    ],
    "envFrom": [[{"secretRef": {"name": "mine"}}]],
    "webConfig.existingSecret": ["web"],
    "webConfig.tls": [True],
    "image.registry": ["registry.test:5000"],
    "image.repository": ["registry.test/exporter"],
    "image.tag": ["1.0", "latest"],
    "image.digest": [SHA],
    "image.pullPolicy": ["Always"],
    "image.pullSecrets": [["registry"]],
    "imagePullSecrets": [[{"name": "registry"}], ["registry", "another"]],
    "global.imageRegistry": ["registry.test"],
    "global.imagePullSecrets": [["registry"], [{"name": "registry"}]],
    "global.compatibility.openshift.adaptSecurityContext": ["force", "disabled"],
    "nameOverride": ["portals", "a" * 80],
    "fullnameOverride": ["portals", "a" * 80],
    "namespaceOverride": ["elsewhere"],
    "commonLabels": [LABELS],
    "commonAnnotations": [{**MAPPING, "checksum/config": "mine"}],
    "replicaCount": [2, 0],
    "strategy": [{"type": "Recreate"}, {"rollingUpdate": {"maxUnavailable": 0}}],
    "deploymentAnnotations": [MAPPING],
    "podAnnotations": [{**MAPPING, "checksum/config": "mine"}],
    "podLabels": [LABELS],
    "podSecurityContext": [
        {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        {"fsGroup": 2000, "supplementalGroups": [1]},
        {},
    ],
    "securityContext": [
        {"readOnlyRootFilesystem": False},
        {"capabilities": {"drop": ["NET_RAW"]}},
        {},
    ],
    "livenessProbe": [{"periodSeconds": 60, "initialDelaySeconds": 5}, HANDLER],
    "readinessProbe": [{"failureThreshold": 5}, {"tcpSocket": {"port": "http"}}],
    "startupProbe": [{"failureThreshold": 30}, {"httpGet": {"path": "/x"}}],
    "resources": [{"limits": {"memory": "1Gi", "cpu": 1}}],
    "extraVolumes": [[VOLUME], [{"name": "config", "emptyDir": {}}]],
    "extraVolumeMounts": [[{"name": "more", "mountPath": "/more"}]],
    "extraContainers": [[{"name": "sidecar", "image": "sidecar"}]],
    "initContainers": [[{"name": "first", "image": "first"}]],
    "nodeSelector": [{"kubernetes.io/os": "linux"}],
    "tolerations": [[{"key": "a", "operator": "Exists"}]],
    "affinity": [{"podAntiAffinity": {}}],
    "topologySpreadConstraints": [
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
    ],
    "priorityClassName": ["high"],
    "runtimeClassName": ["gvisor"],
    "schedulerName": ["mine"],
    "dnsConfig": [{"options": [{"name": "ndots", "value": "1"}]}],
    "dnsPolicy": ["Default"],
    "hostAliases": [[{"ip": "192.0.2.1", "hostnames": ["a"]}]],
    "lifecycle": [{"preStop": HANDLER}],
    "terminationGracePeriodSeconds": [60, 0],
    "revisionHistoryLimit": [3, 0],
    "service.type": ["NodePort", "LoadBalancer"],
    "service.port": [80],
    "service.nodePort": [30180],
    "service.labels": [LABELS],
    "service.annotations": [MAPPING],
    "service.clusterIP": ["None"],
    "service.externalTrafficPolicy": ["Local"],
    "service.ipFamilies": [["IPv6", "IPv4"]],
    "service.ipFamilyPolicy": ["PreferDualStack"],
    "service.loadBalancerClass": ["mine"],
    "service.loadBalancerIP": ["192.0.2.1"],
    "service.loadBalancerSourceRanges": [["192.0.2.0/24"]],
    "serviceAccount.create": [False],
    "serviceAccount.name": ["mine"],
    "serviceAccount.labels": [LABELS],
    "serviceAccount.annotations": [MAPPING],
    "ingress.enabled": [True],
    "ingress.className": ["nginx"],
    "ingress.labels": [LABELS],
    "ingress.annotations": [MAPPING],
    "ingress.hosts": [
        ["example.com"],
        [{"host": "example.com", "paths": [{"path": "/x", "pathType": "Exact"}, "/y"]}],
    ],
    "ingress.tls": [[{"secretName": "tls", "hosts": ["example.com"]}]],
    "jobName": ["portals"],
    "thresholds": [
        {"sync_stale_seconds": 28800, "selector": 'job=~"a|b", cluster="x"'},
        {"alerts": {alert_names()[0]: {"enabled": False}}},
        {"every_alert": {"labels": {"severity": "page"}, "annotations": {"summary": "mine"}}},
    ],
    "serviceMonitor.enabled": [True],
    "serviceMonitor.namespace": ["elsewhere"],
    "serviceMonitor.labels": [LABELS],
    "serviceMonitor.annotations": [MAPPING],
    "serviceMonitor.interval": ["5m"],
    "serviceMonitor.scrapeTimeout": ["30s"],
    "serviceMonitor.honorLabels": [True],
    "serviceMonitor.relabelings": [[RELABELING]],
    "serviceMonitor.metricRelabelings": [[RELABELING]],
    "serviceMonitor.tlsConfig": [TLS_CONFIG],
    "serviceMonitor.basicAuth": [BASIC_AUTH],
    "serviceMonitor.endpoint": [
        {"relabelings": [RELABELING], "interval": "2m", "path": "/x", "tlsConfig": TLS_CONFIG},
        {"scheme": "https", "metricRelabelings": [RELABELING], "honorLabels": True},
    ],
    "serviceMonitor.spec": [{"targetLabels": ["team"], "namespaceSelector": {"matchNames": ["x"]}}],
    "probe.enabled": [True],
    "probe.namespace": ["elsewhere"],
    "probe.labels": [LABELS],
    "probe.annotations": [MAPPING],
    "probe.interval": ["5m"],
    "probe.scrapeTimeout": ["30s"],
    "probe.accounts": [["one", "another"]],
    "probe.relabelings": [[RELABELING]],
    "probe.metricRelabelings": [[RELABELING]],
    "probe.tlsConfig": [TLS_CONFIG],
    "probe.basicAuth": [BASIC_AUTH],
    "probe.spec": [
        {"interval": "2m", "jobName": "mine", "prober": {"path": "/x"}, "sampleLimit": 9},
        {"targets": {"staticConfig": {"relabelingConfigs": [RELABELING], "labels": {"a": "b"}}}},
    ],
    "prometheusRule.enabled": [True],
    "prometheusRule.namespace": ["elsewhere"],
    "prometheusRule.labels": [LABELS],
    "prometheusRule.annotations": [MAPPING],
    "prometheusRule.posture": [True],
    "dashboards.enabled": [True],
    "dashboards.namespace": ["elsewhere"],
    "dashboards.labels": [LABELS],
    "dashboards.annotations": [{**MAPPING, "grafana_folder": "mine"}],
    "dashboards.folder": ["MCP"],
    "dashboards.folderAnnotation": ["k8s-sidecar-target-directory"],
    "networkPolicy.enabled": [True],
    "networkPolicy.labels": [LABELS],
    "networkPolicy.annotations": [MAPPING],
    "networkPolicy.from": [[PEER]],
    "networkPolicy.dns.ports": [[5353], []],
    "networkPolicy.dns.to": [[PEER, {"ipBlock": {"cidr": "169.254.20.10/32"}}]],
    "networkPolicy.api.enabled": [False],
    "networkPolicy.api.port": [8443],
    "networkPolicy.api.cidrs": [["104.16.0.0/13", "2606:4700::/32"]],
    "networkPolicy.proxy.port": [3128],
    "networkPolicy.proxy.to": [[{"ipBlock": {"cidr": "192.0.2.1/32"}}]],
    "networkPolicy.egress": [[{"ports": [{"port": 3128, "protocol": "TCP"}]}]],
    "podDisruptionBudget.enabled": [True],
    "podDisruptionBudget.labels": [LABELS],
    "podDisruptionBudget.annotations": [MAPPING],
    "podDisruptionBudget.maxUnavailable": ["50%", 0],
    "podDisruptionBudget.minAvailable": [1, "50%", 0],
    "podDisruptionBudget.unhealthyPodEvictionPolicy": ["AlwaysAllow"],
    "tests.enabled": [False],
    "extraObjects": [
        [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "y"}}],
        ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}', namespace: y}"],
    ],
}
"""For each value what to set it to."""

WAYS = ("demo", "accountId", "accountIdKey", "config", "existingConfigSecret")
"""Of which exactly one must be given."""

NEEDED: dict[str, Values] = {
    "accountId": {"existingSecret": "mine"},
    "accountIdKey": {"existingSecret": "mine"},
    "service.externalTrafficPolicy": {"service": {"type": "LoadBalancer"}},
    "service.nodePort": {"service": {"type": "NodePort"}},
    "extraVolumeMounts": {"extraVolumes": [VOLUME]},
    "networkPolicy.proxy.to": {"networkPolicy": {"proxy": {"port": 3128}}},
    "dashboards.folderAnnotation": {"dashboards": {"folder": "MCP"}},
    "thresholds": {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}},
}
"""What a value needs beside it to say something."""

COMMON = [
    *("externalUrl", "routePrefix", "extraArgs", "extraEnv", "webConfig.existingSecret"),
    *("webConfig.tls", "image.digest", "imagePullSecrets", "global.imageRegistry", "nameOverride"),
    *("fullnameOverride", "namespaceOverride", "commonLabels", "commonAnnotations", "replicaCount"),
    *("podAnnotations", "podLabels", "podSecurityContext", "securityContext", "livenessProbe"),
    *("extraVolumes", "extraContainers", "config", "existingSecret", "secret", "service.port"),
    *("service.labels", "serviceAccount.create", "serviceAccount.name", "ingress.hosts", "jobName"),
    *("serviceMonitor.namespace", "serviceMonitor.labels", "serviceMonitor.relabelings"),
    *("serviceMonitor.endpoint", "serviceMonitor.spec", "probe.labels", "probe.relabelings"),
    *("probe.spec", "networkPolicy.from", "networkPolicy.dns.to", "networkPolicy.proxy.port"),
    *("podDisruptionBudget.minAvailable", "extraObjects", "existingConfigSecret"),
]

REFUSED = ({"existingSecret", "secret"}, {"config", "existingConfigSecret"})
"""Pairs that are refused, with words."""

MONITORS = {"serviceMonitor", "probe"}
"""Of which there is one."""

FEATURES: Values = {
    "demo": True,
    "ingress": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
}
BASES: dict[str, Values] = {
    "monitor": {**FEATURES, "serviceMonitor": {"enabled": True}},
    "probe": {**FEATURES, "probe": {"enabled": True, "accounts": ["Demo account"]}},
}


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of all values that are no section."""
    for name, inner in schema["properties"].items():
        where = f"{path}.{name}" if path else name
        if "properties" in inner:
            yield from leaves(inner, where)
        else:
            yield where


def put(values: Values, path: str, value: object) -> Values:
    """A copy of values with one more."""
    name, _, rest = path.partition(".")
    if not rest:
        return {**values, name: value}
    return {**values, name: put(values.get(name, {}), rest, value)}


def laid(base: Values, more: Values) -> Values:
    """A copy of base with all of more."""
    both = dict(base)
    for name, value in more.items():
        old = both.get(name)
        both[name] = (
            laid(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return both


def with_sample(base: Values, path: str, value: object) -> Values:
    """A copy of base with a value, and with what it needs."""
    section = path.partition(".")[0]
    if path in WAYS:
        base = {name: one for name, one in base.items() if name not in WAYS}
    if section in {"prometheusRule", "dashboards", "serviceMonitor", "probe"}:
        for monitor in {"serviceMonitor", "probe"} & {section}:
            base = {n: one for n, one in base.items() if n not in {"serviceMonitor", "probe"}}
            base = laid(base, {monitor: {"enabled": True}})
        base = laid(base, {section: {"enabled": True}})
        if section == "probe" and path != "probe.accounts":
            base = put(base, "probe.accounts", ["Demo account"])
    return put(laid(base, NEEDED.get(path, {})), path, value)


class Seen:
    """What was rendered: all objects, each once, and what is wrong with them."""

    def __init__(self) -> None:
        self.combinations = 0
        self.objects: dict[int, Manifest] = {}
        self.wrong: list[str] = []

    def look(self, chart: Chart, values: Values, what: str, name: str = "mcp") -> list[Manifest]:
        """Render, and remember."""
        self.combinations += 1
        try:
            found = rendered(chart, values, name)
        except Exception as problem:  # noqa: BLE001 - each combination is told of
            self.wrong.append(f"{what}: {problem}")
            return []
        self.objects |= {id(one): one for one in found}
        self.wrong += [f"{what}: {misfit}" for misfit in misfits(found)]
        return found

    def judged(self, directory: Path) -> list[str]:
        """Everything that is wrong."""
        operators = [one for one in self.objects.values() if one["apiVersion"] == OPERATORS]
        for one in self.objects.values():
            if one["apiVersion"] != OPERATORS:
                self.wrong += filter(None, (complaint(one, v) for v in (OLDEST, NEWEST)))
        said = operators_complaints(operators, directory)
        return [*self.wrong, *([said] if said else [])]


@pytest.fixture(scope="module")
def chart() -> Iterator[Chart]:
    with Chart.load(CHART) as loaded:
        yield loaded
    documents.cache_clear()


def test_every_value_has_a_sample_here() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert sorted(SAMPLES) == sorted(leaves(schema))


def test_a_key_that_is_there_twice_is_seen() -> None:
    with pytest.raises(yaml.YAMLError, match="duplicate keys"):
        documents("metadata: {labels: {a: b, c: d, a: e}}")


def test_a_field_that_kubernetes_does_not_know_is_seen(chart: Chart) -> None:
    (one,) = (m for m in rendered(chart, {"demo": True}) if m["kind"] == "Deployment")
    broken = json.loads(json.dumps(one))
    broken["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["seconds"] = 1
    assert complaint(one, OLDEST) is None
    assert "seconds" in (complaint(broken, OLDEST) or "")


@pytest.mark.timeout(400)
def test_each_value_and_each_pair_of_common_ones_gives_what_kubernetes_takes(
    chart: Chart, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seen = Seen()
    for name, base in BASES.items():
        for path, samples in SAMPLES.items():
            for sample in samples:
                seen.look(chart, with_sample(base, path, sample), f"{name}, {path}: {sample}")
    singles = seen.combinations
    for first, second in combinations(COMMON, 2):
        if {first, second} in REFUSED:
            continue
        monitors = {path.partition(".")[0] for path in (first, second)} & MONITORS
        if len(monitors) == 2:
            continue
        base = BASES["probe" if monitors == {"probe"} else "monitor"]
        values = with_sample(
            with_sample(base, first, SAMPLES[first][0]), second, SAMPLES[second][0]
        )
        seen.look(chart, values, f"{first} and {second}")
    wrong = seen.judged(tmp_path)
    record_property(
        "counted",
        f"chart: {seen.combinations} combinations of values ({singles} of one value, "
        f"{seen.combinations - singles} of two), {len(seen.objects)} different objects, "
        f"{len(wrong)} wrong",
    )
    assert wrong == []


def without(values: Values, path: str) -> Values:
    """A copy of values with one less."""
    name, _, rest = path.partition(".")
    if rest:
        return {**values, name: without(values[name], rest)}
    return {key: value for key, value in values.items() if key != name}


def test_no_value_is_without_effect(chart: Chart) -> None:
    ignored = set()
    for path in SAMPLES.keys() - {
        "enabled",
        *WAYS,
    }:  # which an umbrella reads, and which are needed
        values = with_sample(BASES["monitor"], path, SAMPLES[path][0])
        if path == "tokenKey":
            values = laid(without(values, "demo"), {"accountId": ACCOUNT, "existingSecret": "mine"})
        if rendered(chart, values) == rendered(chart, without(values, path)):
            ignored.add(path)
    assert ignored == set()


def required(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of all values that must be there, sections included."""
    for name, inner in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        if name in schema.get("required", ()):
            yield where
        yield from required(inner, where)


def test_null_removes_a_value_that_is_not_needed_and_is_refused_by_name_otherwise(
    chart: Chart, tmp_path: Path
) -> None:
    seen = Seen()
    sections = {path.rpartition(".")[0] for path in SAMPLES} - {""}
    needed = set(required(json.loads((CHART / "values.schema.json").read_text())))
    for path in {*SAMPLES, *sections} - needed - {"demo"}:
        seen.look(chart, put(BASES["monitor"], path, None), f"{path}: null")
    for path in needed:
        with pytest.raises(HelmValuesError, match=f"missing property '{path.split('.')[-1]}'"):
            rendered(chart, put(BASES["monitor"], path, None))
    assert seen.judged(tmp_path) == []
