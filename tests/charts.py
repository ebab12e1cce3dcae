"""The chart as Helm renders it, read strictly and held against the schemas of Kubernetes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart
from jsonschema.validators import Draft202012Validator
from kubernetes_validate.utils import (  # type: ignore[import-untyped] # it has no types
    all_versions,
    schema_contents,
)
from referencing import Registry, Resource

from nodepackages import npm_packages
from processes import ROOT
from realparts import require

CHART = ROOT / "deploy" / "helm" / "cloudflare-mcp-exporter"
ACCOUNT = "0123456789abcdef" * 2
OLDEST, NEWEST = "1.27.0", all_versions()[-1]
"""Versions of Kubernetes: what many clusters still have, and the newest with schemas at hand."""

OPERATORS = "monitoring.coreos.com/v1"

Manifest = dict[str, Any]
Values = dict[str, Any]


class StrictLoader(yaml.CSafeLoader):
    """Refuses what kubectl and the API server would refuse too: a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate keys {sorted(twice)}", node.start_mark
            )
        return super().construct_mapping(node, deep)


@cache
def documents(text: str) -> tuple[Manifest, ...]:
    """The objects of a rendered file; shared, so never to be changed."""
    return tuple(one for one in yaml.load_all(text, StrictLoader) if one)


def rendered(chart: Chart, values: Values, name: str = "mcp") -> list[Manifest]:
    """Everything that the chart makes of values, in the namespace ``monitoring``."""
    files = chart.render(values, name=name, namespace="monitoring")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return [one for text in texts for one in documents(text)]


def of_kind(found: Iterable[Manifest], kind: str) -> Manifest:
    """The one manifest of a kind."""
    (one,) = [manifest for manifest in found if manifest["kind"] == kind]
    return one


def pod(found: Iterable[Manifest]) -> dict[str, Any]:
    """The specification of the exporter's pods."""
    spec: dict[str, Any] = of_kind(found, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(found: Iterable[Manifest]) -> dict[str, Any]:
    """The exporter's container."""
    (one,) = [one for one in pod(found)["containers"] if one["name"] == "exporter"]
    assert isinstance(one, dict)
    return one


@cache
def _validator(kind: str, api: str, version: str) -> Draft202012Validator:
    folder = f"kubernetes-json-schema/v{version}-local-strict"
    name = f"{kind.lower()}-" + re.sub(r"(\.[^/]*)?/", "-", api)
    schema = schema_contents(f"{folder}/{name}.json", version)
    definitions = schema_contents(f"{folder}/_definitions.json", version)
    registry: Registry[Any] = Registry()
    for content in (definitions, schema):
        registry = Resource.from_contents(content) @ registry
    return Draft202012Validator(schema, registry=registry)


def complaint(manifest: Manifest, version: str) -> str | None:
    """What a version of Kubernetes does not know or take of an object, fields included."""
    validator = _validator(manifest["kind"], manifest["apiVersion"], version)
    error = next(validator.iter_errors(manifest), None)
    if error is None:
        return None
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    return f"{name} for {version}: {error.json_path}: {error.message}"


def operators_complaints(manifests: Iterable[Manifest], directory: Path) -> str:
    """What the Prometheus Operator's types say to objects, all at once; unknown fields are errors.

    Args:
        manifests: of its API group.
        directory: where the program is written that the compiler reads.
    """
    packages = npm_packages("kubernetes")
    (directory / "node_modules").symlink_to(packages / "node_modules")
    models = f"@kubernetes-models/prometheus-operator/{OPERATORS}"
    found = list(manifests)
    lines = [
        f'import type {{ I{kind} }} from "{models}/{kind}";'
        for kind in sorted({one["kind"] for one in found})
    ]
    lines += [
        f"export const a{number}: I{one['kind']} = {json.dumps(one)};"
        for number, one in enumerate(found)
    ]
    (directory / "manifests.ts").write_text("\n".join(lines))
    options = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"]
    options += ["--module", "esnext", "--moduleResolution", "bundler", "--types", ""]
    compiler = packages / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [require("node"), os.path.realpath(compiler), *options, "manifests.ts"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


# --- what must hold between objects ------------------------------------------------------------


def misfits(found: list[Manifest]) -> Iterator[str]:
    """What of one release does not fit together, each in words."""
    yield from _names(found)
    yield from _lists(found)
    yield from _selectors(found)
    yield from _monitors(found)


def _names(found: list[Manifest]) -> Iterator[str]:
    seen = [(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]) for one in found]
    for kind, namespace, name in seen:
        if seen.count((kind, namespace, name)) > 1:
            yield f"{kind} {namespace}/{name} is there twice"
        if len(name) > 63:
            yield f"{kind} {name} has too long a name"


def _lists(found: list[Manifest]) -> Iterator[str]:
    """Lists that are mappings to Kubernetes: by a key that may be there once."""
    spec, one = pod(found), container(found)
    volumes = [volume["name"] for volume in spec.get("volumes", ())]
    for what, names in {
        "containers": [each["name"] for each in spec["containers"]],
        "volumes": volumes,
        "env": [each["name"] for each in one.get("env", ())],
        "volumeMounts": [each["mountPath"] for each in one.get("volumeMounts", ())],
    }.items():
        if len(set(names)) != len(names):
            yield f"{what} has one of {names} twice"
    for mount in one.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            yield f"volume {mount['name']} is mounted and not there"


def _selectors(found: list[Manifest]) -> Iterator[str]:
    deployment, service = of_kind(found, "Deployment"), of_kind(found, "Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    matching = {
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
        "Service": service["spec"]["selector"],
    }
    for one in found:
        if one["kind"] == "PodDisruptionBudget":
            matching[one["kind"]] = one["spec"]["selector"]["matchLabels"]
        if one["kind"] == "NetworkPolicy":
            matching[one["kind"]] = one["spec"]["podSelector"]["matchLabels"]
    for kind, selector in matching.items():
        if not _finds(selector, labels):
            yield f"{kind} does not find the pods"
        for test in (one for one in found if one["kind"] == "Pod"):
            if _finds(selector, test["metadata"]["labels"]):
                yield f"{kind} takes the pod of the test for one of the exporter's"


def _finds(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _monitors(found: list[Manifest]) -> Iterator[str]:
    service = of_kind(found, "Service")
    looks = {"ServiceMonitor": _monitor, "Probe": _probe, "Ingress": _ingress}
    for one in found:
        if one["kind"] in looks:
            yield from looks[one["kind"]](one["spec"], service["metadata"])


def _monitor(spec: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    (endpoint,) = spec["endpoints"]
    if not _finds(spec["selector"]["matchLabels"], service["labels"]):
        yield "ServiceMonitor does not find the service"
    if service["namespace"] not in spec["namespaceSelector"]["matchNames"]:
        yield "ServiceMonitor does not look where the service is"
    if endpoint["relabelings"][0].get("targetLabel") != "job":
        yield "ServiceMonitor does not name the job"


def _probe(spec: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    relabelings = spec["targets"]["staticConfig"]["relabelingConfigs"]
    if relabelings[0].get("targetLabel") != "__param_account":
        yield "Probe does not ask for an account"
    if not spec["prober"]["url"].startswith(f"{service['name']}.{service['namespace']}.svc:"):
        yield "Probe does not ask the service"


def _ingress(spec: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    for rule in spec["rules"]:
        for path in rule["http"]["paths"]:
            if path["backend"]["service"]["name"] != service["name"]:
                yield "Ingress does not lead to the service"
